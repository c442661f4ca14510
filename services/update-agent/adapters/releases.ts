/** Signed metadata from the repositories, by trust/. */
import {describeError} from '../../common/errors.ts';
import {TrustError} from '../../common/tuf/errors.ts';
import {httpSource} from '../../common/tuf/source.ts';
import type {ReleasePort} from '../ports.ts';
import {openTrust} from '../trust/trust.ts';
import {readBody, type MachineHttp} from '../../common/machine-http.ts';

export interface ReleaseOptions {
  readonly http: MachineHttp;
  /** The machine's own TUF root. */
  readonly root: Uint8Array;
  readonly folder: string;
  /** Where no other repository was named. */
  readonly server: string;
  readonly notBefore: Date | undefined;
  readonly now: () => Date;
  readonly signal: AbortSignal;
  log(line: string): void;
}

export function signedReleases(options: ReleaseOptions): ReleasePort {
  return {
    async verify(version, repositories) {
      try {
        const trust = await openTrust({
          root: options.root,
          folder: options.folder,
          repositories: repositoriesOr(repositories, options.server).map(base =>
            // The server knows its machines by their certificates; a mirror, believed by signatures alone, is anybody's.
            isBelow(base, options.server)
              ? httpSource(base, async (url, maxBytes, signal) => {
                  const incoming = await options.http.open(url, {}, signal);
                  return {status: incoming.statusCode ?? 0, body: await readBody(incoming, maxBytes)};
                })
              : httpSource(base),
          ),
          now: options.now,
          ...(options.notBefore === undefined ? {} : {notBefore: options.notBefore}),
          signal: options.signal,
        });
        for (const problem of trust.problems)
          options.log(`a repository was passed over: ${describeError(problem)}`);
        const release = await trust.manifest(version);
        const barriers = trust
          .releases()
          .filter(one => one.barrier)
          .map(one => one.version);
        return {kind: 'metadata-verified', release, barriers};
      } catch (error) {
        if (!(error instanceof TrustError)) throw error;
        const detail = describeError(error);
        if (error.code === 'no-such-release' || error.code === 'withdrawn')
          return {kind: 'release-unknown', detail};
        const away = error.code === 'unreachable' || error.code === 'refused' || error.code === 'not-found';
        return {kind: away ? 'metadata-unreachable' : 'metadata-rejected', detail};
      }
    },
  };
}

/** `<server>/repository/` unless something else was named. */
export function repositoriesOr(repositories: readonly string[], server: string): readonly string[] {
  if (repositories.length > 0) return repositories;
  return [new URL('repository/', server.endsWith('/') ? server : `${server}/`).href];
}

/** Whether `url` is at the server itself. */
export function isBelow(url: string, server: string): boolean {
  return URL.canParse(url) && new URL(url).origin === new URL(server).origin;
}
