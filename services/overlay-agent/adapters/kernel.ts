/** The kernel through iproute2 and sysctl: one process for a batch, arguments as arrays. */
import {readdir} from 'node:fs/promises';
import {systemErrorCode} from '../../common/errors.ts';
import {exec, ExecError} from '../../common/exec.ts';
import {noNamespace, parseNamespace, readLines, type Actual, type ActualNamespace} from '../actual.ts';
import {OverlayError} from '../errors.ts';
import {parseFirewall, tableName} from '../firewall.ts';
import type {Step} from '../plan.ts';
import type {Dataplane} from '../ports.ts';

const TIMEOUT_MS = 20_000;
/** The system's own programs and no others: a package of npm has an `nft` as well. */
const systemPath = {PATH: '/usr/sbin:/usr/bin:/sbin:/bin'};
const namespacesFolder = '/run/netns';
/** Ours alone; `ip netns` of other people is left as it is. */
const OWN = /^hawser-[0-9a-f]{6}$/;
const STRAY = /^hwx[0-9a-f]{6}$/;

export function kernelDataplane(): Dataplane {
  return {
    read: async () => {
      const names = (await folder(namespacesFolder)).filter(name => OWN.test(name));
      const [links, firewall, ...read] = await Promise.all([
        run(['ip', '-j', 'link', 'show'], ''),
        readFirewall(),
        ...names.map(async name => [name, await readNamespace(name)] as const),
      ]);
      const strays = links.stdout.match(/"ifname":"hwx[0-9a-f]{6}"/g) ?? [];
      return {
        namespaces: new Map(read),
        firewall,
        strays: strays.map(text => text.slice(10, -1)).filter(name => STRAY.test(name)),
      };
    },
    apply: async steps => {
      const failures: string[] = [];
      for (const step of steps) failures.push(...(await applyStep(step)));
      return failures;
    },
    addPort: async ({namespace, port, inside, mac, mtu}) => {
      const own = ['ip', 'link', 'add', inside, 'address', mac, 'mtu', String(mtu), 'type', 'veth'];
      await must([...own, 'peer', 'name', port, 'mtu', String(mtu), 'netns', namespace]);
      await must(['ip', '-n', namespace, 'link', 'set', port, 'master', 'br0', 'up']);
    },
    removePort: async (namespace, port) => {
      // The pair, or the whole namespace, may be gone already.
      await run(['ip', '-n', namespace, 'link', 'del', port], '', [0, 1, 255]);
    },
  };
}

async function readFirewall(): Promise<Actual['firewall']> {
  try {
    return parseFirewall((await run(['nft', '-j', 'list', 'table', 'inet', tableName], '', [0, 1])).stdout);
  } catch (error) {
    if (error instanceof OverlayError && error.cause instanceof ExecError && error.cause.code === 'not-found')
      return 'unavailable';
    throw error;
  }
}

async function readNamespace(name: string): Promise<ActualNamespace> {
  try {
    const [ip, bridge] = await Promise.all([
      run(['ip', '-n', name, '-j', '-d', '-batch', '-'], `${readLines.join('\n')}\n`),
      run(['bridge', '-n', name, '-j', 'fdb', 'show'], ''),
    ]);
    return parseNamespace(ip.stdout, bridge.stdout);
  } catch (error) {
    // A name without a namespace behind it (its mount is gone) cannot be read, and is made anew by what follows.
    if (error instanceof OverlayError && /Invalid argument/.test(error.message)) return noNamespace;
    throw error;
  }
}

/** Batches go on after a line that fails, so that one wrong entry spoils no other. */
async function applyStep(step: Step): Promise<string[]> {
  if (step.tool === 'nft') {
    const {code, stderr} = await run(['nft', '-f', '-'], step.text, [0, 1]);
    return code === 0 ? [] : [`nft: ${stderr.trim()}`];
  }
  const argv =
    step.tool === 'sysctl'
      ? ['ip', 'netns', 'exec', step.namespace, 'sysctl', '-q', '-w', ...step.settings]
      : [step.tool, ...(step.namespace === undefined ? [] : ['-n', step.namespace]), '-force', '-batch', '-'];
  const input = step.tool === 'sysctl' ? '' : `${step.lines.join('\n')}\n`;
  const {code, stderr} = await run(argv, input, [0, 1, 2, 255]);
  if (code === 0) return [];
  const said = stderr.trim().split('\n');
  if (step.tool === 'sysctl') return said;
  // `Command failed -:3` names the line that the error before it is about.
  return said.flatMap((line, index) => {
    const [, number] = /^Command failed -:(\d+)$/.exec(line) ?? [];
    return number === undefined ? [] : [`${step.lines[Number(number) - 1]}: ${said[index - 1] ?? 'failed'}`];
  });
}

async function must(argv: readonly string[]): Promise<void> {
  await run(argv, '');
}

async function run(argv: readonly string[], input: string, okCodes: readonly number[] = [0]) {
  try {
    return await exec(argv, {timeoutMs: TIMEOUT_MS, input, okCodes, env: systemPath});
  } catch (error) {
    if (!(error instanceof ExecError)) throw error;
    throw new OverlayError(
      'dataplane',
      `${argv.slice(0, 6).join(' ')}: ${error.result.stderr.trim() || error.message}`,
      {
        cause: error,
      },
    );
  }
}

async function folder(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
