/** Single machines: assigned, pinned, labelled, forgotten. */
import type {Operator} from '../../common/contracts/caller.ts';
import {STATE_SCHEMA, type Assignment, type AssignmentChange} from '../../common/contracts/policy.ts';
import type {OperationTools} from './tools.ts';

export function machineOperations({fleet, changer, lookup}: OperationTools) {
  return {
    async assign(name: string, change: AssignmentChange, by: Operator): Promise<void> {
      const {uuid} = lookup.machine(name).record;
      if (typeof change.group === 'string') lookup.group(change.group);
      if (typeof change.pin === 'string') lookup.release(change.pin);
      await changer.edit<Assignment>({
        kind: 'assignments',
        name: uuid,
        act: {by: by.name, action: 'machine-changed', detail: JSON.stringify(change)},
        change: () => assigned(fleet.assignments.get(uuid) ?? {schema: STATE_SCHEMA, uuid}, change),
      });
    },

    /** Refuses the machine's certificate from now on, and takes it out of every count. */
    async forget(name: string, by: Operator): Promise<string> {
      const {uuid} = lookup.machine(name).record;
      await changer.edit<Assignment>({
        kind: 'assignments',
        name: uuid,
        act: {by: by.name, action: 'machine-forgotten'},
        change: now => ({
          schema: STATE_SCHEMA,
          ...fleet.assignments.get(uuid),
          uuid,
          forgotten: {at: now, by: by.name},
        }),
      });
      return uuid;
    },
  };
}

function assigned(before: Assignment, change: AssignmentChange): Assignment {
  const {group: _, pin: __, labels: ___, ...rest} = before;
  const group = change.group === undefined ? before.group : (change.group ?? undefined);
  const pin = change.pin === undefined ? before.pin : (change.pin ?? undefined);
  const labels = Object.entries({...before.labels, ...change.labels}).flatMap(([name, value]) =>
    value === null ? [] : [[name, value] as const],
  );
  return {
    ...rest,
    ...(group === undefined ? {} : {group}),
    ...(pin === undefined ? {} : {pin}),
    ...(labels.length === 0 ? {} : {labels: Object.fromEntries(labels)}),
  };
}
