/** A shell script run as root on a machine. It is sent on standard input, so nothing of it shows in an argument list. */
import {exec} from '../../services/common/exec.ts';

/** Its standard output. Throws ExecError when it fails. */
export async function runRootScript(
  ssh: readonly string[],
  script: string,
  limit: {readonly timeoutMs: number; readonly signal: AbortSignal},
): Promise<string> {
  return (await exec([...ssh, '--', 'sudo sh -s'], {...limit, input: script})).stdout;
}

/** Lines that write `contents` to `path` by rename; `contents` may hold anything but a line `HAWSER_END`. */
export function writeFileLines(path: string, mode: number, contents: string): string[] {
  const temporary = shellQuote(`${path}.hawser-new`);
  const text = contents.endsWith('\n') ? contents : `${contents}\n`;
  return [
    `mkdir -p ${shellQuote(path.slice(0, path.lastIndexOf('/')))}`,
    `(umask 077; cat > ${temporary} <<'HAWSER_END'\n${text}HAWSER_END\n)`,
    `chmod ${(mode & 0o7777).toString(8)} ${temporary}`,
    `sync ${temporary}`,
    `mv ${temporary} ${shellQuote(path)}`,
  ];
}

export function shellQuote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
