/** What the machine's files say: is it configured, is it enrolled. */
import {readFile} from 'node:fs/promises';
import type {EnrolmentConfig} from '../common/contracts/enrolment.ts';
import {unlessMissing} from '../common/errors.ts';
import type {Layout} from './layout.ts';
import {parseConfig, parseEnrolled, type EnrolledRecord} from './messages.ts';

/** The text of a file, or undefined when it does not exist. */
export async function readIfThere(path: string): Promise<string | undefined> {
  return unlessMissing(readFile(path, 'utf8'));
}

/** The machine's orders, or undefined once it is enrolled (or was never told to). Throws `bad-config`. */
export async function readConfig(layout: Layout): Promise<EnrolmentConfig | undefined> {
  const json = await readIfThere(layout.config);
  return json === undefined ? undefined : parseConfig(json);
}

/**
 * The record of the machine's enrolment. An enrolment file of another machine or generation beside it means that the
 * machine is to be enrolled anew, so there is none yet.
 */
export async function readEnrolled(layout: Layout): Promise<EnrolledRecord | undefined> {
  const json = await readIfThere(layout.enrolled);
  const enrolled = json === undefined ? undefined : parseEnrolled(json);
  if (enrolled === undefined) return undefined;
  const config = await readConfig(layout);
  if (config === undefined) return enrolled;
  return config.machine === enrolled.machine && config.generation === enrolled.generation
    ? enrolled
    : undefined;
}
