/** Bundles the host agents: one file each, so that no machine carries a node_modules folder. */
import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {build} from 'esbuild';
import {ImageError} from '../errors.ts';

/** Agent name -> bundle, written below `work/agents`. */
export async function buildAgents(
  names: readonly string[],
  sources: string,
  work: string,
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const folder = join(work, 'agents');
  await mkdir(folder, {recursive: true});
  const bundles: Record<string, string> = {};
  for (const name of names) {
    signal.throwIfAborted();
    const outfile = join(folder, `${name}.mjs`);
    try {
      await build({
        entryPoints: [join(sources, 'services', name, 'main.ts')],
        absWorkingDir: sources,
        outfile,
        bundle: true,
        platform: 'node',
        target: 'node24',
        format: 'esm',
        minifySyntax: true,
        minifyWhitespace: true,
        legalComments: 'none',
        logLevel: 'silent',
        // CommonJS dependencies call require(), which an ES module does not have by itself
        banner: {
          js: "import {createRequire} from 'node:module';const require=createRequire(import.meta.url);",
        },
      });
    } catch (error) {
      throw new ImageError('step-failed', `the agent ${name} does not bundle`, {cause: error});
    }
    bundles[name] = outfile;
  }
  return bundles;
}
