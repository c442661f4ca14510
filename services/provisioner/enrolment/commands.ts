/** `hawser enrol …`: serves enrolment to machines that can reach this command, and shows the fleet's CA. */
import {systemClock} from '../../common/clock.ts';
import {UsageError, flagList, flagString, type Command, type CommandContext} from '../../common/command.ts';
import {resolvePaths} from '../../common/paths.ts';
import {buildApp} from './app.ts';
import {openEnrolment} from './index.ts';

const none = {min: 0, max: 0};

export const enrolCommands: readonly Command[] = [
  {
    name: 'enrol serve',
    summary: 'serve enrolment over HTTPS until ^C, for machines that enrol by themselves',
    arguments: none,
    flags: [
      {
        name: 'listen',
        type: 'string',
        // Loopback until the operator says otherwise (DESIGN D13).
        default: '127.0.0.1:8443',
        env: 'HAWSER_ENROL_LISTEN',
        summary: 'address and port',
      },
      {name: 'server-name', type: 'list', summary: 'DNS name or address in the server certificate'},
    ],
    run: async (context, {flags}) => {
      const {host, port} = parseListen(flagString(flags, 'listen') ?? '');
      const enrolment = await openEnrolment({home: resolvePaths(context.env).home, clock: systemClock});
      const tls = await enrolment.serverCertificate(flagList(flags, 'server-name'));
      const app = buildApp(await enrolment.deps(), {tls, logger: {level: 'info'}});
      const address = await app.listen({host, port});
      context.warn(`serving enrolment on ${address}; stop with ^C`);
      await aborted(context);
      await app.close();
      return 0;
    },
  },
  {
    name: 'enrol ca',
    summary: "print the fleet's CA, which machines and servers are checked against",
    arguments: none,
    flags: [],
    run: async context => {
      const enrolment = await openEnrolment({home: resolvePaths(context.env).home, clock: systemClock});
      context.print((await enrolment.caPem()).trim());
      return 0;
    },
  },
];

/** `HOST:PORT`, the host in brackets when it is an IPv6 address. Throws {@link UsageError}. */
export function parseListen(text: string): {host: string; port: number} {
  const [, bracketed, plain, digits = ''] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host !== undefined && port <= 65_535) return {host, port};
  throw new UsageError('bad-value', `--listen is "${text}"`, {remedy: 'give for instance 127.0.0.1:8443'});
}

function aborted({signal}: CommandContext): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), {once: true});
  });
}
