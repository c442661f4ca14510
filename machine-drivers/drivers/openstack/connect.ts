/** Entering the cloud of a machine: secrets are read now, and what goes wrong is said in the machine layer's words. */
import {MachineError, stopIfInterrupted} from '../../errors.ts';
import type {MachineErrorCode} from '../../errors.ts';
import type {DriverContext, DriverMachine} from '../../driver.ts';
import {cloudAccess, fromEnvironment, secretVariables} from './client/cloud-config.ts';
import type {CloudAccess} from './client/cloud-config.ts';
import {readCloud} from './client/clouds-file.ts';
import {OpenStackError} from './client/errors.ts';
import type {OpenStackErrorCode} from './client/errors.ts';
import {openSession} from './client/session.ts';
import type {Entrance, Session} from './client/session.ts';
import {readSettings} from './settings.ts';
import type {CloudReference} from './settings.ts';

type Context = Pick<DriverContext, 'env' | 'clock' | 'signal'>;

/** Runs `work` in the cloud. What OpenStack refuses is thrown as MachineError. */
export async function withSession<Result>(
  reference: CloudReference,
  context: Context,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  try {
    const {clock, signal} = context;
    const access = await findAccess(reference, context);
    using session = await openSession(access, {clock, signal, entrances: entrancesOf(context)});
    return await work(session);
  } catch (error) {
    stopIfInterrupted(context.signal);
    throw error instanceof OpenStackError ? translate(error) : error;
  }
}

/** As {@link withSession}, for a machine that exists: in the project that it was made in, and in no other. */
export function inProjectOf<Result>(
  machine: DriverMachine,
  context: Context,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  const {access} = readSettings(machine.settings);
  return withSession(access, context, session => {
    checkProject(machine, session);
    return work(session);
  });
}

/** Another project has no such server, which must not be taken for a machine that is gone. */
function checkProject(machine: DriverMachine, session: Session): void {
  const why = whyElsewhere(machine, session);
  if (why === undefined) return;
  throw new MachineError('credentials', `machine "${machine.name}" is in ${why}`, {
    remedy: 'enter the cloud as when it was made: OS_CLOUD, or its openrc',
  });
}

/** Undefined when the session is in the machine's project and region. */
export function whyElsewhere({resources}: DriverMachine, session: Session): string | undefined {
  const {project, region} = resources;
  if (project !== undefined && project !== session.projectId)
    return `project ${project}, and these credentials are of "${session.projectName}" (${session.projectId})`;
  if (region !== undefined && region !== session.region)
    return `region ${region}, and these credentials are of ${session.region}`;
  return undefined;
}

/** What names a project and region of a cloud: the place of published images. */
export function placeOf(session: Session): string {
  return `${session.authUrl} ${session.region} ${session.projectId}`;
}

/** The steps of one creation share the object that the core lends them, and with it the token. */
const entrances = new WeakMap<object, Map<string, Entrance>>();

function entrancesOf(context: Context): Map<string, Entrance> {
  const known = entrances.get(context) ?? new Map<string, Entrance>();
  entrances.set(context, known);
  return known;
}

async function findAccess({cloud, options}: CloudReference, {env}: Context): Promise<CloudAccess> {
  // Relative paths begin at the current folder, as with the openstack command.
  const named = cloud === undefined ? {} : await readCloud(cloud, env, '.');
  return cloudAccess({...fromEnvironment(secretVariables, env), ...named, ...options});
}

const words: Readonly<
  Record<OpenStackErrorCode, {readonly code: MachineErrorCode; readonly remedy: string}>
> = {
  'bad-cloud-config': {code: 'bad-setting', remedy: 'check clouds.yaml and the OS_* variables'},
  unauthorized: {
    code: 'credentials',
    remedy:
      'check user, password, project and domains (Keystone does not say which is wrong), or whether a token has expired',
  },
  forbidden: {code: 'credentials', remedy: "ask the cloud's operator for the role that this needs"},
  'not-found': {code: 'driver-failed', remedy: 'it may just have been removed: try again'},
  conflict: {code: 'driver-failed', remedy: 'something else is at work on it: try again'},
  quota: {
    code: 'quota',
    remedy: "remove what is not needed, or ask the cloud's operator for a larger quota",
  },
  refused: {code: 'driver-failed', remedy: 'change what the cloud does not take'},
  unreachable: {code: 'unreachable', remedy: 'check auth_url and the way there'},
  unavailable: {code: 'unreachable', remedy: 'the cloud has trouble: try again later'},
  'bad-answer': {code: 'driver-failed', remedy: 'check that auth_url names a Keystone'},
};

function translate(error: OpenStackError): MachineError {
  const {code, remedy} = words[error.code];
  const old = error.context['status'] === 406;
  return new MachineError(code, error.message, {
    remedy: old
      ? "this cloud's Nova is older than Pike (2017), which Hawser needs"
      : (error.remedy ?? remedy),
    cause: error,
  });
}
