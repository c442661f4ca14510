/** Reads apt's source lists, both styles of sources.list(5). Pure; what apt would ignore is ignored here. */
import {field, parseDeb822, type Stanza} from '../contents/deb822.ts';
import {ContentsError} from '../contents/errors.ts';

/** One archive and suite that the machine takes amd64 packages from. */
export interface AptSourceEntry {
  /** http or https, without credentials and without a slash at its end. */
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
}

/** The enabled binary sources of one file, `.list` or `.sources`, told apart by their content. */
export function readSources(text: string): AptSourceEntry[] {
  return /^types:/im.test(text) ? readStanzas(text) : text.split('\n').flatMap(readLine);
}

/** `deb [ option=value ... ] uri suite component...  # comment` */
function readLine(line: string): AptSourceEntry[] {
  const found = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)([^#]*)/.exec(line);
  if (found === null) return [];
  const [, options = '', uri = '', suite = '', components = ''] = found;
  const architectures = /(?:^|\s)arch=(\S+)/.exec(options)?.[1]?.split(',');
  if (!forAmd64(architectures)) return [];
  return entriesOf([uri], [suite], words(components));
}

function readStanzas(text: string): AptSourceEntry[] {
  let stanzas: readonly Stanza[];
  try {
    stanzas = parseDeb822(text);
  } catch (error) {
    // A file that apt itself refuses says nothing about a mirror.
    if (error instanceof ContentsError) return [];
    throw error;
  }
  return stanzas.flatMap(stanza => {
    const list = (name: string) => words(field(stanza, name) ?? '');
    // apt's false values: no, false, without, off, disable, 0 (strutl.cc, StringToBool)
    const enabled = !/^(no|false|without|off|disable|0)$/i.test(field(stanza, 'Enabled')?.trim() ?? 'yes');
    const architectures = field(stanza, 'Architectures') === undefined ? undefined : list('Architectures');
    if (!enabled || !list('Types').includes('deb') || !forAmd64(architectures)) return [];
    return entriesOf(list('URIs'), list('Suites'), list('Components'));
  });
}

function forAmd64(architectures: readonly string[] | undefined): boolean {
  return architectures === undefined || architectures.includes('amd64');
}

function entriesOf(
  uris: readonly string[],
  suites: readonly string[],
  components: readonly string[],
): AptSourceEntry[] {
  return uris
    .filter(uri => /^https?:\/\/[^/@]+(\/[^@]*)?$/.test(uri))
    .map(uri => uri.replace(/\/+$/, ''))
    .flatMap(uri => suites.map(suite => ({uri, suite: suite.replace(/\/+$/, ''), components})));
}

function words(text: string): string[] {
  return text.split(/\s+/).filter(word => word !== '');
}
