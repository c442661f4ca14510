/** `machine inspect`, `active` and `version`: what scripts ask for. */
import {flagInteger, flagString} from '../../services/common/command.ts';
import type {Command, CommandContext} from '../../services/common/command.ts';
import {dockerVersion} from '../docker/api.ts';
import {MachineError} from '../errors.ts';
import {renderTemplate} from '../format/template.ts';
import {observeAll} from '../listing.ts';
import {loadMachine} from '../machine.ts';
import type {MachineDeps} from '../machine.ts';
import {observeStored} from '../observation.ts';
import {positive, wantsJson} from './create.ts';
import {calledAs, namesOrDefault, openDeps, runningMachine} from './run.ts';
import type {Tools} from './run.ts';

const VERSION_TIMEOUT_MS = 20_000;
const outputFlag = {name: 'output', type: 'string', default: 'text', summary: 'text or json'} as const;

export function inspectCommands(tools: Tools): readonly Command[] {
  return [
    {
      name: 'machine inspect',
      summary: 'print everything known about a machine as JSON',
      usage: '[NAME]',
      arguments: {min: 0, max: 1},
      flags: [
        {
          name: 'format',
          short: 'f',
          type: 'string',
          summary: "Go template, for instance '{{.Driver.IPAddress}}' or '{{json .Driver}}'",
        },
      ],
      run: async (context, input) => {
        const deps = await openDeps(tools, context);
        const shown = await everythingAbout(deps, await nameOf(deps, input.args));
        const format = flagString(input.flags, 'format');
        context.print(
          format === undefined ? JSON.stringify(shown, undefined, 4) : renderTemplate(format, shown),
        );
        return 0;
      },
    },
    {
      name: 'machine active',
      summary: 'print which machine DOCKER_HOST points at',
      arguments: {min: 0, max: 0},
      flags: [
        {name: 'timeout', short: 't', type: 'integer', default: 10, summary: 'seconds to wait for an answer'},
        outputFlag,
      ],
      run: async (context, input) => {
        const json = wantsJson(input);
        const timeoutMs = positive('timeout', flagInteger(input.flags, 'timeout') ?? 10) * 1000;
        const name = await activeMachine(await openDeps(tools, context), context, timeoutMs);
        context.print(json ? JSON.stringify({name}) : name);
        return 0;
      },
    },
    {
      name: 'machine version',
      summary: "print this program's version, or that of a machine's Docker",
      usage: '[NAME]',
      arguments: {min: 0, max: 1},
      flags: [outputFlag],
      run: async (context, input) => {
        const json = wantsJson(input);
        const [name] = input.args;
        if (name === undefined) {
          const version = context.version ?? 'unknown';
          context.print(json ? JSON.stringify({version}) : `${calledAs(context)} version ${version}`);
          return 0;
        }
        const deps = await openDeps(tools, context);
        const {stored, endpoint} = await runningMachine(deps, name);
        const target = {address: endpoint.docker, uuid: stored.record.uuid, folder: stored.folder};
        const version = await dockerVersion(target, VERSION_TIMEOUT_MS, deps.signal);
        context.print(json ? JSON.stringify({name, docker: version}) : version);
        return 0;
      },
    },
  ];
}

async function nameOf(deps: MachineDeps, args: readonly string[]): Promise<string> {
  const [name = ''] = await namesOrDefault(deps, args);
  return name;
}

/** What docker-machine's `config.json` had, under its names, and what we know beside it, under ours. */
async function everythingAbout(deps: MachineDeps, name: string): Promise<Readonly<Record<string, unknown>>> {
  const stored = await loadMachine(deps.store, name);
  const {record, ledger, folder} = stored;
  const {driver, machine, state, detail, endpoint} = await observeStored(deps, stored);
  return {
    ConfigVersion: 3,
    Driver: {
      IPAddress: endpoint?.docker.host ?? '',
      MachineName: record.name,
      SSHUser: record.user,
      SSHPort: endpoint?.ssh.port ?? 0,
      SSHKeyPath: `${folder}/id_ed25519`,
      StorePath: deps.store.root,
    },
    DriverName: record.driver,
    HostOptions: {
      AuthOptions: {
        StorePath: folder,
        CertDir: folder,
        CaCertPath: `${folder}/ca.pem`,
        ClientCertPath: `${folder}/cert.pem`,
        ClientKeyPath: `${folder}/key.pem`,
        ServerCertSANs: record.certificateNames ?? [],
      },
      EngineOptions: {
        Labels: Object.entries(record.labels ?? {}).map(([label, value]) => `${label}=${value}`),
      },
      SwarmOptions: {IsSwarm: false},
    },
    Name: record.name,
    ...record,
    state,
    ...(detail === undefined ? {} : {detail}),
    finished: ledger.finished,
    steps: [...ledger.done],
    resources: machine.resources,
    endpoint,
    console: driver.consoleLog?.(machine),
    folder,
  };
}

async function activeMachine(deps: MachineDeps, context: CommandContext, timeoutMs: number): Promise<string> {
  const host = context.env['DOCKER_HOST'];
  if (host !== undefined && host !== '') {
    const rows = await observeAll(deps, await deps.store.names(), host, timeoutMs, {docker: false});
    const active = rows.find(row => row.active);
    if (active !== undefined) return active.name;
    const slow = rows.find(row => row.state === 'Timeout');
    if (slow !== undefined)
      throw new MachineError('no-address', 'Error getting active host: timeout', {
        remedy: `"${slow.name}" did not answer; give a longer --timeout`,
      });
  }
  throw new MachineError('no-such-machine', 'No active host found', {
    remedy: `eval $(${calledAs(context)} env NAME)`,
  });
}
