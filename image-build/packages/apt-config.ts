/** The configuration of a private apt: every path lies below one folder, nothing of the machine's own is read. Pure. */
import {join} from 'node:path';
import type {Mirrors} from './mirrors.ts';

/** The package debian-archive-keyring has it, on Ubuntu too. */
export const debianKeyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

export interface AptSource {
  readonly mirrors: Mirrors;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** File of the keys that may sign the archive; {@link debianKeyring} when absent. */
  readonly keyring?: string;
}

/** sources.list(5), one line a suite; the key is named in it, so that apt trusts no other. */
export function sourcesList(source: AptSource): string {
  const {mirrors, suites, components, keyring = debianKeyring} = source;
  return suites
    .map(suite => {
      const archive = suite.endsWith('-security') ? 'debian-security' : 'debian';
      return `deb [signed-by=${keyring}] ${mirrors[archive]} ${suite} ${components.join(' ')}\n`;
    })
    .join('');
}

/** apt.conf(5) for the folder that {@link openApt} prepares. */
export function aptConfiguration(folder: string): string {
  const settings: Readonly<Record<string, string>> = {
    Dir: folder,
    'Dir::State': 'state',
    'Dir::State::status': join(folder, 'state', 'status'),
    'Dir::Cache': 'cache',
    'Dir::Etc': 'etc',
    'Dir::Etc::sourcelist': 'sources.list',
    'Dir::Etc::sourceparts': 'none',
    'Dir::Etc::main': 'none.conf',
    'Dir::Etc::parts': 'none',
    'Dir::Etc::preferences': 'none.pref',
    'Dir::Etc::preferencesparts': 'none',
    'Dir::Etc::trusted': 'none.gpg',
    'Dir::Etc::trustedparts': 'none',
    'APT::Architecture': 'amd64',
    'APT::Architectures': 'amd64',
    'APT::Install-Recommends': 'false',
    'APT::Sandbox::User': '',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name} "${value}";\n`)
    .join('');
}
