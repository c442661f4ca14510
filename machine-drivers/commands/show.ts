/** Commands that tell where a machine is: ip, url, status, env, config. */
import {UsageError, flagBoolean, flagString} from '../../services/common/command.ts';
import type {Command, Flag} from '../../services/common/command.ts';
import {ensureClientCertificate} from '../docker/certificate.ts';
import {ping} from '../docker/api.ts';
import {
  detectShell,
  extendNoProxy,
  isShell,
  renderConfig,
  renderEnvironment,
  renderUnset,
  shells,
} from '../docker/environment.ts';
import type {DockerEnvironment, Shell} from '../docker/environment.ts';
import {MachineError} from '../errors.ts';
import {loadMachine} from '../machine.ts';
import type {MachineDeps} from '../machine.ts';
import {observeStored} from '../observation.ts';
import {wantsJson} from './create.ts';
import {calledAs, dockerUrl, namesOrDefault, onEach, openDeps, outputFlag, runningMachine} from './run.ts';
import type {Tools} from './run.ts';

const PING_TIMEOUT_MS = 20_000;

const swarmFlag: Flag = {
  name: 'swarm',
  type: 'boolean',
  summary: 'standalone Swarm',
  refused: 'standalone Swarm is gone; see hawser cluster',
};

export function showCommands(tools: Tools): readonly Command[] {
  const one = {usage: '[NAME]', arguments: {min: 0, max: 1}};
  const many = {usage: '[NAME...]', arguments: {min: 0, max: 1000}};
  return [
    {
      name: 'machine ip',
      summary: 'print the address of machines',
      ...many,
      flags: [
        {name: 'private', type: 'boolean', summary: 'the address by which machines of the fleet reach it'},
        outputFlag,
      ],
      run: async (context, input) => {
        const json = wantsJson(input);
        const deps = await openDeps(tools, context);
        const addresses = new Map<string, string>();
        const names = await namesOrDefault(deps, input.args);
        await onEach(context, names, async name => {
          const {endpoint} = await runningMachine(deps, name);
          addresses.set(
            name,
            flagBoolean(input.flags, 'private')
              ? privateAddress(name, endpoint.privateAddress)
              : endpoint.docker.host,
          );
        });
        if (json) context.print(JSON.stringify(names.map(name => ({name, ip: addresses.get(name)}))));
        else for (const name of names) context.print(addresses.get(name) ?? '');
        return 0;
      },
    },
    {
      name: 'machine url',
      summary: "print the address of a machine's Docker",
      ...one,
      flags: [outputFlag],
      run: async (context, input) => {
        const json = wantsJson(input);
        const deps = await openDeps(tools, context);
        const name = await oneName(deps, input.args);
        const url = dockerUrl((await runningMachine(deps, name)).endpoint);
        context.print(json ? JSON.stringify({name, url}) : url);
        return 0;
      },
    },
    {
      name: 'machine status',
      summary: "print a machine's state",
      ...one,
      flags: [outputFlag],
      run: async (context, input) => {
        const deps = await openDeps(tools, context);
        const stored = await loadMachine(deps.store, await oneName(deps, input.args));
        const {state} = await observeStored(deps, stored);
        const {finished} = stored.ledger;
        context.print(wantsJson(input) ? JSON.stringify({name: stored.record.name, state, finished}) : state);
        return 0;
      },
    },
    {
      name: 'machine env',
      summary: 'print the shell commands that point docker at a machine',
      ...one,
      flags: [
        {name: 'shell', type: 'string', summary: `${shells.join(', ')}; taken from SHELL when absent`},
        {
          name: 'unset',
          short: 'u',
          type: 'boolean',
          summary: 'print the commands that take the variables back',
        },
        {name: 'no-proxy', type: 'boolean', summary: 'also add the machine to NO_PROXY'},
        swarmFlag,
      ],
      run: async (context, input) => {
        const given = flagString(input.flags, 'shell');
        const shell = chooseShell(given, context.env['SHELL']);
        const noProxy = flagBoolean(input.flags, 'no-proxy');
        const typed = [
          `${calledAs(context)} env`,
          ...(given === undefined ? [] : [`--shell ${given}`]),
          ...(noProxy ? ['--no-proxy'] : []),
        ];
        if (flagBoolean(input.flags, 'unset')) {
          for (const line of renderUnset(shell, noProxy, [...typed, '-u'].join(' '))) context.print(line);
          return 0;
        }
        const deps = await openDeps(tools, context);
        const name = await oneName(deps, input.args);
        const environment = await dockerEnvironment(deps, name);
        const proxied = noProxy
          ? {
              ...environment,
              noProxy: extendNoProxy(context.env['NO_PROXY'], new URL(environment.host).hostname),
            }
          : environment;
        for (const line of renderEnvironment(shell, proxied, [...typed, ...input.args].join(' ')))
          context.print(line);
        return 0;
      },
    },
    {
      name: 'machine config',
      summary: 'print the flags that point docker at a machine',
      ...one,
      flags: [swarmFlag, outputFlag],
      run: async (context, input) => {
        const json = wantsJson(input);
        const deps = await openDeps(tools, context);
        const environment = await dockerEnvironment(deps, await oneName(deps, input.args));
        if (json) context.print(JSON.stringify(environment));
        else for (const line of renderConfig(environment)) context.print(line);
        return 0;
      },
    },
  ];
}

/** Where a machine's Docker is, after it answered: a stopped machine or a bad certificate shows here, not later. */
async function dockerEnvironment(deps: MachineDeps, name: string): Promise<DockerEnvironment> {
  const {stored, endpoint} = await runningMachine(deps, name);
  const {folder, record} = stored;
  await ensureClientCertificate(deps.runtime, folder, deps.runtime.operator);
  try {
    await ping({address: endpoint.docker, uuid: record.uuid, folder}, PING_TIMEOUT_MS, deps.signal);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new MachineError('docker-silent', `Docker on "${name}" does not answer: ${why}`, {
      remedy: `see hawser machine status ${name}, or restart it`,
      cause: error,
    });
  }
  return {name, host: dockerUrl(endpoint), certPath: folder};
}

async function oneName(deps: MachineDeps, args: readonly string[]): Promise<string> {
  const [name = ''] = await namesOrDefault(deps, args);
  return name;
}

function chooseShell(given: string | undefined, shellPath: string | undefined): Shell {
  if (given === undefined) return detectShell(shellPath);
  if (isShell(given)) return given;
  throw new UsageError('bad-value', `--shell is "${given}"`, {remedy: `one of ${shells.join(', ')}`});
}

function privateAddress(name: string, address: string | undefined): string {
  if (address !== undefined) return address;
  throw new MachineError('no-address', `machine "${name}" has no private address`, {
    remedy: 'leave out --private',
  });
}
