/** Stages in a process of its own, so that it can be killed and its memory measured: argv[2] is the request as JSON. */
import {readFileSync} from 'node:fs';
import {createHttpFetch} from '../../../services/update-agent/payload/http-fetch.ts';
import {stagePayload} from '../../../services/update-agent/payload/stage-payload.ts';
import type {StageRequest} from '../../../services/common/payload/ports.ts';

const request = JSON.parse(process.argv[2] ?? '') as Omit<StageRequest, 'fetch' | 'signal'>;
const http = createHttpFetch();
const result = await stagePayload({
  ...request,
  fetch: http.fetch,
  signal: new AbortController().signal,
  onProgress: ({phase, doneBytes}) => process.stderr.write(`${phase} ${doneBytes}\n`),
});
http.close();
// Not maxRSS, which begins with what the process that started this one had in memory.
const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
process.stdout.write(JSON.stringify({...result, maxRssMegabytes: (Number(peak?.[1]) * 1024) / 1e6}));
