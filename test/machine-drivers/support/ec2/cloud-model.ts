/**
 * What moto leaves out of EC2, kept beside it: ClientToken, states that take time, ids that are not known everywhere at
 * once, security groups in use, image properties, pending snapshots and their checksums.
 */
import {createHash} from 'node:crypto';
import {ec2Error, elementText, itemsOf, setElement} from './xml.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Milliseconds. */
export interface Delays {
  /** A new instance is unknown for so long. */
  hidden: number;
  pending: number;
  stopping: number;
  /** A terminated instance holds its security groups for so long. */
  shuttingDown: number;
}

interface KnownInstance {
  readonly groups: readonly string[];
  readonly created: number;
  /** From then on pending, stopping or shutting down. */
  changed: number;
  change: 'pending' | 'stopping' | 'shutting-down';
  /** Put into its description. */
  reason?: {readonly code: string; readonly message: string};
}

interface KnownSnapshot {
  completed: boolean;
  readonly digests: Map<number, Buffer>;
}

const codes = {pending: 0, 'shutting-down': 32, stopping: 64} as const;

export class CloudModel {
  readonly delays: Delays = {hidden: 0, pending: 0, stopping: 0, shuttingDown: 0};
  /** False: it registers images as moto does, without boot mode and the rest. */
  keepsImageProperties = true;
  readonly #instances = new Map<string, KnownInstance>();
  readonly #tokens = new Map<string, {readonly request: string; readonly reply: Promise<Reply>}>();
  readonly #images = new Map<string, URLSearchParams>();
  readonly #snapshots = new Map<string, KnownSnapshot>();

  /** Why AWS took the instance back: shown once it has ended. */
  giveReason(id: string, code: string, message: string): void {
    const known = this.#instances.get(id);
    if (known !== undefined) known.reason = {code, message};
  }

  /** The instance ended by itself: no call told us. */
  end(id: string): void {
    const known = this.#instances.get(id);
    if (known !== undefined) Object.assign(known, {change: 'shutting-down', changed: 0});
  }

  /** An answer that needs no moto, or undefined. */
  before(action: string, parameters: URLSearchParams): Reply | undefined {
    const first = parameters.get('InstanceId.1') ?? '';
    const known = this.#instances.get(first);
    if (action === 'DescribeInstances' && known !== undefined && this.#isHidden(known))
      return refusal('InvalidInstanceID.NotFound', `The instance ID '${first}' does not exist`);
    if (action === 'StartInstances' && known?.change === 'shutting-down')
      return refusal(
        'IncorrectInstanceState',
        `The instance '${first}' is not in a state from which it can be started.`,
      );
    if (action === 'RegisterImage') {
      const name = parameters.get('Name') ?? '';
      if ([...this.#images.values()].some(image => image.get('Name') === name))
        return refusal('InvalidAMIName.Duplicate', `AMI name ${name} is already in use`);
    }
    if (action === 'DeleteSecurityGroup') {
      const group = parameters.get('GroupId') ?? '';
      const used = [...this.#instances.values()].some(
        one => one.groups.includes(group) && !this.#isGone(one),
      );
      if (used) return refusal('DependencyViolation', `resource ${group} has a dependent object`);
    }
    return undefined;
  }

  /** Answers a repeated ClientToken as the first time; another request under it is refused. */
  async once(parameters: URLSearchParams, make: () => Promise<Reply>): Promise<Reply> {
    const token = parameters.get('ClientToken') ?? '';
    const request = [...parameters]
      .map(([name, value]) => `${name}=${value}`)
      .sort()
      .join('&');
    const before = this.#tokens.get(token);
    if (before !== undefined && before.request === request) return before.reply;
    if (before !== undefined)
      return refusal('IdempotentParameterMismatch', 'The client token is used with other parameters.');
    const reply = make();
    if (token !== '') this.#tokens.set(token, {request, reply});
    const made = await reply;
    // What was refused may be asked for again.
    if (made.status >= 300) this.#tokens.delete(token);
    return made;
  }

  /** What moto's answer becomes. */
  after(action: string, parameters: URLSearchParams, reply: Reply): Reply {
    if (reply.status !== 200) return reply;
    const xml = reply.body.toString('utf8');
    const changed = this.#change(action, parameters, xml);
    return changed === xml ? reply : {...reply, body: Buffer.from(changed)};
  }

  #change(action: string, parameters: URLSearchParams, xml: string): string {
    const id = parameters.get('InstanceId.1') ?? '';
    switch (action) {
      case 'RunInstances': {
        const made = elementText(xml, 'instanceId') ?? '';
        const groups = [...parameters]
          .filter(([name]) => /SecurityGroupId\.\d+$/.test(name))
          .map(([, value]) => value);
        const now = Date.now();
        this.#instances.set(made, {groups, created: now, changed: now, change: 'pending'});
        return xml;
      }
      case 'StartInstances':
        return this.#note(id, 'pending', xml);
      case 'StopInstances':
        return this.#note(id, 'stopping', xml);
      case 'TerminateInstances':
        return this.#note(id, 'shutting-down', xml);
      case 'DescribeInstances':
        return this.#describeInstances(xml);
      case 'RegisterImage':
        this.#images.set(elementText(xml, 'imageId') ?? '', parameters);
        return xml;
      case 'DeregisterImage':
        this.#images.delete(parameters.get('ImageId') ?? '');
        return xml;
      case 'DescribeImages':
        return this.#describeImages(xml);
      case 'DescribeSnapshots':
        return this.#describeSnapshots(xml);
      default:
        return xml;
    }
  }

  #note(id: string, change: KnownInstance['change'], xml: string): string {
    const known = this.#instances.get(id);
    if (known !== undefined && known.change !== change) Object.assign(known, {change, changed: Date.now()});
    return xml;
  }

  #isHidden({created}: KnownInstance): boolean {
    return Date.now() < created + this.delays.hidden;
  }

  #isGone({change, changed}: KnownInstance): boolean {
    return change === 'shutting-down' && Date.now() >= changed + this.delays.shuttingDown;
  }

  #describeInstances(xml: string): string {
    const set = itemsOf(xml, 'reservationSet');
    const items = set.items.flatMap(item => {
      const known = this.#instances.get(elementText(item, 'instanceId') ?? '');
      if (known === undefined) return [item];
      if (this.#isHidden(known)) return [];
      const {change, changed, reason} = known;
      const lasts = {
        pending: this.delays.pending,
        stopping: this.delays.stopping,
        'shutting-down': this.delays.shuttingDown,
      }[change];
      const shown =
        Date.now() < changed + lasts
          ? setElement(item, 'instanceState', `<code>${codes[change]}</code><name>${change}</name>`, 'item')
          : item;
      if (reason === undefined) return [shown];
      const {code, message} = reason;
      const content = `<code>${code}</code><message>${message}</message>`;
      return [inInstance(shown, instance => setElement(instance, 'stateReason', content, 'item'))];
    });
    return set.replace(items);
  }

  #describeImages(xml: string): string {
    const set = itemsOf(xml, 'imagesSet');
    const items = set.items.map(item => {
      const asked = this.#images.get(elementText(item, 'imageId') ?? '');
      if (asked === undefined || !this.keepsImageProperties) return item;
      const properties = [
        ['bootMode', asked.get('BootMode')],
        ['imdsSupport', asked.get('ImdsSupport')],
        ['tpmSupport', asked.get('TpmSupport')],
        ['rootDeviceName', asked.get('RootDeviceName')],
        ['architecture', asked.get('Architecture')],
      ] as const;
      return properties.reduce(
        (text, [name, value]) => (value === null ? text : setElement(text, name, value, 'item')),
        item,
      );
    });
    return set.replace(items);
  }

  #describeSnapshots(xml: string): string {
    const set = itemsOf(xml, 'snapshotSet');
    const items = set.items.map(item => {
      const known = this.#snapshots.get(elementText(item, 'snapshotId') ?? '');
      return known?.completed === false ? setElement(item, 'status', 'pending', 'item') : item;
    });
    return set.replace(items);
  }

  /** The tags of a registered image, which moto drops, as a CreateTags request. */
  imageTags(parameters: URLSearchParams, reply: Reply): URLSearchParams | undefined {
    const id = elementText(reply.body.toString('utf8'), 'imageId');
    if (reply.status !== 200 || id === undefined) return undefined;
    const prefix = 'TagSpecification.1.';
    const tags = [...parameters].filter(([name]) => name.startsWith(`${prefix}Tag.`));
    if (tags.length === 0) return undefined;
    return new URLSearchParams([
      ['Action', 'CreateTags'],
      ['Version', parameters.get('Version') ?? ''],
      ['ResourceId.1', id],
      ...tags.map(([name, value]) => [name.slice(prefix.length), value] as [string, string]),
    ]);
  }

  beganSnapshot(id: string): void {
    this.#snapshots.set(id, {completed: false, digests: new Map()});
  }

  /** Refuses a block whose checksum is wrong, as EBS does. */
  checkBlock(id: string, index: number, checksum: string | undefined, body: Buffer): Reply | undefined {
    const digest = createHash('sha256').update(body).digest();
    const snapshot = this.#snapshots.get(id);
    if (snapshot === undefined)
      return ebsRefusal(404, 'ResourceNotFoundException', 'The snapshot does not exist.');
    if (snapshot.completed) return ebsRefusal(400, 'ValidationException', 'The snapshot is not pending.');
    if (digest.toString('base64') !== checksum)
      return ebsRefusal(400, 'ValidationException', 'The checksum does not match the block.');
    snapshot.digests.set(index, digest);
    return undefined;
  }

  /** Refuses to complete a snapshot whose number of blocks or sum is not what arrived. */
  checkCompletion(id: string, count: number, checksum: string | undefined): Reply | undefined {
    const snapshot = this.#snapshots.get(id);
    if (snapshot === undefined)
      return ebsRefusal(404, 'ResourceNotFoundException', 'The snapshot does not exist.');
    if (snapshot.completed) return ebsRefusal(400, 'ValidationException', 'The snapshot is not pending.');
    const whole = createHash('sha256');
    for (const [, digest] of [...snapshot.digests].sort(([a], [b]) => a - b)) whole.update(digest);
    if (count !== snapshot.digests.size || whole.digest('base64') !== checksum)
      return ebsRefusal(400, 'ValidationException', 'The blocks are not those that were announced.');
    snapshot.completed = true;
    return undefined;
  }
}

export function refusal(code: string, message: string, status = 400): Reply {
  return {status, headers: {'content-type': 'text/xml'}, body: Buffer.from(ec2Error(code, message))};
}

export function ebsRefusal(status: number, code: string, message: string): Reply {
  const body = Buffer.from(JSON.stringify({Message: message}));
  return {status, headers: {'content-type': 'application/json', 'x-amzn-errortype': code}, body};
}

/** Changes the one instance of a reservation. */
function inInstance(reservation: string, change: (instance: string) => string): string {
  const set = itemsOf(reservation, 'instancesSet');
  return set.replace(set.items.map(change));
}
