/** `hawser server` beside the quickstart: the fleet's update server on loopback, with an etcd of its own. */
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {Type} from 'typebox';
import {FleetStatus, StoredEvent, MachineStatus} from '../../services/common/contracts/policy.ts';
import {describeError} from '../../services/common/errors.ts';
import {parseJson} from '../../services/common/parse.ts';
import {resolvePaths} from '../../services/common/paths.ts';
import type {Progress} from '../../services/common/progress.ts';
import {hawser} from './hawser.ts';
import {isFree} from './machines.ts';

const START_SECONDS = 60;
const FIRST_PORT = 8443;
const PORTS = 20;

export interface FleetServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts it on the port that this home's machines already know, else on a free one. */
export async function startFleetServer(progress: Progress, signal: AbortSignal): Promise<FleetServer> {
  const port = (await knownPort()) ?? (await freePort());
  const stopping = new AbortController();
  const both = AbortSignal.any([signal, stopping.signal]);
  let ended: string | undefined;
  const running = hawser(['server', '--listen', `127.0.0.1:${port}`, '--log-level', 'warn'], {
    signal: both,
  }).then(
    () => void (ended = 'it ended'),
    (error: unknown) => void (ended = describeError(error)),
  );
  for (let left = START_SECONDS; ; left--) {
    signal.throwIfAborted();
    if (ended !== undefined) throw new Error(`hawser server: ${ended}`);
    if (await answers(signal)) break;
    if (left === 0) throw new Error(`hawser server does not answer after ${START_SECONDS} s`);
    await delay(1000, undefined, {signal});
  }
  const url = `https://127.0.0.1:${port}`;
  progress.note(`  ${url}`);
  return {
    url,
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

export async function fleetStatus(signal: AbortSignal): Promise<FleetStatus> {
  const text = await hawser(['fleet', 'status', '--output', 'json'], {signal});
  return parseJson(FleetStatus, text, 'fleet status');
}

const MachineWithEvents = Type.Intersect([MachineStatus, Type.Object({events: Type.Array(StoredEvent)})]);

export async function machineEvents(name: string, signal: AbortSignal) {
  const text = await hawser(['fleet', 'machines', name, '--output', 'json'], {signal});
  return parseJson(MachineWithEvents, text, `fleet machines ${name}`);
}

async function answers(signal: AbortSignal): Promise<boolean> {
  return fleetStatus(signal).then(
    () => true,
    () => false,
  );
}

const Login = Type.Object({url: Type.String()});

/** Machines were told an address when they were made. */
async function knownPort(): Promise<number | undefined> {
  const path = join(resolvePaths(process.env).home, 'server', 'login.json');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const port = Number(new URL(parseJson(Login, text, path).url).port);
  return Number.isInteger(port) && port > 0 ? port : undefined;
}

async function freePort(): Promise<number> {
  for (let port = FIRST_PORT; port < FIRST_PORT + PORTS; port++) if (await isFree(port)) return port;
  throw new Error(`no free port of 127.0.0.1 from ${FIRST_PORT} to ${FIRST_PORT + PORTS - 1}`);
}
