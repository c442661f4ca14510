/** From the YAML's sugar to plain Ignition: contents, trees, mount units, and Hawser's conveniences. */
import type {ButaneConfig, ButaneFile, ButaneFilesystem, ButaneLuks} from './butane-schema.ts';
import {errorAt, written} from './check-context.ts';
import {
  ignitionVersion,
  type File,
  type IgnitionConfig,
  type Luks,
  type Resource,
  type Storage,
} from './ignition-schema.ts';
import {translateResource, type TranslateContext} from './resources.ts';
import {addTrees} from './trees.ts';
import type {ButaneResource} from './butane-schema.ts';

/** The config without its sugar, every object with the place of the one it came from. */
export function desugar(config: ButaneConfig, context: TranslateContext): IgnitionConfig {
  const ignition = desugarIgnition(config.ignition, context);
  const storage = config.storage && desugarStorage(config.storage, context);
  return {
    ignition: context.marks.carry(config.ignition ?? config, ignition),
    ...(storage && {storage}),
    ...(config.passwd && {passwd: config.passwd}),
    ...(config.systemd && {systemd: config.systemd}),
    ...(config.kernelArguments && {kernelArguments: config.kernelArguments}),
  };
}

function desugarIgnition(
  from: ButaneConfig['ignition'],
  context: TranslateContext,
): IgnitionConfig['ignition'] {
  const {config, security, timeouts, proxy} = from ?? {};
  const authorities = security?.tls?.certificateAuthorities;
  return {
    version: ignitionVersion,
    ...(config && {
      config: context.marks.carry(config, {
        ...(config.merge && {merge: desugarList(config.merge, context)}),
        ...(config.replace && {replace: translateResource(config.replace, context)}),
      }),
    }),
    ...(timeouts && {timeouts}),
    ...(authorities && {security: {tls: {certificateAuthorities: desugarList(authorities, context)}}}),
    ...(proxy && {proxy}),
  };
}

function desugarList(list: readonly ButaneResource[], context: TranslateContext): Resource[] {
  return context.marks.carry(
    list,
    list.map(resource => translateResource(resource, context)),
  );
}

function desugarStorage(from: NonNullable<ButaneConfig['storage']>, context: TranslateContext): Storage {
  const {trees = [], files = [], links = [], directories = [], luks, filesystems, disks, raid} = from;
  const translated = files.map(file => desugarFile(file, context));
  const all = addTrees(trees, {files: translated, links, directories}, context);
  return context.marks.carry(from, {
    ...(disks && {disks}),
    ...(raid && {raid}),
    ...(luks && {luks: luks.map(one => desugarLuks(one, context))}),
    ...(filesystems && {filesystems: filesystems.map(one => desugarFilesystem(one, context))}),
    ...(directories.length > 0 && {directories}),
    ...(all.links.length > 0 && {links: all.links}),
    ...(all.files.length > 0 && {files: all.files}),
  });
}

function desugarFile(from: ButaneFile, context: TranslateContext): File {
  const {contents, append, ...rest} = from;
  return context.marks.carry(from, {
    ...rest,
    ...(contents && {contents: translateResource(contents, context)}),
    ...(append && {append: desugarList(append, context)}),
  });
}

function desugarLuks(from: ButaneLuks, context: TranslateContext): Luks {
  const {keyFile, ...rest} = from;
  return context.marks.carry(from, {...rest, ...(keyFile && {keyFile: translateResource(keyFile, context)})});
}

function desugarFilesystem(
  from: ButaneFilesystem,
  context: TranslateContext,
): NonNullable<Storage['filesystems']>[number] {
  const {withMountUnit, ...rest} = from;
  if (withMountUnit === true && rest.format !== 'swap' && (rest.path ?? '') === '') {
    const rule = `${written(context, 'withMountUnit')}: true`;
    errorAt(context, from, 'withMountUnit', `${rule} needs a path, except for swap`);
  }
  return context.marks.carry(from, rest);
}
