/**
 * `hawser image publish --to TARGET`: a built image is brought to where a driver's machines start from, and written
 * down (services/common/published-images.ts), so that `machine create` needs no image id.
 */
import type {Flag, FlagValues} from '../services/common/command.ts';
import type {ImageManifest} from '../services/common/contracts/image.ts';
import type {PublishedImage} from '../services/common/published-images.ts';
import type {ConfigureContext, DriverContext} from './driver.ts';

export interface BuiltImage {
  /** Absolute: the image's folder. */
  readonly folder: string;
  readonly manifest: ImageManifest;
  /** Absolute: the raw disk. */
  readonly disk: string;
}

export interface PublishHost extends DriverContext {
  report(detail: string): void;
}

export interface Publisher {
  /** The word after `--to`: aws, openstack, virtualbox. */
  readonly target: string;
  /** Each flag's name begins with the target's or the driver's name; those of the driver that apply may be among them. */
  readonly flags: readonly Flag[];
  configure(flags: FlagValues, from: ConfigureContext): Promise<unknown>;
  /**
   * Publishes and proves what it wrote. Finds an image of the same root hash at the same place and leaves it as it
   * is; whatever it made before it fails, it removes. The core writes the answer down.
   */
  publish(image: BuiltImage, settings: unknown, host: PublishHost): Promise<PublishedImage>;
}
