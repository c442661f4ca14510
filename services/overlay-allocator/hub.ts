/** Tells every host that follows: everything first, then what changes. */
import {Readable} from 'node:stream';
import type {OverlayItem, WatchLine} from '../common/contracts/overlay.ts';
import type {OverlayView} from './view.ts';

/** Bytes that may wait for a host that does not read; it begins anew then. */
const MAX_BEHIND = 32 * 1024 * 1024;

export interface Hub {
  /** A stream of lines, which ends when the host is too slow or the server stops. */
  open(view: OverlayView): Readable;
  reset(view: OverlayView): void;
  changed(view: OverlayView, items: readonly OverlayItem[]): void;
  alive(): void;
  close(): void;
  size(): number;
}

export function createHub(): Hub {
  const streams = new Set<Readable>();
  const send = (stream: Readable, text: string): void => {
    stream.push(text);
    if (stream.readableLength > MAX_BEHIND) stream.destroy(new Error('the host does not read'));
  };
  const all = (text: string): void => {
    for (const stream of streams) send(stream, text);
  };
  return {
    open: view => {
      const stream = new Readable({read: () => undefined, highWaterMark: MAX_BEHIND});
      stream.once('close', () => streams.delete(stream));
      streams.add(stream);
      send(stream, everything(view));
      return stream;
    },
    reset: view => void (streams.size > 0 && all(everything(view))),
    changed: (view, items) => {
      if (items.length > 0 && streams.size > 0)
        all(line({kind: 'changes', revision: String(view.revision), items: [...items]}));
    },
    alive: () => all(line({kind: 'alive'})),
    close: () => {
      for (const stream of streams) stream.push(null);
      streams.clear();
    },
    size: () => streams.size,
  };
}

function everything(view: OverlayView): string {
  return line({kind: 'all', epoch: view.epoch, revision: String(view.revision), items: view.items()});
}

function line(value: WatchLine): string {
  return `${JSON.stringify(value)}\n`;
}
