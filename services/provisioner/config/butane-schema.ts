/**
 * The YAML that operators write: Butane's `flatcar` 1.0.0 and `fcos` 1.4.0, and our `hawser` 1.0.0. All three are
 * Ignition 3.3.0 with sugar; the reader turns their snake_case into the names used here.
 */
import {Type, type Static} from 'typebox';
import {
  commonSections,
  fileSchema,
  filesystemFields,
  ignitionSectionFields,
  luksSchema,
  resourceFields,
  storageFields,
  tangList,
} from './schema.ts';

const optional = Type.Optional;

const ButaneResource = Type.Object({
  ...resourceFields,
  inline: optional(Type.String()),
  local: optional(Type.String({rule: 'localPath'})),
});
const ButaneFile = fileSchema(ButaneResource);
const ButaneLuks = luksSchema(ButaneResource);
const ButaneFilesystem = Type.Object({...filesystemFields, withMountUnit: optional(Type.Boolean())});
const Tree = Type.Object({
  local: Type.String({rule: 'localPath'}),
  path: optional(Type.String({rule: 'path'})),
});

const baseFields = {
  variant: Type.String(),
  version: Type.String(),
  ignition: optional(Type.Object(ignitionSectionFields(ButaneResource))),
  storage: optional(
    Type.Object({
      ...storageFields(ButaneFile, ButaneLuks, ButaneFilesystem),
      trees: optional(Type.Array(Tree, {concat: true})),
    }),
  ),
  ...commonSections,
};

const bootDevice = optional(
  Type.Object({
    layout: optional(Type.String({choices: ['aarch64', 'ppc64le', 'x86_64']})),
    luks: optional(
      Type.Object({
        tang: tangList,
        threshold: optional(Type.Integer({minimum: 0})),
        tpm2: optional(Type.Boolean()),
      }),
    ),
    mirror: optional(Type.Object({devices: optional(Type.Array(Type.String({rule: 'path'})))})),
  }),
);

const convenienceFields = {
  hostname: optional(Type.String({rule: 'hostname'})),
  sshAuthorizedKeys: optional(Type.Array(Type.String({rule: 'sshKey'}))),
  timezone: optional(Type.String({rule: 'timezone'})),
  ntpServers: optional(Type.Array(Type.String({rule: 'host'}))),
};

export const variants = {
  hawser: {version: '1.0.0', schema: Type.Object({...baseFields, ...convenienceFields})},
  flatcar: {version: '1.0.0', schema: Type.Object(baseFields)},
  fcos: {version: '1.4.0', schema: Type.Object({...baseFields, bootDevice})},
} as const;
export type VariantName = keyof typeof variants;

/** Any of the variants: what the others lack is simply absent. */
export const ButaneConfig = Type.Object({...baseFields, ...convenienceFields, bootDevice});
export type ButaneConfig = Static<typeof ButaneConfig>;
export type ButaneResource = Static<typeof ButaneResource>;
export type ButaneFile = Static<typeof ButaneFile>;
export type ButaneFilesystem = Static<typeof ButaneFilesystem>;
export type ButaneLuks = Static<typeof ButaneLuks>;
export type Tree = Static<typeof Tree>;
export type BootDevice = NonNullable<ButaneConfig['bootDevice']>;

export function isVariant(name: string): name is VariantName {
  return Object.hasOwn(variants, name);
}
