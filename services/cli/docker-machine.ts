/** The command line of docker-machine, in our own words: for scripts that call us by a link of that name. Pure. */
import {UsageError} from '../common/command.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface Translated {
  readonly argv: readonly string[];
  readonly env: Environment;
}

export const dockerMachineName = 'docker-machine';

/** What we do without: it is accepted, and says nothing to us. The value tells whether a value follows. */
const ignored: ReadonlyMap<string, boolean> = new Map([
  ['--native-ssh', false],
  ['--github-api-token', true],
  ['--bugsnag-api-token', true],
]);
const certificates = ['--tls-ca-cert', '--tls-ca-key', '--tls-client-cert', '--tls-client-key'];

/** `docker-machine …` as `hawser machine …`. Throws {@link UsageError} for what cannot be honoured. */
export function asHawser(argv: readonly string[], env: Environment): Translated {
  const debug = ['1', 'true'].includes(env['MACHINE_DEBUG'] ?? '');
  const before: string[] = debug ? ['--debug'] : [];
  let home = env['MACHINE_STORAGE_PATH'];
  let index = 0;
  for (; index < argv.length; index++) {
    const word = argv[index] ?? '';
    if (!word.startsWith('-')) break;
    const [flag, attached] = split(word);
    const value = () => attached ?? argv[++index] ?? missing(flag);
    if (flag === '-D' || flag === '--debug') before.push('--debug');
    else if (flag === '-s' || flag === '--storage-path') home = value();
    else if (flag === '-h' || flag === '--help') return {argv: ['machine', '--help'], env};
    else if (flag === '-v' || flag === '--version') return {argv: ['machine', 'version'], env};
    else if (ignored.has(flag)) {
      if (ignored.get(flag) === true) value();
    } else if (certificates.includes(flag)) {
      throw new UsageError('refused-flag', `${flag} is not taken`, {
        remedy: 'Hawser has an authority of its own, and machines make their own keys',
      });
    } else
      throw new UsageError('unknown-flag', `${dockerMachineName} has no flag ${flag}`, {
        remedy: 'see --help',
      });
  }
  const rest = argv.slice(index);
  const help = rest[0] === 'help' || rest.length === 0;
  const own = help ? ['machine', ...rest.slice(1), '--help'] : ['machine', ...rest];
  const words = rest[0] === 'completion' ? rest : own;
  return {
    argv: [...before, ...words],
    env: {
      ...env,
      // docker-machine's own default.
      HAWSER_DRIVER: env['MACHINE_DRIVER'] ?? env['HAWSER_DRIVER'] ?? 'virtualbox',
      ...(home === undefined || home === '' ? {} : {HAWSER_HOME: home}),
    },
  };
}

function split(word: string): [string, string | undefined] {
  const equals = word.indexOf('=');
  return equals === -1 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
}

function missing(flag: string): never {
  throw new UsageError('bad-value', `${flag} needs a value`, {remedy: `for instance ${flag} VALUE`});
}
