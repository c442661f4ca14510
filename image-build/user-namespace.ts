/**
 * The rights of a build for a normal user: the same command runs once more inside a user namespace, where the user
 * is root over the ids that /etc/subuid and /etc/subgid lend them. Owners and modes come out as on root's machine.
 */
import {extname} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {Command, CommandContext, CommandInput} from '../services/common/command.ts';
import {exec, ExecError} from '../services/common/exec.ts';
import {ImageError} from './errors.ts';

const PROBE_TIMEOUT_MS = 10_000;
/** Not the build's limit: each of its steps has its own. */
const BUILD_TIMEOUT_MS = 24 * 3_600_000;

/** `--map-auto` maps the lent ids from 1 on, `--map-root-user` the user itself to 0. */
const enter = ['unshare', '--map-root-user', '--map-auto', '--mount', '--'];
/** Mounting is what AppArmor takes away inside the namespace on Ubuntu 23.10 and later; chown needs the lent ids. */
const probe = ['sh', '-c', 'mount -t tmpfs tmpfs /tmp && touch /tmp/probe && chown 65534:65534 /tmp/probe'];

/** `command`, which makes or removes what belongs to lent ids, run in a user namespace when the user is not root. Throws {@link ImageError} `tool-missing` where that cannot be. */
export function withBuildRights(command: Command): Command {
  return {
    ...command,
    run: async (context, input) => {
      // Folders and files of the image must not depend on the operator's umask.
      process.umask(0o022);
      if (process.geteuid?.() === 0) return command.run(context, input);
      await checkUserNamespaces(context.signal);
      return runAgain(command, context, input);
    },
  };
}

async function runAgain(command: Command, context: CommandContext, input: CommandInput): Promise<number> {
  const main = fileURLToPath(new URL(`../services/cli/main${extname(import.meta.url)}`, import.meta.url));
  const argv = [process.execPath, main, ...command.name.split(' '), ...renderInput(input)];
  // The child prints its own errors and hears ^C itself, so only its exit code is wanted here.
  const result = await exec([...enter, ...argv], {
    timeoutMs: BUILD_TIMEOUT_MS,
    signal: context.signal,
    stdio: 'inherit',
    cwd: context.cwd,
    okCodes: Array.from({length: 256}, (_, code) => code),
  });
  return result.code ?? 1;
}

/** The arguments that parse to `input` again: flags first, then `--` and the rest. */
export function renderInput(input: CommandInput): string[] {
  const flags = [...input.flags].flatMap(([name, value]) => {
    if (value === false) return [];
    if (value === true) return [`--${name}`];
    return (typeof value === 'object' ? value : [value]).map(one => `--${name}=${one}`);
  });
  return input.args.length === 0 ? flags : [...flags, '--', ...input.args];
}

async function checkUserNamespaces(signal: AbortSignal): Promise<void> {
  try {
    await exec([...enter, ...probe], {timeoutMs: PROBE_TIMEOUT_MS, signal});
  } catch (error) {
    if (!(error instanceof ExecError) || error.code === 'aborted') throw error;
    const message = 'a build without root needs user namespaces, which this machine does not give';
    throw new ImageError('tool-missing', message, {remedy: remedyFor(error.result.stderr), cause: error});
  }
}

/** What to do about what unshare or the probe printed. */
export function remedyFor(stderr: string): string {
  if (/newuidmap|newgidmap/.test(stderr) && /No such file|failed to execute|not found/.test(stderr)) {
    return 'install the package uidmap (infra/setup.sh does), or run the command as root';
  }
  if (/unrecognized option/.test(stderr)) {
    return 'util-linux 2.38 or newer is needed for it (Debian 12, Ubuntu 24.04); run the command as root';
  }
  if (/subuid|subgid|no line matching|write to uid_map failed|newuidmap|newgidmap/i.test(stderr)) {
    return 'add 65536 ids for this user with "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER", or run the command as root';
  }
  return 'on Ubuntu run "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0", in a container allow user namespaces, or run the command as root';
}
