/** oxlint's configuration; the layers of `layers.ts` become `no-restricted-imports`, part by part. */
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {partName, parts, purePackages, type Part} from './layers.ts';

interface Pattern {
  readonly group?: readonly string[];
  readonly regex?: string;
  readonly message: string;
}

const forbiddenPaths = [
  {name: 'child_process', message: 'run programs through services/common/exec.ts'},
  {name: 'fs', message: 'use node:fs/promises; durable writes go through services/common/fs-atomic.ts'},
];

const everywhere: readonly Pattern[] = [
  {group: ['**/main.ts'], message: 'nothing imports a main.ts'},
  {group: ['**/test/**', '**/infra/**'], message: 'product code imports neither test/ nor infra/'},
];

function otherParts(part: Part): Pattern {
  const others = parts.filter(other => other !== part && partName(other) !== 'common');
  return {
    group: others.map(other => `**/${partName(other)}/**`),
    message: 'a part imports services/common and itself, never another part (DESIGN.md)',
  };
}

/** The packages of package.json that reach out of the process: all but those that only compute. */
export function clientLibraries(): string[] {
  const file: unknown = JSON.parse(
    readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8'),
  );
  const dependencies =
    typeof file === 'object' && file !== null && 'dependencies' in file ? file.dependencies : undefined;
  return Object.keys(dependencies ?? {}).filter(name => !purePackages.includes(name));
}

const pureCore: readonly Pattern[] = [
  {
    group: ['node:*', 'node:*/**', '**/adapters/**'],
    message: 'the pure core has no clock, randomness, process, disk or network',
  },
  {
    // oxlint has no look-ahead ("anything but"), and a negated group ends the search of the groups after it.
    regex: `^(${clientLibraries().join('|')})(/|$)`,
    message: 'the pure core uses no client library (purePackages in infra/ci/layers.ts are free)',
  },
];

function restrictImports(patterns: readonly Pattern[]) {
  return {'no-restricted-imports': ['error', {paths: forbiddenPaths, patterns}]};
}

function rulesOfPart(part: Part) {
  const own = part.imports === 'common' ? [...everywhere, otherParts(part)] : everywhere;
  const inPart = (name: string) => `${part.folder}/${name}`;
  const whole = {files: [inPart('**')], rules: restrictImports(own)};
  const core = [...part.pure, ...(part.conducting ?? [])];
  if (core.length === 0) return [whole];
  return [
    whole,
    {
      files: core.map(inPart),
      excludeFiles: (part.notPure ?? []).map(inPart),
      rules: restrictImports([...own, ...pureCore]),
    },
  ];
}

export const config = {
  plugins: ['typescript', 'unicorn', 'import', 'oxc', 'node', 'promise'],
  options: {typeAware: true},
  categories: {correctness: 'error', suspicious: 'error'},
  rules: {
    'import/no-cycle': 'error',
    'import/no-unassigned-import': 'off',
    // Express's rule: fastify awaits its handlers.
    'oxc/no-async-endpoint-handlers': 'off',
    'no-unused-vars': 'error',
    eqeqeq: 'error',
    'no-console': 'error',
    'no-process-exit': 'error',
    'node/no-process-env': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/no-non-null-assertion': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    // Without `await`, what `await using` holds is closed before the work that was returned has begun.
    'typescript/return-await': ['error', 'error-handling-correctness-only'],
    'typescript/switch-exhaustiveness-check': 'error',
    'typescript/consistent-type-imports': 'error',
    'typescript/no-unsafe-type-assertion': 'off',
    'unicorn/filename-case': ['error', {case: 'kebabCase'}],
    'unicorn/no-array-sort': 'off',
    'no-await-in-loop': 'off',
    'no-shadow': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'promise/always-return': 'off',
    ...restrictImports(everywhere),
  },
  ignorePatterns: ['node_modules', '.oxlintrc.ts'],
  overrides: [
    {
      files: ['**/main.ts', 'test/**', 'infra/**'],
      rules: {'node/no-process-env': 'off', 'no-console': 'off', 'no-process-exit': 'off'},
    },
    ...parts.flatMap(rulesOfPart),
    {files: ['test/**', 'infra/**'], rules: {'no-restricted-imports': 'off'}},
  ],
};
