/** One update in a process of its own, for the figures of time and memory: argv[2] is the request as JSON. */
import {readFileSync} from 'node:fs';
import type {StageRequest} from '../../services/common/payload/ports.ts';
import {createHttpFetch} from '../../services/update-agent/payload/http-fetch.ts';
import {stagePayload} from '../../services/update-agent/payload/stage-payload.ts';

const request = JSON.parse(process.argv[2] ?? '') as Omit<StageRequest, 'fetch' | 'signal'>;
const http = createHttpFetch();
const {patched} = await stagePayload({...request, fetch: http.fetch, signal: new AbortController().signal});
http.close();
const {userCPUTime, systemCPUTime} = process.resourceUsage();
// Not maxRSS: Linux counts in it what the process that started this one had in memory (setmax_mm_hiwater_rss at execve).
const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
const cpuSeconds = (userCPUTime + systemCPUTime) / 1e6;
process.stdout.write(
  JSON.stringify({patched, cpuSeconds, maxRssMegabytes: (Number(peak?.[1]) * 1024) / 1e6}),
);
