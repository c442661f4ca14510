/** A web server in a container, made of Debian's static busybox: there is nothing to pull. */
import {copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile, chmod} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {create} from 'tar';

export const webPort = 8080;
export const slowPath = '/cgi-bin/slow';
/** The slow page sends a line a second for this long. */
export const SLOW_SECONDS = 30;
/** Longer than the slow page and the time in which it goes on taking requests, with room for a slow machine. */
export const STOP_GRACE_SECONDS = 90;
/** Requests may still come for so long after the container is told to stop: it answers them. */
const LAME_SECONDS = 5;

export const webCommand = ['/bin/busybox', 'sh', '/bin/serve'] as const;

/**
 * The first process. On SIGTERM it goes on serving for a while, stops listening, and ends when the last answer has
 * been sent: busybox's httpd has a process for each connection, which lives on when the listening one is killed.
 */
const serve = `#!/bin/busybox sh
b=/bin/busybox
stopping=
trap 'stopping=yes' TERM
echo "$TEXT" > /www/index.html
/bin/httpd -f -p ${webPort} -h /www &
listener=$!
while [ -z "$stopping" ]; do
  wait $listener
  $b kill -0 $listener 2>/dev/null || exit 1
done
$b sleep ${LAME_SECONDS}
$b kill $listener
while $b pidof httpd > /dev/null || $b pidof slow > /dev/null; do $b sleep 1; done
exit 0
`;

/** Lines of 16 bytes, so that the length is known and a cut answer shows. */
const slow = (seconds: number) => `#!/bin/busybox sh
read -r text < /www/index.html
end="done $text"
printf 'Content-Type: text/plain\\r\\nContent-Length: %s\\r\\n\\r\\n' $((${seconds} * 16 + \${#end} + 1))
i=0
while [ $i -lt ${seconds} ]; do
  printf '%15s\\n' "line $i"
  i=$((i + 1))
  /bin/busybox sleep 1
done
echo "$end"
`;

/** The words after which a page names its origin: \`hawser web VERSION on MACHINE\`. */
export const pageMark = 'hawser web ';

/** What of a page names its origin; undefined when it is not one of ours, or not all of it. */
export function answererOf(body: string, isSlow: boolean): string | undefined {
  const last = body.trimEnd().split('\n').at(-1) ?? '';
  const words = isSlow ? last.replace(/^done /, '') : last;
  if (isSlow && words === last) return undefined;
  return words.startsWith(pageMark) ? words.slice(pageMark.length) : undefined;
}

/** The root file system as a tar archive; its page says what the variable TEXT says. */
export async function webRootArchive(slowSeconds = SLOW_SECONDS): Promise<Buffer> {
  const root = await mkdtemp(join(tmpdir(), 'hawser-web-'));
  try {
    await mkdir(join(root, 'bin'));
    await mkdir(join(root, 'www/cgi-bin'), {recursive: true});
    await copyFile('/bin/busybox', join(root, 'bin/busybox'));
    await chmod(join(root, 'bin/busybox'), 0o755);
    // pidof knows a program by the name it was called by
    await symlink('busybox', join(root, 'bin/httpd'));
    await writeFile(join(root, 'bin/serve'), serve, {mode: 0o755});
    await writeFile(join(root, 'www/cgi-bin/slow'), slow(slowSeconds), {mode: 0o755});
    const archive = join(root, 'root.tar');
    await create({cwd: root, file: archive, portable: true, mtime: new Date(0)}, ['bin', 'www']);
    return await readFile(archive);
  } finally {
    await rm(root, {recursive: true, force: true});
  }
}
