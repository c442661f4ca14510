/** Work on many machines at the same time, with a limit for each driver. */

export interface Outcome<Item> {
  readonly item: Item;
  /** Undefined when it went well. */
  readonly error?: unknown;
}

/** Works on all; one failure does not keep the others from being tried. In the order of `items`. */
export async function eachWithin<Item extends {readonly driver: string}>(
  items: readonly Item[],
  limitOf: (driver: string) => number,
  work: (item: Item) => Promise<void>,
): Promise<ReadonlyArray<Outcome<Item>>> {
  const outcomes = new Map<Item, Outcome<Item>>();
  const byDriver = Map.groupBy(items, item => item.driver);
  await Promise.all(
    [...byDriver].flatMap(([driver, own]) => {
      const queue = [...own];
      const worker = async () => {
        for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
          try {
            await work(item);
            outcomes.set(item, {item});
          } catch (error) {
            outcomes.set(item, {item, error});
          }
        }
      };
      return Array.from({length: Math.min(limitOf(driver), own.length)}, worker);
    }),
  );
  return items.flatMap(item => outcomes.get(item) ?? []);
}
