/** What is asked of a running guest, over SSH as root: a script and the reading of its answer. Pure. */
import {Type, type Static} from 'typebox';
import {parseValue} from '../../services/common/parse.ts';

const Count = Type.Integer({minimum: 0});

export const GuestFacts = Type.Object({
  /** MemTotal - MemAvailable, KiB. */
  usedKiB: Count,
  /** Sum of the proportional set sizes of all processes, KiB. */
  pssKiB: Count,
  /** Processes that have memory of their own (kernel threads have none). */
  processes: Count,
  /** Context switches and interrupts within the window. */
  contextSwitches: Count,
  interrupts: Count,
  windowSeconds: Count,
  /** Services whose main process was started since power-on. */
  servicesStarted: Count,
  unitsActive: Count,
});
export type GuestFacts = Static<typeof GuestFacts>;

/** Memory first: what the script itself starts must not count. The SSH session is there on both systems. */
export function probeScript(windowSeconds: number): string {
  return `
meminfo() { while read -r key value _; do [ "$key" = "$1:" ] && echo "$value"; done < /proc/meminfo; }
counter() { while read -r key value _; do [ "$key" = "$1" ] && echo "$value"; done < /proc/stat; }
echo "usedKiB $(($(meminfo MemTotal) - $(meminfo MemAvailable)))"
cat /proc/[0-9]*/smaps_rollup 2>/dev/null | {
  sum=0 count=0
  while read -r key value _; do case $key in Pss:) sum=$((sum + value)) count=$((count + 1)) ;; esac; done
  echo "pssKiB $sum"
  echo "processes $count"
}
switches=$(counter ctxt) interrupts=$(counter intr)
sleep ${windowSeconds}
echo "contextSwitches $(($(counter ctxt) - switches))"
echo "interrupts $(($(counter intr) - interrupts))"
echo "windowSeconds ${windowSeconds}"
echo "servicesStarted $(systemctl show '*.service' --property=ExecMainStartTimestampMonotonic --value | grep -c '^[1-9]')"
echo "unitsActive $(systemctl list-units --state=active --no-legend --plain | grep -c .)"
`;
}

/** Reads the script's lines; throws {@link ParseError} when one is missing. */
export function parseProbe(output: string): GuestFacts {
  const pairs = output.split('\n').flatMap(line => {
    const [, name, value] = /^(\w+) (\d+)$/.exec(line.trim()) ?? [];
    return name === undefined ? [] : [[name, Number(value)] as const];
  });
  return parseValue(GuestFacts, Object.fromEntries(pairs), 'the answer of the guest');
}
