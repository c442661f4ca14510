/** One bridge in a namespace of its own, and one namespace a node behind it: nothing of the host is touched. */
import {exec} from '../../../services/common/exec.ts';

export interface Network {
  /** The command line that runs `argv` on a node. */
  on(node: string, argv: readonly string[]): string[];
  address(node: string): string;
  /** Unplugs the node's cable, or plugs it in. */
  setLink(node: string, up: boolean): Promise<void>;
  remove(): Promise<void>;
}

export async function createNetwork(name: string, nodes: readonly string[]): Promise<Network> {
  const hub = `${name}-hub`;
  const space = (node: string) => `${name}-${node}`;
  const made: string[] = [];
  const ip = (...args: string[]) => exec(['ip', ...args], {timeoutMs: 10_000});
  const remove = async () => {
    for (const each of made.toReversed()) await ip('netns', 'del', each);
    made.length = 0;
  };
  const addSpace = async (each: string) => {
    await ip('netns', 'add', each);
    made.push(each);
    await ip('-n', each, 'link', 'set', 'lo', 'up');
  };
  const address = (node: string) => `10.77.0.${nodes.indexOf(node) + 1}`;
  try {
    await addSpace(hub);
    await ip('-n', hub, 'link', 'add', 'br0', 'type', 'bridge');
    await ip('-n', hub, 'link', 'set', 'br0', 'up');
    for (const node of nodes) {
      await addSpace(space(node));
      await ip(
        '-n',
        hub,
        'link',
        'add',
        'name',
        node,
        'type',
        'veth',
        'peer',
        'name',
        'eth0',
        'netns',
        space(node),
      );
      await ip('-n', hub, 'link', 'set', 'dev', node, 'master', 'br0', 'up');
      await ip('-n', space(node), 'addr', 'add', `${address(node)}/24`, 'dev', 'eth0');
      await ip('-n', space(node), 'link', 'set', 'eth0', 'up');
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    on: (node, argv) => ['ip', 'netns', 'exec', space(node), ...argv],
    address,
    setLink: async (node, up) => void (await ip('-n', hub, 'link', 'set', 'dev', node, up ? 'up' : 'down')),
    remove,
  };
}
