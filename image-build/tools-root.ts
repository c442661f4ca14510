/**
 * Runs programs inside an unpacked Debian root, in namespaces of their own: no loop device, no device-mapper, no
 * disk of this machine, no network, no file that depends on the operator's umask, and nothing left after it.
 */
import {exec, type ExecResult} from '../services/common/exec.ts';

export interface RootRun {
  readonly root: string;
  /** Host folder -> absolute path inside the root; made there when absent. */
  readonly binds: Readonly<Record<string, string>>;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly input?: string | Uint8Array;
  readonly onLine?: (line: string) => void;
  /** `host` runs `argv` outside the root, beside its mounts: for a program that enters the root by itself. */
  readonly where?: 'root' | 'host';
  readonly cwd?: string;
}

/** The environment of every program of a build: nothing of the operator's own reaches it. */
export const buildEnvironment: Readonly<Record<string, string>> = {
  PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LC_ALL: 'C.UTF-8',
  TZ: 'UTC',
};

/** Namespaces that end with the program: whatever it started is killed, whatever it mounted is gone. */
export const privateNamespaces = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];

/**
 * The script only makes the mounts; every value reaches it as an argument. `$1` root or host, `$2` the root, then
 * pairs of source and target up to `--`, then the command.
 */
const enterScript = `
set -eu
umask 022
where=$1 root=$2; shift 2
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom tty; do
  : > "$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
mkdir -m 1777 "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
while [ "$1" != -- ]; do
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  shift 2
done
shift
if [ "$where" = host ]; then exec "$@"; fi
exec chroot "$root" "$@"
`;

/** Runs `argv` in the root and returns its output; errors are those of {@link exec}. */
export async function execInRoot(run: RootRun): Promise<ExecResult> {
  const binds = Object.entries(run.binds).flat();
  const enter = [
    'sh',
    '-c',
    enterScript,
    'enter',
    run.where ?? 'root',
    run.root,
    ...binds,
    '--',
    ...run.argv,
  ];
  return exec([...privateNamespaces, '--net', '--', ...enter], {
    timeoutMs: run.timeoutMs,
    signal: run.signal,
    env: {...buildEnvironment, ...run.env},
    ...(run.input === undefined ? {} : {input: run.input}),
    ...(run.onLine === undefined ? {} : {onLine: run.onLine}),
    ...(run.cwd === undefined ? {} : {cwd: run.cwd}),
  });
}
