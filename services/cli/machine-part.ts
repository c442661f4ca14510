/** Joins the machine layer with enrolment and first-boot configuration: the composition of `hawser machine`. */
import {randomUUID} from 'node:crypto';
import {dirname} from 'node:path';
import {machineCommands, type Tools} from '../../machine-drivers/commands.ts';
import {allDrivers} from '../../machine-drivers/registry.ts';
import type {FirstBoot, FirstBootWish, OperatorConfig} from '../../machine-drivers/ports.ts';
import {systemClock} from '../common/clock.ts';
import type {Command, CommandContext} from '../common/command.ts';
import {resolvePaths} from '../common/paths.ts';
import type {IgnitionConfig} from '../provisioner/config/ignition.ts';
import type {PartContext} from './dispatch.ts';
import {CliError} from './errors.ts';
import {tellServer} from './machine-gone.ts';

export async function machinePart({
  env,
  words,
}: Pick<PartContext, 'env' | 'words'>): Promise<readonly Command[]> {
  return machineCommands({...machineTools, registry: await allDrivers(env, words)});
}

/** What the machine layer is lent, by whichever command uses it. */
export const machineTools: Pick<Tools, 'runtime'> = {
  runtime: context => {
    const paths = resolvePaths(context.env);
    const clock = systemClock;
    return {
      paths,
      clock,
      env: context.env,
      operator: operatorName(context.env['USER']),
      newUuid: () => randomUUID(),
      // Most machine commands need neither: they are loaded when they are used.
      enrolment: async () =>
        (await import('../provisioner/enrolment/index.ts')).openEnrolment({home: paths.home, clock}),
      firstBoot: () => Promise.resolve(firstBoot(context)),
      removed: machine => tellServer(context, machine),
      updateFiles: async wish => (await import('./update-files.ts')).updateFiles(wish, paths.home),
    };
  },
};

function firstBoot(context: CommandContext): FirstBoot {
  return {
    check: async config => void (await translateOperatorConfig(config, context)),
    render: async wish => renderFirstBoot(wish, context),
  };
}

async function renderFirstBoot(wish: FirstBootWish, context: CommandContext): Promise<string> {
  const [{machineConfig}, {addFile, renderConfig}] = await Promise.all([
    import('../provisioner/config/machine-config.ts'),
    import('../provisioner/config/ignition.ts'),
  ]);
  const {operatorConfig: operator, files, ...rest} = wish;
  const operatorConfig =
    operator === undefined ? undefined : await translateOperatorConfig(operator, context);
  let config = machineConfig({...rest, user: 'core', operatorConfig});
  for (const file of files) config = addFile(config, file);
  return renderConfig(config);
}

/** Local files are read from the configuration's own folder, and from nowhere else. */
async function translateOperatorConfig(
  config: OperatorConfig,
  context: CommandContext,
): Promise<IgnitionConfig> {
  const [{translateWithFiles}, {formatProblem}] = await Promise.all([
    import('../provisioner/config/adapters/local-files.ts'),
    import('../provisioner/config/problem.ts'),
  ]);
  const {ignition, report} = await translateWithFiles(config.text, {
    fileName: config.path,
    filesDir: dirname(config.path),
  });
  if (ignition !== undefined) return ignition;
  for (const problem of report) context.warn(formatProblem(problem));
  throw new CliError('bad-config', `${config.path} cannot be used`, {remedy: 'mend what is listed above'});
}

/** The login, as far as a certificate can carry it. */
function operatorName(user: string | undefined): string {
  const plain = (user ?? '')
    .replaceAll(/[^A-Za-z0-9._-]/g, '_')
    .replace(/^[.-]+/, '')
    .slice(0, 64);
  return plain === '' ? 'operator' : plain;
}
