/** Drivers outside the tree: executables called `hawser-driver-NAME` on the PATH. */
import {parseValue} from '../../../services/common/parse.ts';
import type {
  Driver,
  DriverContext,
  DriverHost,
  DriverMachine,
  Endpoint,
  Observation,
  Resources,
} from '../../driver.ts';
import {MachineError} from '../../errors.ts';
import {callDriver} from './call.ts';
import type {Caller} from './call.ts';
import {Settings} from './protocol.ts';
import type {Description} from './protocol.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Asks the driver for its flags: only `create` needs them. */
export function describeDriver(program: string, env: Environment): Promise<Description> {
  return callDriver({program, env}, 'describe', {});
}

/** Without a description it has no flags, and serves machines that are there already. */
export function externalDriver(name: string, program: string, description?: Description): Driver {
  const call = (context: Pick<DriverContext, 'env' | 'signal'>, report?: Caller['report']): Caller => ({
    program,
    env: context.env,
    signal: context.signal,
    ...(report === undefined ? {} : {report}),
  });
  const told = (machine: DriverMachine) => ({...machine, settings: readSettings(machine.settings).values});
  const around = ({paths, fleet, operator}: DriverContext) => ({paths, fleet, operator});
  const change = (method: 'stop' | 'kill' | 'destroy', machine: DriverMachine, host: DriverHost, more = {}) =>
    callDriver(
      call(host, detail => host.report(detail)),
      method,
      {machine: told(machine), context: around(host), ...more},
    );
  return {
    name,
    summary: description?.summary ?? `by ${program}`,
    flags: (description?.flags ?? []).map(flagOf),
    configure: async (flags, {cwd, paths, env}) => {
      const own = Object.fromEntries([...flags].filter(([flag]) => flag.startsWith(`${name}-`)));
      return callDriver({program, env}, 'configure', {flags: own, cwd, paths});
    },
    preCreateCheck: async (settings, context) => {
      await callDriver(call(context), 'preCreateCheck', {
        settings: readSettings(settings).values,
        context: around(context),
      });
    },
    login: settings => readSettings(settings).login ?? 'core',
    plan: settings =>
      readSettings(settings).steps.map(({name: step, title, volatile}) => ({
        name: step,
        title,
        ...(volatile === undefined ? {} : {volatile}),
      })),
    ensure: async (step, machine, host) => {
      const known = readSettings(machine.settings).steps.find(one => one.name === step);
      const caller = call(host, detail => host.report(detail));
      const params = {step, machine: told(machine), context: around(host)};
      if (known?.reserves === true)
        return host.reserve(step, others => callDriver(caller, 'choose', {...params, others}));
      const firstBoot = known?.firstBoot === true ? {firstBoot: (await host.firstBoot([])).text} : {};
      return callDriver(caller, 'ensure', {...params, ...firstBoot});
    },
    place: () => program,
    observe: async (machines, context) => {
      const answer = await callDriver(call(context), 'observe', {
        machines: machines.map(told),
        context: around(context),
      });
      return new Map(
        Object.entries(answer).map(([uuid, {state, resources, detail}]): [string, Observation] => [
          uuid,
          {
            state,
            ...(resources === undefined ? {} : {resources}),
            ...(detail === undefined ? {} : {detail}),
          },
        ]),
      );
    },
    start: (machine, host) =>
      callDriver(
        call(host, detail => host.report(detail)),
        'start',
        {machine: told(machine), context: around(host)},
      ),
    stop: async (machine, host, graceSeconds) => void (await change('stop', machine, host, {graceSeconds})),
    kill: async (machine, host) => void (await change('kill', machine, host)),
    destroy: async (machine, host) => void (await change('destroy', machine, host)),
    endpoint: ({resources}) => endpointOf(resources),
  };
}

/** By agreement: `sshHost`, `sshPort` (22), `dockerHost` (as SSH), `dockerPort` (2376), `privateAddress`. */
function endpointOf(resources: Resources): Endpoint | undefined {
  const {sshHost, sshPort = 22, dockerHost = sshHost, dockerPort = 2376, privateAddress} = resources;
  if (typeof sshHost !== 'string' || typeof dockerHost !== 'string') return undefined;
  if (typeof sshPort !== 'number' || typeof dockerPort !== 'number') return undefined;
  return {
    ssh: {host: sshHost, port: sshPort},
    docker: {host: dockerHost, port: dockerPort},
    ...(typeof privateAddress === 'string' ? {privateAddress} : {}),
  };
}

function readSettings(settings: unknown): Settings {
  return parseValue(Settings, settings, 'the settings of the machine');
}

function flagOf({name, type, summary, env, default: byDefault, refused}: Description['flags'][number]) {
  return {
    name,
    type,
    summary,
    ...(env === undefined ? {} : {env}),
    ...(byDefault === undefined ? {} : {default: byDefault}),
    ...(refused === undefined ? {} : {refused}),
  };
}

/** Throws `driver-failed` where flags do not bear the driver's name: they would be mistaken for others'. */
export function checkDescription(name: string, description: Description): Description {
  const foreign = description.flags.find(flag => !flag.name.startsWith(`${name}-`));
  if (foreign === undefined) return description;
  throw new MachineError('driver-failed', `the driver "${name}" has a flag --${foreign.name}`, {
    remedy: `its flags begin with --${name}-`,
  });
}
