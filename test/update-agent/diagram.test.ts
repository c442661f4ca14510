import {readFile} from 'node:fs/promises';
import test from 'ava';
import {diagram} from '../../services/update-agent/diagram.ts';

test("the README's diagram is drawn from the transition table", async t => {
  const readme = await readFile(new URL('../../services/update-agent/README.md', import.meta.url), 'utf8');
  const drawn = /```mermaid\n([\s\S]*?)\n```/.exec(readme)?.[1];
  t.is(
    drawn,
    diagram(),
    'run: node -e "import(\'./services/update-agent/diagram.ts\').then(m => console.log(m.diagram()))"',
  );
});
