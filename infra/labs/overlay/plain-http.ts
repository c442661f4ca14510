/** A machine's requests over a Unix socket, so that they leave its network namespace; the header says who it is. */
import {request} from 'node:http';
import {readBody, type MachineHttp} from '../../../services/common/machine-http.ts';

export function plainHttp(socketPath: string, machine: number): MachineHttp {
  const own = {'x-machine': String(machine)};
  return {
    post: (url, body) =>
      new Promise((resolve, reject) => {
        const json = JSON.stringify(body);
        const headers = {
          ...own,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(json),
        };
        const outgoing = request({socketPath, method: 'POST', path: url.pathname, headers}, incoming => {
          void readBody(incoming, 1024 * 1024).then(
            read => resolve({status: incoming.statusCode ?? 0, body: read}),
            reject,
          );
        });
        outgoing.on('error', reject);
        outgoing.end(json);
      }),
    open: (url, headers, signal) =>
      new Promise((resolve, reject) => {
        const options = {
          socketPath,
          path: url.pathname,
          headers: {...headers, ...own},
          agent: false as const,
        };
        const outgoing = request(signal === undefined ? options : {...options, signal}, resolve);
        outgoing.on('error', reject);
        outgoing.end();
      }),
    close: () => undefined,
  };
}
