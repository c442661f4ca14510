/** Network namespaces of CNI's containers, by path. */
import {Type} from 'typebox';
import {exec, ExecError} from '../../common/exec.ts';
import {parseJson} from '../../common/parse.ts';
import {OverlayError} from '../errors.ts';
import type {ContainerNamespaces} from '../ports.ts';

const TIMEOUT_MS = 20_000;
const Links = Type.Array(
  Type.Object({
    address: Type.Optional(Type.String()),
    addr_info: Type.Optional(Type.Array(Type.Object({local: Type.Optional(Type.String())}))),
  }),
);

export function containerNamespaces(): ContainerNamespaces {
  return {
    adopt: async (path, inside, name, address) => {
      await run(['ip', 'link', 'set', inside, 'netns', path], '');
      const lines = [
        `link set ${inside} name ${name}`,
        `addr add ${address} dev ${name}`,
        `link set ${name} up`,
      ];
      await run([...enter(path), 'ip', '-batch', '-'], `${lines.join('\n')}\n`);
    },
    look: async (path, name) => {
      try {
        const {stdout} = await exec([...enter(path), 'ip', '-j', 'addr', 'show', 'dev', name], {
          timeoutMs: TIMEOUT_MS,
        });
        const [link] = parseJson(Links, stdout, 'ip addr');
        if (link?.address === undefined) return undefined;
        return {mac: link.address, addresses: (link.addr_info ?? []).flatMap(({local}) => local ?? [])};
      } catch (error) {
        if (error instanceof ExecError && error.code === 'failed') return undefined;
        throw error;
      }
    },
  };
}

function enter(path: string): readonly string[] {
  return ['nsenter', `--net=${path}`, '--'];
}

async function run(argv: readonly string[], input: string): Promise<void> {
  try {
    await exec(argv, {timeoutMs: TIMEOUT_MS, input});
  } catch (error) {
    if (!(error instanceof ExecError)) throw error;
    throw new OverlayError('dataplane', `${argv.join(' ')}: ${error.result.stderr.trim() || error.message}`, {
      cause: error,
    });
  }
}
