/** The whole of an Ignition 3.3.0 config, put together from schema.ts, and its types. */
import {Type, type Static} from 'typebox';
import {
  Filesystem,
  Resource,
  commonSections,
  fileSchema,
  ignitionSectionFields,
  luksSchema,
  storageFields,
  type Directory,
  type Disk,
  type Group,
  type Link,
  type Partition,
  type Raid,
  type Unit,
  type User,
} from './schema.ts';

/** The version that we write: the newest that Debian's Ignition 2.14 accepts. */
export const ignitionVersion = '3.3.0';

const File = fileSchema(Resource);
const Luks = luksSchema(Resource);

export const IgnitionConfig = Type.Object({
  ignition: Type.Object({version: Type.String(), ...ignitionSectionFields(Resource)}),
  storage: Type.Optional(Type.Object(storageFields(File, Luks, Filesystem))),
  ...commonSections,
});

export type IgnitionConfig = Static<typeof IgnitionConfig>;
export type Resource = Static<typeof Resource>;
export type Storage = NonNullable<IgnitionConfig['storage']>;
export type File = Static<typeof File>;
export type Directory = Static<typeof Directory>;
export type Link = Static<typeof Link>;
export type Disk = Static<typeof Disk>;
export type Partition = Static<typeof Partition>;
export type Raid = Static<typeof Raid>;
export type Filesystem = Static<typeof Filesystem>;
export type Luks = Static<typeof Luks>;
export type Unit = Static<typeof Unit>;
export type User = Static<typeof User>;
export type Group = Static<typeof Group>;
