/** `hawser image publish --to aws`: the raw disk becomes a snapshot, read again, and an AMI over it. */
import {Type, type Static} from 'typebox';
import {flagInteger} from '../../../../services/common/command.ts';
import type {PublishedImage} from '../../../../services/common/published-images.ts';
import {parseValue} from '../../../../services/common/parse.ts';
import {MachineError} from '../../../errors.ts';
import type {BuiltImage, Publisher, PublishHost} from '../../../publisher.ts';
import {sha256} from '../../../../services/common/hash.ts';
import {isNotFound} from '../aws-errors.ts';
import {Connection, openEbs, openEc2, placeOf, type Ebs, type Ec2} from '../client.ts';
import {connectionFlags} from '../flags.ts';
import {tagKeys, type Tag} from '../names.ts';
import {configureConnection} from '../settings.ts';
import {inRange} from '../values.ts';
import {openDisk, type DiskBlocks} from './disk-blocks.ts';
import {findImages, registerImage} from './register.ts';
import {compareSnapshot, isDifference} from './reread.ts';
import {secureBootData} from './secure-boot.ts';
import {awaitSnapshot, beginSnapshot, fillSnapshot, findSnapshots} from './snapshot.ts';
import {openUploadLog} from './upload-log.ts';

const Settings = Type.Object({connection: Connection, parallel: Type.Integer({minimum: 1, maximum: 256})});
type Settings = Static<typeof Settings>;

export const awsPublisher: Publisher = {
  target: 'aws',
  flags: [
    ...connectionFlags,
    {
      name: 'aws-parallel',
      type: 'integer',
      default: 16,
      summary: 'blocks of 512 KiB that are sent at the same time',
    },
  ],
  configure: async (flags, from): Promise<Settings> => ({
    connection: await configureConnection(flags, from),
    parallel: inRange('aws-parallel', flagInteger(flags, 'aws-parallel') ?? 16, 1, 256),
  }),
  publish: async (image, given, host) => {
    const {connection, parallel} = parseValue(Settings, given, 'the settings of the publication');
    const ec2 = await openEc2(connection, host);
    const {rootHash, version} = image.manifest;
    const [known] = await findImages(ec2, diskTag(image));
    const reference = known?.ImageId ?? (await make(image, {connection, parallel, ec2, host}));
    const published: PublishedImage = {
      schema: 1,
      driver: 'amazonec2',
      place: placeOf(connection),
      reference,
      version,
      rootHash,
      at: host.clock.now().toISOString(),
    };
    return published;
  },
};

interface Making extends Settings {
  readonly ec2: Ec2;
  readonly host: PublishHost;
}

/** By which a publication is found again. The root hash alone would not do: a signed disk has the same as an unsigned one. */
function diskTag({manifest}: BuiltImage): Tag {
  return {Key: tagKeys.disk, Value: manifest.artefacts['disk']?.sha256 ?? manifest.rootHash};
}

/** Goes on with a snapshot that an earlier run began. Throws with a hint that the next run goes on, where it does. */
async function make(image: BuiltImage, making: Making): Promise<string> {
  const {connection, parallel, ec2, host} = making;
  const {name, version, rootHash} = image.manifest;
  const uefiData = await secureBootData(image);
  const ebs = await openEbs(connection, host, parallel);
  await using disk = await openDisk(image.disk);
  const tags: Tag[] = [
    {Key: 'Name', Value: `${name} ${version}`},
    diskTag(image),
    {Key: tagKeys.rootHash, Value: rootHash},
    {Key: tagKeys.version, Value: version},
    {Key: tagKeys.owner, Value: host.operator},
  ];
  const snapshot = await ensureSnapshot(image, {...making, ebs, disk, tags});
  try {
    await compareSnapshot(ebs, snapshot, disk, {parallel, host});
    return await registerImage(
      ec2,
      {
        name: `${name}-${version}-${diskTag(image).Value.slice(0, 12)}`,
        description: `${name} ${version}, /usr ${rootHash}`,
        snapshot,
        gib: disk.gib,
        uefiData,
        tags,
      },
      host,
    );
  } catch (error) {
    if (isDifference(error)) await removeSnapshot(ec2, snapshot);
    throw error;
  }
}

interface Uploading extends Making {
  readonly ebs: Ebs;
  readonly disk: DiskBlocks;
  readonly tags: readonly Tag[];
}

/** Id of a completed snapshot of the disk. */
async function ensureSnapshot(image: BuiltImage, uploading: Uploading): Promise<string> {
  const {connection, parallel, ec2, ebs, disk, tags, host} = uploading;
  const {rootHash, version} = image.manifest;
  const earlier = await findSnapshots(ec2, diskTag(image));
  const failed = earlier.filter(one => one.State === 'error');
  for (const {SnapshotId} of failed) if (SnapshotId !== undefined) await removeSnapshot(ec2, SnapshotId);
  const done = earlier.find(one => one.State === 'completed')?.SnapshotId;
  if (done !== undefined) return done;
  const what = `${placeOf(connection)} ${diskTag(image).Value}`;
  const log = await openUploadLog(host.paths.cache, what);
  const pending = earlier.find(one => one.State === 'pending')?.SnapshotId;
  const snapshot =
    pending ??
    (await beginSnapshot(ebs, disk, {
      description: `${image.manifest.name} ${version}, /usr ${rootHash}`,
      tags,
      // A token whose snapshot failed is spent.
      token: sha256(`publish ${what} ${log.begun()}`),
    }));
  if (log.sent(snapshot).size === 0) await log.began(snapshot);
  try {
    await fillSnapshot(ebs, snapshot, disk, {log, parallel, host});
  } catch (error) {
    // Its answer may have been lost: then it is being completed all the same.
    const [seen] = (await findSnapshots(ec2, diskTag(image))).filter(one => one.SnapshotId === snapshot);
    if (seen?.State !== 'completed') throw goesOn(error);
  }
  await awaitSnapshot(ec2, snapshot, host);
  await log.forget();
  return snapshot;
}

/** What was sent stays there; AWS itself drops it after three days. */
function goesOn(error: unknown): unknown {
  if (!(error instanceof MachineError) || error.code === 'interrupted') return error;
  return new MachineError(error.code, error.message, {
    cause: error.cause,
    context: error.context,
    remedy: `${error.remedy === undefined ? '' : `${error.remedy}; `}run the command again to go on where it was`,
  });
}

async function removeSnapshot(ec2: Ec2, SnapshotId: string): Promise<void> {
  try {
    await ec2(`remove the snapshot ${SnapshotId}`, (api, options) =>
      api.deleteSnapshot({SnapshotId}, options),
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
