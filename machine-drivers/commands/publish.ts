/** `image publish --to TARGET`: lives here because only drivers know their platforms. */
import {openBuiltImage} from '../built-image.ts';
import {driverContext} from '../machine.ts';
import {join, resolve} from 'node:path';
import {UsageError, flagString} from '../../services/common/command.ts';
import type {Command, CommandContext, CommandInput} from '../../services/common/command.ts';
import {currentImage} from '../../services/common/paths.ts';
import {withStep} from '../../services/common/progress.ts';
import {recordPublished} from '../../services/common/published-images.ts';
import type {Publisher} from '../publisher.ts';
import {wantsJson} from './create.ts';
import {openDeps} from './run.ts';
import type {Tools} from './run.ts';

export function publishCommand(tools: Tools): Command {
  const publishers = tools.registry.flatMap(({publisher}) => (publisher === undefined ? [] : [publisher]));
  const targets = publishers.map(publisher => publisher.target).join(', ');
  return {
    name: 'image publish',
    summary: 'bring a built image to a cloud, so that machines start from it there',
    usage: '[IMAGE]',
    arguments: {min: 0, max: 1},
    flags: [
      {name: 'to', type: 'string', summary: `where to: ${targets}`},
      {name: 'output', type: 'string', default: 'text', summary: 'text or json'},
      // Drivers may share flags with their publishers.
      ...new Map(publishers.flatMap(({flags}) => flags.map(flag => [flag.name, flag]))).values(),
    ],
    run: (context, input) => run(tools, publishers, context, input),
  };
}

async function run(
  tools: Tools,
  publishers: readonly Publisher[],
  context: CommandContext,
  input: CommandInput,
): Promise<number> {
  const to = flagString(input.flags, 'to');
  const publisher = publishers.find(known => known.target === to);
  if (publisher === undefined) {
    throw new UsageError('bad-value', to === undefined ? 'publish needs --to' : `--to is "${to}"`, {
      remedy: `one of ${publishers.map(known => known.target).join(', ')}`,
    });
  }
  const json = wantsJson(input);
  const deps = await openDeps(tools, context);
  const {paths} = deps.runtime;
  const settings = await publisher.configure(input.flags, {cwd: context.cwd, paths, env: context.env});
  const [given] = input.args;
  const image = await openBuiltImage(
    given === undefined ? currentImage(paths) : namedImage(paths.home, context.cwd, given),
  );
  const asked = await driverContext(deps);
  const published = await withStep(
    context.progress,
    `Publishing ${image.manifest.name} ${image.manifest.version} to ${publisher.target}`,
    step => publisher.publish(image, settings, {...asked, report: detail => step.update(detail)}),
  );
  await recordPublished(paths.home, published);
  context.print(json ? JSON.stringify(published) : published.reference);
  return 0;
}

/** As `hawser image` reads it: a path when it has a slash, else a name among the built images. */
function namedImage(home: string, cwd: string, given: string): string {
  return given.includes('/') || given === '.' || given === '..'
    ? resolve(cwd, given)
    : join(home, 'images', given);
}
