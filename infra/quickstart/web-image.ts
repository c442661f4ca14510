/** A web server in a container, made of Debian's static busybox: there is nothing to pull. */
import {copyFile, mkdir, mkdtemp, readFile, rm, writeFile, chmod} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {create} from 'tar';

export const webPort = 8080;
export const webCommand = ['/bin/busybox', 'httpd', '-f', '-p', String(webPort), '-h', '/www'] as const;

/** The root file system as a tar archive; its one page says `text`. */
export async function webRootArchive(text: string): Promise<Buffer> {
  const root = await mkdtemp(join(tmpdir(), 'hawser-web-'));
  try {
    await mkdir(join(root, 'bin'));
    await mkdir(join(root, 'www'));
    await copyFile('/bin/busybox', join(root, 'bin/busybox'));
    await chmod(join(root, 'bin/busybox'), 0o755);
    await writeFile(join(root, 'www/index.html'), `${text}\n`);
    const archive = join(root, 'root.tar');
    await create({cwd: root, file: archive, portable: true, mtime: new Date(0)}, ['bin', 'www']);
    return await readFile(archive);
  } finally {
    await rm(root, {recursive: true, force: true});
  }
}
