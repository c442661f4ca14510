/** Permission modes, and Butane's guess that somebody wrote an octal one without its leading zero. */
import type {Naming} from './naming.ts';

interface ModeProblem {
  readonly severity: 'error' | 'warn';
  readonly message: string;
}

/** What is wrong with `mode`, if anything. */
export function modeProblem(mode: number, folder: boolean, naming: Naming): ModeProblem | undefined {
  if (mode < 0) return {severity: 'error', message: 'a mode cannot be negative'};
  const meant = octalReading(mode);
  if (meant !== undefined && !isTypical(mode, folder) && isTypical(meant, folder)) {
    const asOctal = `0${meant.toString(8)}`;
    const advice =
      naming === 'snake'
        ? `write ${asOctal} with the leading zero`
        : `JSON has no octal; ${asOctal} is ${meant}`;
    // Over 07777 Ignition refuses it outright; below, it is only unlikely.
    return {
      severity: mode > 0o7777 ? 'error' : 'warn',
      message: `mode ${mode} is 0${mode.toString(8)} in octal: ${advice}`,
    };
  }
  if (mode > 0o7777) return {severity: 'error', message: `0${mode.toString(8)} is not a mode`};
  if (mode > 0o777) {
    return {
      severity: 'warn',
      message: 'setuid, setgid and sticky bits are not supported before specification 3.4',
    };
  }
  return undefined;
}

/** 644 read as octal digits is 0644; undefined when it has a digit 8 or 9 or too many. */
function octalReading(mode: number): number | undefined {
  return mode <= 7777 && /^[0-7]+$/u.test(String(mode)) ? Number.parseInt(String(mode), 8) : undefined;
}

/** Whether somebody would set this mode on purpose: owner may do at least what group may, group what others may. */
function isTypical(mode: number, folder: boolean): boolean {
  if (mode === 0) return true; // root ignores the bits
  const others = mode & 7;
  const group = (mode >> 3) & 7;
  const owner = (mode >> 6) & 7;
  if ((owner & group) !== group || (group & others) !== others) return false;
  const classes = [owner, group, others].filter(bits => bits !== 0);
  if (classes.some(bits => (bits & 4) === 0)) return false; // writing or executing without reading
  // Who may execute at all: every class that may read.
  if ((owner & 1) !== 0 && classes.some(bits => (bits & 1) === 0)) return false;
  if (owner === 0) return false;
  return folder ? isTypicalFolder(mode) : isTypicalFile(mode);
}

function isTypicalFolder(mode: number): boolean {
  if ((mode & 0o100) === 0 || (mode & 0o4000) !== 0) return false;
  return (mode & 0o3000) === 0 || (mode & 0o200) !== 0;
}

function isTypicalFile(mode: number): boolean {
  if ((mode & 0o1000) !== 0) return false;
  return (mode & 0o6000) === 0 || ((mode & 0o100) !== 0 && (mode & 0o002) === 0);
}
