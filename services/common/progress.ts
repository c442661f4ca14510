/**
 * Progress of long work: on a terminal one line that is rewritten, elsewhere one plain line per step.
 */
export interface Progress {
  /** Starts a step; the returned handle updates and ends it. */
  step(title: string): ProgressStep;
  /** A plain line of its own. */
  note(text: string): void;
}

export interface ProgressStep {
  update(detail: string): void;
  done(detail?: string): void;
  fail(detail?: string): void;
}

export interface ProgressOutput {
  readonly isTTY: boolean;
  readonly columns: number;
  write(text: string): void;
}

const REDRAW_INTERVAL_MS = 100;

/** Reports to `output`; `now` gives milliseconds. Steps may overlap: on a terminal the newest one is shown live. */
export function createProgress(output: ProgressOutput, now: () => number): Progress {
  let live = '';
  let drawnAt = 0;
  const clear = () => {
    if (live !== '') output.write('\r\u001B[K');
    live = '';
  };
  const draw = (text: string) => {
    if (!output.isTTY || now() - drawnAt < REDRAW_INTERVAL_MS) return;
    clear();
    live = text.slice(0, Math.max(20, output.columns - 1));
    drawnAt = now();
    output.write(live);
  };
  const line = (text: string) => {
    clear();
    output.write(`${text}\n`);
  };
  return {
    note: line,
    step: title => {
      const started = now();
      const seconds = () => `${((now() - started) / 1000).toFixed(1)} s`;
      const end = (mark: string, detail: string | undefined) =>
        line(`${mark} ${title}${detail === undefined || detail === '' ? '' : `: ${detail}`} (${seconds()})`);
      draw(`… ${title}`);
      return {
        update: detail => draw(`… ${title}: ${detail} (${seconds()})`),
        done: detail => end('✓', detail),
        fail: detail => end('✗', detail),
      };
    },
  };
}

/** Runs `work` as one step: ended as done with the text it returns, or as failed when it throws. */
export async function withStep<Result>(
  progress: Progress,
  title: string,
  work: (step: ProgressStep) => Promise<Result>,
  detail: (result: Result) => string = () => '',
): Promise<Result> {
  const step = progress.step(title);
  try {
    const result = await work(step);
    step.done(detail(result));
    return result;
  } catch (error) {
    step.fail();
    throw error;
  }
}

/** Swallows everything; for tests and `--quiet`. */
export const silentProgress: Progress = {
  note: () => undefined,
  step: () => ({update: () => undefined, done: () => undefined, fail: () => undefined}),
};
