/** The budget of an image: what it may cost at most (budget.json), so that growth is a decision. Pure. */
import {Type, type Static} from 'typebox';
import {ImageError} from './errors.ts';
import {slotBytes} from './steps/usr-image.ts';

export const Budget = Type.Object(
  {
    schema: Type.Literal(1),
    /** The compressed disk for QEMU and OpenStack. */
    qcow2Bytes: Type.Integer({minimum: 1}),
    /** The published disk, made by `--release` only. */
    compressedBytes: Type.Integer({minimum: 1}),
    /** The /usr file system, in bytes and as part of its slot: what is left is for ten years of growth. */
    usrBytes: Type.Integer({minimum: 1}),
    usrShareOfSlot: Type.Number({exclusiveMinimum: 0, maximum: 1}),
    ukiBytes: Type.Integer({minimum: 1}),
    initrdBytes: Type.Integer({minimum: 1}),
    /** Of a booted machine; checked by the boot test. */
    unitsStarted: Type.Optional(Type.Integer({minimum: 1})),
    idleMemoryBytes: Type.Optional(Type.Integer({minimum: 1})),
  },
  {additionalProperties: false},
);
export type Budget = Static<typeof Budget>;

/** What a build measured, in bytes; absent where the build did not make it. */
export interface Costs {
  readonly usr: number;
  readonly uki: number;
  readonly initrd: number;
  readonly qcow2?: number | undefined;
  readonly compressed?: number | undefined;
}

export interface Excess {
  /** Field of budget.json. */
  readonly budget: string;
  readonly limit: number;
  readonly actual: number;
}

/** Budgets that are exceeded, in the order of the file. */
export function findExcess(budget: Budget, costs: Costs): Excess[] {
  const checks: readonly (readonly [string, number, number | undefined])[] = [
    ['qcow2Bytes', budget.qcow2Bytes, costs.qcow2],
    ['compressedBytes', budget.compressedBytes, costs.compressed],
    ['usrBytes', budget.usrBytes, costs.usr],
    ['usrShareOfSlot', Math.floor(budget.usrShareOfSlot * slotBytes), costs.usr],
    ['ukiBytes', budget.ukiBytes, costs.uki],
    ['initrdBytes', budget.initrdBytes, costs.initrd],
  ];
  return checks.flatMap(([name, limit, actual]) =>
    actual === undefined || actual <= limit ? [] : [{budget: name, limit, actual}],
  );
}

/** Throws {@link ImageError} `over-budget` that names each exceeded budget and by how much. */
export function checkBudget(budget: Budget, costs: Costs): void {
  const excess = findExcess(budget, costs);
  if (excess.length === 0) return;
  const parts = excess.map(
    ({budget: name, limit, actual}) => `${name} by ${actual - limit} bytes (${actual} of ${limit})`,
  );
  throw new ImageError('over-budget', `the image is over its budget: ${parts.join(', ')}`, {
    remedy:
      'make it smaller ("hawser image inspect --sizes" of the last one shows what costs most), raise image-build/budget.json, or try with --no-budget',
  });
}
