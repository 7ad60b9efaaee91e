// How fresh the numbers are: events sent by the browser door, one at a time, until the stats show them.
// before: bench/pipeline.ts and bench/reprocess.ts
import { setTimeout as pause } from 'node:timers/promises';
import { USER_AGENTS } from './events.ts';
import type { Footfall } from './footfall.ts';
import { secondsSince } from './report.ts';

const ASK_EVERY_MS = 100;
const ANSWER_MS = 30_000;
/** More than any event takes; what takes longer has failed. */
const PATIENCE_MS = 300_000;

export interface ProbeOptions {
  /** A site that gets no other events; it is made. */
  site: string;
  everyMs: number;
  /** Ends the sending. */
  signal: AbortSignal;
}

/**
 * Sends an event now and then until the signal; resolves, when all are in `stats`, to the seconds it took of each. Rejects
 * where one takes longer than five minutes, or is not answered with 204.
 */
export async function probe({ url, ask }: Pick<Footfall, 'url' | 'ask'>, { site, everyMs, signal }: ProbeOptions): Promise<number[]> {
  await ask(`/v1/sites/${site}`, { method: 'PUT', body: JSON.stringify({ name: 'Probe', timezone: 'UTC', currency: 'EUR' }) });
  const from = new Date().toISOString().slice(0, 10);
  const sent: number[] = [];
  const taken: number[] = [];
  let failed: Error | undefined;
  const send = async () => {
    const began = performance.now();
    for (let i = 0; !signal.aborted; i++) {
      sent.push(performance.now());
      const body = JSON.stringify({ site, events: [{ name: 'page_view', url: `https://${site}.example/${i}` }] });
      const answer = await fetch(`${url}/e`, {
        method: 'POST', body, headers: { 'content-type': 'text/plain', 'user-agent': USER_AGENTS[0]! }, signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (answer.status !== 204) throw new Error(`a probe was answered ${answer.status}`);
      await pause(Math.max(0, began + (i + 1) * everyMs - performance.now()), undefined, { signal }).catch(() => undefined);
    }
  };
  const sending = send().catch((error: Error) => { failed = error; });
  while (!signal.aborted || taken.length < sent.length) {
    if (failed !== undefined) throw failed;
    if (taken.length < sent.length && performance.now() - sent[taken.length]! > PATIENCE_MS) throw new Error(`a probe was not counted within ${PATIENCE_MS / 1000} s`);
    const to = new Date().toISOString().slice(0, 10);
    const { results } = await ask<{ results: [{ metrics: { events: number } }] }>(`/v1/sites/${site}/stats?from=${from}&to=${to}&metrics=events`);
    // They are delivered in order, so it is the first ones that are counted.
    while (taken.length < results[0].metrics.events) taken.push(secondsSince(sent[taken.length]!));
    await pause(ASK_EVERY_MS);
  }
  await sending;
  return taken;
}
