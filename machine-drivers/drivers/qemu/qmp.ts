/** The QEMU Machine Protocol, as far as we speak it: one command a connection. */
import {connect} from 'node:net';
import {Type} from 'typebox';
import {parseJson} from '../../../services/common/parse.ts';
import {MachineError} from '../../errors.ts';

const Message = Type.Object({
  QMP: Type.Optional(Type.Unknown()),
  event: Type.Optional(Type.String()),
  return: Type.Optional(Type.Unknown()),
  error: Type.Optional(Type.Object({desc: Type.String()})),
});

/** Sends `command` (without arguments) and returns its result. Throws `driver-failed`. */
export function qmp(socketPath: string, command: string, timeoutMs: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    let partial = '';
    let answers = 0;
    const fail = (why: string, cause?: unknown) => {
      socket.destroy();
      reject(new MachineError('driver-failed', `the emulator's monitor: ${why}`, {cause}));
    };
    // The greeting, then the answer to qmp_capabilities, then ours; events come in between.
    const take = (line: string) => {
      const message = parseJson(Message, line, 'its message');
      if (message.event !== undefined) return;
      if (message.error !== undefined) return fail(message.error.desc);
      if (message.QMP !== undefined) return void socket.write('{"execute":"qmp_capabilities"}\n');
      answers += 1;
      if (answers === 1) return void socket.write(`${JSON.stringify({execute: command})}\n`);
      socket.end();
      resolve(message.return);
    };
    socket.setTimeout(timeoutMs, () => fail(`no answer to ${command}`));
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      const lines = (partial + chunk).split('\n');
      partial = lines.pop() ?? '';
      try {
        for (const line of lines) if (line.trim() !== '') take(line);
      } catch (error) {
        fail('a message that cannot be read', error);
      }
    });
    socket.on('error', error => fail(error.message, error));
    socket.on('close', () => fail(`closed before it answered ${command}`));
  });
}

const Status = Type.Object({status: Type.String()});

/** QEMU's word for what the machine does: `running`, `paused`, `prelaunch`, `shutdown`, ... */
export async function qmpStatus(socketPath: string, timeoutMs: number): Promise<string> {
  return parseJson(Status, JSON.stringify(await qmp(socketPath, 'query-status', timeoutMs)), 'its status')
    .status;
}
