/** A running machine as other parts of Hawser use it: a root shell over SSH, and its Docker by mutual TLS. */
import type {CommandContext} from '../services/common/command.ts';
import {accessSteps} from './access.ts';
import {openDeps, runningMachine} from './commands/run.ts';
import type {Tools} from './commands/run.ts';
import {endpointOfTarget} from './docker/api.ts';
import {askDocker} from './docker/call.ts';
import type {DockerAnswer} from './docker/call.ts';
import {ensureClientCertificate} from './docker/certificate.ts';
import {MachineError} from './errors.ts';
import {drivers} from './registry.ts';
import {sshArguments} from './ssh/connection.ts';
import {runRootScript} from './ssh/root-script.ts';

export interface RemoteMachine {
  readonly name: string;
  readonly uuid: string;
  readonly privateAddress: string | undefined;
  /** Runs a shell script as root; it is sent on standard input, so nothing of it shows in an argument list. */
  runAsRoot(script: string, timeoutMs: number): Promise<string>;
  /** A call with a JSON body, if any. Whatever the status, it is the answer. */
  docker(method: string, path: string, body: object | undefined, timeoutMs: number): Promise<DockerAnswer>;
}

/** Throws `not-running`, and `unfinished` while the machine's host key is not proven. */
export async function openRemoteMachine(
  given: Pick<Tools, 'runtime'> & Partial<Tools>,
  context: CommandContext,
  name: string,
): Promise<RemoteMachine> {
  const deps = await openDeps({registry: drivers, access: accessSteps, ...given}, context);
  const {stored, endpoint} = await runningMachine(deps, name);
  const {record, folder, ledger} = stored;
  if (!ledger.finished)
    throw new MachineError('unfinished', `machine "${name}" is not finished`, {
      remedy: `finish it with hawser machine create ${name}`,
    });
  await ensureClientCertificate(deps.runtime, folder, deps.runtime.operator);
  const ssh = sshArguments(
    {address: endpoint.ssh, user: record.user, hostKeyAlias: record.uuid, folder},
    {proven: true, batch: true},
  );
  const docker = await endpointOfTarget({address: endpoint.docker, uuid: record.uuid, folder});
  return {
    name,
    uuid: record.uuid,
    privateAddress: endpoint.privateAddress,
    runAsRoot: (script, timeoutMs) => runRootScript(ssh, script, {timeoutMs, signal: context.signal}),
    docker: async (method, path, body, timeoutMs) =>
      askDocker(docker, {
        method,
        path,
        timeoutMs,
        signal: context.signal,
        ...(body === undefined
          ? {}
          : {contentType: 'application/json', body: Buffer.from(JSON.stringify(body))}),
      }),
  };
}
