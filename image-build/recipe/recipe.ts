/** The recipe: what an image is made of, as an operator writes it (recipe.yaml). */
import {Type, type Static} from 'typebox';

/** Policy 5.6.1; apt would read a dash at the end as "remove it". */
const PackageName = Type.String({pattern: '^[a-z0-9][a-z0-9+.-]*[a-z0-9+.]$'});
const unitKinds = 'service|socket|timer|target|path|mount|automount|swap|slice';
const UnitName = Type.String({pattern: `^[A-Za-z0-9@:_.\\\\-]+\\.(${unitKinds})$`});
/** kmod(8) knows modules by name alone; dashes and underscores are the same. */
const ModuleName = Type.String({pattern: '^[A-Za-z0-9][A-Za-z0-9_-]*$'});
/** A path or pattern that cannot leave the tree. */
const BelowUsr = Type.String({pattern: '^usr(/(?!\\.\\.?(/|$))[^/]+)+$'});
/** Suites and components become words of sources.list. */
const Word = Type.String({pattern: '^[A-Za-z0-9][A-Za-z0-9./-]*$'});
const closed = {additionalProperties: false};

/**
 * A system extension (systemd-sysext(8)): software of its own image, merged into /usr of a machine that wants it. It
 * is made for this release alone, of packages that the image does not have and of files.
 */
export const Sysext = Type.Object(
  {
    /** Of the extension and its image; systemd finds extension-release.NAME by it. */
    name: Type.String({pattern: '^[a-z][a-z0-9-]*$'}),
    /** Their dependencies come along, except what the image has. */
    packages: Type.Optional(Type.Array(PackageName)),
    files: Type.Optional(
      Type.Array(Type.Object({source: Type.String(), destination: Type.String({pattern: '^/'})}, closed)),
    ),
    /** Units of these packages and files that run while the extension is merged. */
    units: Type.Optional(Type.Array(UnitName)),
    /** Paths of the packages that are left out, with `*` and `**`; outside /usr too. */
    remove: Type.Optional(Type.Array(Type.String({pattern: '^[^/]+(/(?!\\.\\.?(/|$))[^/]+)*$'}))),
  },
  closed,
);
export type Sysext = Static<typeof Sysext>;

/** A change made to the packages' files, in the order of the list; README.md of this folder says on what each works. */
export const Provisioner = Type.Union([
  Type.Object(
    {type: Type.Literal('files'), source: Type.String(), destination: Type.String({pattern: '^/'})},
    closed,
  ),
  Type.Object({type: Type.Literal('script'), path: Type.String()}, closed),
  Type.Object({type: Type.Literal('ansible'), playbook: Type.String()}, closed),
]);
export type Provisioner = Static<typeof Provisioner>;

export const Recipe = Type.Object(
  {
    schema: Type.Literal(1),
    name: Type.String({pattern: '^[a-z][a-z0-9-]*$'}),
    version: Type.String({pattern: '^\\d+\\.\\d+\\.\\d+(-[0-9A-Za-z.-]+)?$'}),
    sources: Type.Object(
      {
        debian: Type.Object(
          {
            suites: Type.Array(Word, {minItems: 1}),
            components: Type.Array(Word, {minItems: 1}),
          },
          closed,
        ),
        /** Exact versions; each tarball's integrity goes into the lock. */
        npm: Type.Record(Type.String(), Type.String({pattern: '^\\d+\\.\\d+\\.\\d+$'})),
      },
      closed,
    ),
    build: Type.Object(
      {
        /** Packages of the root in which the image is built. */
        tools: Type.Array(PackageName, {minItems: 1}),
        packages: Type.Array(PackageName, {minItems: 1}),
        /** A package that depends on the wanted kernel image; unpacked, its hooks are not run. */
        kernel: PackageName,
        /** File with one module name, or folder ending in a slash, per line. */
        modules: Type.String(),
        /** Modules that must be in the initrd to reach /usr. */
        initrdModules: Type.Array(ModuleName),
        commandLine: Type.Array(Type.String()),
        /** Files that change their place before anything is removed. */
        move: Type.Record(BelowUsr, BelowUsr, closed),
        /** Paths that are taken out, with `*` and `**`; `folder/**` takes the folder too. */
        remove: Type.Array(BelowUsr),
      },
      closed,
    ),
    provision: Type.Object(
      {
        steps: Type.Array(Provisioner),
        /** Host agents, bundled from services/NAME/main.ts to /usr/lib/hawser/NAME.mjs. */
        agents: Type.Array(Type.String({pattern: '^[a-z][a-z-]*$'})),
        /** `x.target` (wants) or `x.target.requires`. */
        enable: Type.Record(
          Type.String({pattern: `^[A-Za-z0-9@:_.\\\\-]+\\.(${unitKinds})(\\.requires)?$`}),
          Type.Array(UnitName),
          closed,
        ),
        mask: Type.Array(UnitName),
      },
      closed,
    ),
    sysexts: Type.Optional(Type.Array(Sysext)),
    export: Type.Object({formats: Type.Array(Type.String(), {minItems: 1})}, closed),
  },
  closed,
);
export type Recipe = Static<typeof Recipe>;
