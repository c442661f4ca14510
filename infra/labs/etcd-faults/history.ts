/** What a run of the campaign leaves behind, and what the checker reads. */

/** What a machine did or was told, in its own order; times are of one clock. */
export interface MachineRecord {
  readonly at: number;
  readonly machine: string;
  readonly kind:
    | 'granted'
    | 'refused'
    | 'fault'
    | 'away'
    | 'back'
    | 'release-sent'
    | 'released'
    | 'fenced'
    | 'crashed'
    | 'updated';
  readonly fence?: string;
}

/** One version of the group's key, as etcd kept it. */
export interface Write {
  readonly revision: string;
  readonly holders: readonly {readonly machine: string; readonly slot: number; readonly fence?: string}[];
}

export interface History {
  readonly slots: number;
  readonly writes: readonly Write[];
  readonly records: readonly MachineRecord[];
}
