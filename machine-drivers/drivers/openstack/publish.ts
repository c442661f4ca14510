/** `hawser image publish --to openstack`: a built image brought to Glance, read back, and compared. */
import {createHash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {Readable} from 'node:stream';
import {Type, type Static} from 'typebox';
import {flagString} from '../../../services/common/command.ts';
import type {Flag} from '../../../services/common/command.ts';
import {describeError} from '../../../services/common/errors.ts';
import {parseValue} from '../../../services/common/parse.ts';
import {MachineError} from '../../errors.ts';
import type {BuiltImage, PublishHost, Publisher} from '../../publisher.ts';
import {createImage, deleteImage, downloadImage, getImage, listImages, uploadImage} from './client/images.ts';
import type {GlanceImage} from './client/images.ts';
import type {Session} from './client/session.ts';
import {placeOf, withSession} from './connect.ts';
import {cloudFlags} from './flags.ts';
import {CloudReference, configureAccess} from './settings.ts';

const CLEAN_UP_MS = 60_000;
/** MiB that the firmware and the UKI need to start at all. */
const MIN_RAM = 512;

const flags: readonly Flag[] = [
  ...cloudFlags,
  {
    name: 'openstack-image-format',
    type: 'string',
    default: 'qcow2',
    summary: 'qcow2, or raw for clouds that keep images in Ceph',
  },
];

const Format = Type.Union([Type.Literal('qcow2'), Type.Literal('raw')]);
const PublishSettings = Type.Object({access: CloudReference, format: Format});

export const openstackPublisher: Publisher = {
  target: 'openstack',
  flags,
  configure: async (given, from) => {
    const format = flagString(given, 'openstack-image-format') ?? 'qcow2';
    if (format !== 'qcow2' && format !== 'raw') {
      throw new MachineError('bad-setting', `--openstack-image-format is "${format}"`, {
        remedy: 'give qcow2 or raw',
      });
    }
    return {access: await configureAccess(given, from), format};
  },
  publish: async (image, given, host) => {
    const {access, format} = parseValue(PublishSettings, given, 'the settings of the publication');
    const file = await diskFile(image, format);
    return withSession(access, host, async session => {
      const reference = await ensureImage(session, image, file, host, async id => {
        // Also after ^C, when the session of the work does nothing any more.
        const late = {...host, signal: AbortSignal.timeout(CLEAN_UP_MS)};
        await withSession(access, late, cleaner => deleteImage(cleaner, id));
      });
      const {version, rootHash} = image.manifest;
      return {
        schema: 1,
        driver: 'openstack',
        place: placeOf(session),
        reference,
        version,
        rootHash,
        at: host.clock.now().toISOString(),
      };
    });
  },
};

interface DiskFile {
  readonly path: string;
  readonly format: Static<typeof Format>;
  readonly size: number;
  readonly sha256: string;
}

/** The artefact that is uploaded. Its bytes were compared with the raw disk when they were built. */
async function diskFile({folder, manifest}: BuiltImage, format: DiskFile['format']): Promise<DiskFile> {
  const name = format === 'raw' ? 'disk' : 'qcow2';
  const artefact = manifest.artefacts[name];
  if (artefact === undefined) {
    throw new MachineError('bad-setting', `the image in ${folder} has no ${name}`, {
      remedy: `build it with the ${format} format, or give --openstack-image-format`,
    });
  }
  const path = join(folder, artefact.file);
  const {size} = await stat(path);
  if (size !== artefact.size) throw damaged(path);
  return {path, format, size, sha256: artefact.sha256};
}

/** The id of an image with these bytes: one that is there, or a new one, which is removed when anything fails. */
async function ensureImage(
  session: Session,
  image: BuiltImage,
  file: DiskFile,
  host: PublishHost,
  discard: (id: string) => Promise<void>,
): Promise<string> {
  host.report(`reading ${file.path}`);
  const digests = await digestsOf(createReadStream(file.path, {highWaterMark: 1 << 20}));
  if (digests.sha256 !== file.sha256) throw damaged(file.path);
  const same = {
    owner: session.projectId,
    hawser_root_hash: image.manifest.rootHash,
    hawser_sha256: file.sha256,
  };
  for (const found of await listImages(session, same)) {
    if (found.status === 'active') {
      compareRecorded(found, digests);
      return found.id;
    }
    // What a publication left that was killed: Glance takes no bytes for it from us any more.
    if (found.status === 'queued') await deleteImage(session, found.id);
  }
  const made = await createImage(session, properties(image, file));
  try {
    host.report(`uploading ${Math.ceil(file.size / 2 ** 20)} MiB`);
    const open = () => createReadStream(file.path, {highWaterMark: 1 << 20});
    await uploadImage(session, made.id, {open, length: file.size});
    compareRecorded(await getImage(session, made.id), digests);
    host.report('reading it back');
    const back = await digestsOf(await downloadImage(session, made.id));
    if (back.size !== digests.size || back.sha256 !== digests.sha256)
      throw differs(made.id, `it gives back ${back.size} bytes with SHA-256 ${back.sha256}`);
    return made.id;
  } catch (error) {
    await discard(made.id).catch((left: unknown) => {
      throw new MachineError(
        'driver-failed',
        `${describeError(error)}; and image ${made.id} could not be removed: ${describeError(left)}`,
        {remedy: `openstack image delete ${made.id}`, cause: error},
      );
    });
    throw error;
  }
}

/**
 * Glance's own fields, Nova's `hw_*` (the config drive on SCSI: on q35 it would else be a SATA disk, which takes a
 * driver more to be seen), and ours.
 */
export function properties(
  {manifest}: Pick<BuiltImage, 'manifest'>,
  file: Pick<DiskFile, 'format' | 'sha256'>,
): Readonly<Record<string, string | number>> {
  const disk = manifest.artefacts['disk']?.size ?? 0;
  return {
    name: `${manifest.name}-${manifest.version}`,
    disk_format: file.format,
    container_format: 'bare',
    visibility: 'private',
    min_disk: Math.ceil(disk / 2 ** 30),
    min_ram: MIN_RAM,
    architecture: manifest.architecture,
    os_type: 'linux',
    hw_firmware_type: 'uefi',
    hw_machine_type: 'q35',
    hw_disk_bus: 'virtio',
    hw_vif_model: 'virtio',
    hw_cdrom_bus: 'scsi',
    hw_scsi_model: 'virtio-scsi',
    hw_rng_model: 'virtio',
    hawser_version: manifest.version,
    hawser_root_hash: manifest.rootHash,
    hawser_sha256: file.sha256,
  };
}

interface Digests {
  readonly size: number;
  readonly md5: string;
  readonly sha256: string;
  readonly sha512: string;
}

async function digestsOf(bytes: Readable): Promise<Digests> {
  const [md5, sha256, sha512] = [createHash('md5'), createHash('sha256'), createHash('sha512')];
  let size = 0;
  for await (const piece of bytes) {
    const chunk = piece as Uint8Array;
    size += chunk.length;
    for (const hash of [md5, sha256, sha512]) hash.update(chunk);
  }
  return {size, md5: md5.digest('hex'), sha256: sha256.digest('hex'), sha512: sha512.digest('hex')};
}

/** What Glance says that it stored. */
function compareRecorded(image: GlanceImage, digests: Digests): void {
  const {id, status, size, checksum, os_hash_algo: algorithm, os_hash_value: value} = image;
  if (status !== 'active') throw differs(id, `its status is ${status}`);
  if (size !== digests.size) throw differs(id, `it has ${size ?? 0} bytes, not ${digests.size}`);
  if (typeof checksum === 'string' && checksum !== digests.md5)
    throw differs(id, `its checksum is ${checksum}`);
  const own = algorithm === 'sha512' ? digests.sha512 : algorithm === 'sha256' ? digests.sha256 : undefined;
  if (own !== undefined && value !== own) throw differs(id, `its ${algorithm} is ${value}`);
}

function differs(id: string, why: string): MachineError {
  return new MachineError(
    'driver-failed',
    `the image ${id} in Glance is not the one that was built: ${why}`,
    {
      remedy: `openstack image delete ${id}, then publish again; if it stays so, the cloud changes what it is given`,
    },
  );
}

function damaged(path: string): MachineError {
  return new MachineError('bad-setting', `${path} is not what its manifest says`, {
    remedy: 'build the image again with hawser image build',
  });
}
