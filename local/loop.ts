// A task that comes round: work, pause, work, until it is stopped. An error is reported and the next round tries again.
import { setTimeout as pause } from 'node:timers/promises';

export interface Loop {
  /** Lets the round that runs finish; no other begins. */
  stop(): Promise<void>;
}

/**
 * Repeats `work` with pauses of at least `everyMs`, and of at least `factor` times as long as the last round took.
 * The same error is reported once, until it changes or goes away.
 */
export function every(name: string, everyMs: number, factor: number, work: () => Promise<void>, report: (line: string) => void): Loop {
  const stopped = new AbortController();
  const run = async () => {
    let reported = '';
    while (!stopped.signal.aborted) {
      const began = performance.now();
      try {
        await work();
        reported = '';
      } catch (error) {
        const message = (error as Error).message.split('\n')[0]!;
        if (message !== reported) report(`${name} failed and will be tried again; nothing is lost: ${message}`);
        reported = message;
      }
      await pause(Math.max(everyMs, factor * (performance.now() - began)), undefined, { signal: stopped.signal }).catch(() => undefined);
    }
  };
  const ended = run();
  return {
    async stop() {
      stopped.abort();
      await ended;
    },
  };
}
