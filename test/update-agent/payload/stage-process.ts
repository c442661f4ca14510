/** Stages in a process of its own, so that it can be killed and its memory measured: argv[2] is the request as JSON. */
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
const {maxRSS} = process.resourceUsage();
process.stdout.write(JSON.stringify({...result, maxRssMegabytes: maxRSS / 1000}));
