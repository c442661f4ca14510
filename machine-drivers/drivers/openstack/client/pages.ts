/** Lists that come in pages: as long as the service says that there is more, from behind the last one. */
import {Type, type Static, type TSchema} from 'typebox';
import type {Service} from './identity.ts';
import type {Session} from './session.ts';

export interface ListWish<Schema extends TSchema> {
  readonly service: Service;
  readonly path: string;
  /** The key of the list in the answer, for instance `servers`. */
  readonly key: string;
  readonly item: Schema;
  readonly query?: Readonly<Record<string, string>>;
}

const Page = Type.Record(Type.String(), Type.Unknown());

/** All items. Links may name another host than the one that answers here, so only the marker is taken from them. */
export async function listAll<Schema extends TSchema>(
  session: Session,
  wish: ListWish<Schema>,
): Promise<ReadonlyArray<Static<Schema>>> {
  const {service, path, key, item} = wish;
  const items: Array<Static<Schema>> = [];
  let marker: string | undefined;
  for (;;) {
    const query = {...wish.query, ...(marker === undefined ? {} : {marker})};
    const Answer = Type.Object({[key]: Type.Array(item)});
    const page = await session.ask(service, {method: 'GET', path, query}, Type.Intersect([Answer, Page]));
    const found = page[key] as Array<Static<Schema>>;
    items.push(...found);
    marker = hasMore(page, key) ? idOf(found.at(-1)) : undefined;
    if (marker === undefined) return items;
  }
}

/** Nova and Neutron: `<key>_links` with `rel: next`; Glance: `next`. */
function hasMore(page: Readonly<Record<string, unknown>>, key: string): boolean {
  if (typeof page['next'] === 'string') return true;
  const links = page[`${key}_links`];
  if (!Array.isArray(links)) return false;
  return links.some(
    (link: unknown) => typeof link === 'object' && link !== null && 'rel' in link && link.rel === 'next',
  );
}

function idOf(item: unknown): string | undefined {
  if (typeof item !== 'object' || item === null || !('id' in item)) return undefined;
  return typeof item.id === 'string' ? item.id : undefined;
}
