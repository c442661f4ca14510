/**
 * Runs programs inside an unpacked Debian root, in private mount and process namespaces: no loop device, no
 * device-mapper, nothing of it visible outside, nothing left after it.
 */
import {exec, type ExecResult} from '../services/common/exec.ts';

export interface RootRun {
  readonly root: string;
  /** Host folder -> absolute path inside the root, which must exist there. */
  readonly binds: Readonly<Record<string, string>>;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly input?: string | Uint8Array;
  readonly onLine?: (line: string) => void;
}

/**
 * The script only makes the mounts; every value reaches it as an argument. `$1` root, then pairs of
 * source and target up to `--`, then the command.
 */
const enterScript = `
set -eu
root=$1; shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
while [ "$1" != -- ]; do
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  shift 2
done
shift
exec chroot "$root" "$@"
`;

/** Runs `argv` in the root and returns its output; errors are those of {@link exec}. */
export async function execInRoot(run: RootRun): Promise<ExecResult> {
  const binds = Object.entries(run.binds).flat();
  return exec(
    ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--', 'sh', '-c', enterScript, 'enter', run.root, ...binds, '--', ...run.argv],
    {
      timeoutMs: run.timeoutMs,
      signal: run.signal,
      env: {PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LC_ALL: 'C.UTF-8', TZ: 'UTC', ...run.env},
      ...(run.input === undefined ? {} : {input: run.input}),
      ...(run.onLine === undefined ? {} : {onLine: run.onLine}),
    },
  );
}
