/** Flags that several commands of this part share. */
import type {Flag} from '../../services/common/command.ts';

export const recipeFlags: readonly Flag[] = [
  {name: 'recipe', type: 'string', summary: "recipe to use instead of the Hawser image's own"},
  {
    name: 'mirror',
    type: 'string',
    summary: "Debian mirror, when not the one of this machine's apt",
    env: 'HAWSER_MIRROR',
  },
];

export const outputFlag: Flag = {
  name: 'output',
  short: 'o',
  type: 'string',
  summary: 'text or json',
  default: 'text',
};
