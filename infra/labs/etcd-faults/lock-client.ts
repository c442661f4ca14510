/** The update agent's port to the server, as far as the lock goes, over plain HTTP to one of several servers. */
import {AcquireAnswer, LockRefusal} from '../../../services/common/contracts/lock.ts';
import {ErrorAnswer} from '../../../services/common/contracts/fleet.ts';
import {describeError} from '../../../services/common/errors.ts';
import {parseJson} from '../../../services/common/parse.ts';
import type {LockFault, ServerPort} from '../../../services/update-agent/ports.ts';
import type {MachineRecord} from './history.ts';
import {pick, type Random} from '../random.ts';

const TIMEOUT_MS = 4000;

export function lockClient(
  machine: string,
  servers: readonly string[],
  random: Random,
  note: (kind: MachineRecord['kind'], fence?: string) => void,
): Pick<ServerPort, 'acquire' | 'phase' | 'release'> {
  const post = async (path: string, body: object): Promise<{status: number; text: string} | LockFault> => {
    try {
      const answer = await fetch(`http://${pick(random, servers)}:8080/v1/lock/${path}`, {
        method: 'POST',
        headers: {'content-type': 'application/json', 'x-machine': machine},
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const text = await answer.text();
      if (answer.status < 500) return {status: answer.status, text};
      note('fault');
      return {kind: 'lock-failed', detail: `HTTP ${answer.status}`};
    } catch (error) {
      note('fault');
      return {kind: 'lock-unreachable', detail: describeError(error)};
    }
  };
  const refused = (text: string): LockFault => ({
    kind: 'lock-failed',
    detail: parseJson(ErrorAnswer, text, 'answer').message,
  });
  return {
    acquire: async request => {
      const answer = await post('acquire', request);
      if ('kind' in answer) return answer;
      if (answer.status === 200) {
        const {fence} = parseJson(AcquireAnswer, answer.text, 'grant');
        note('granted', fence);
        return {kind: 'lock-granted', fence};
      }
      if (answer.status !== 409) return refused(answer.text);
      const {kind, message} = parseJson(LockRefusal, answer.text, 'refusal');
      note('refused');
      return {kind: 'lock-refused', refusal: kind, detail: message};
    },
    phase: async request => {
      const answer = await post('phase', request);
      if ('kind' in answer) return answer;
      if (answer.status === 204) return {kind: 'lock-confirmed'};
      note('fenced', request.fence);
      return answer.status === 409 ? {kind: 'lock-lost', detail: answer.text} : refused(answer.text);
    },
    release: async request => {
      note('release-sent', request.fence);
      const answer = await post('release', request);
      if ('kind' in answer) return answer;
      if (answer.status === 409) {
        note('fenced', request.fence);
        return {kind: 'lock-lost', detail: answer.text};
      }
      if (answer.status !== 200) return refused(answer.text);
      note('released', request.fence);
      return {kind: 'lock-released'};
    },
  };
}
