// The real process, as its users start it, and what is asked of it over HTTP. before: bench/collect.ts, bench/pipeline.ts
// and bench/startup.ts; next: local/start.ts
import type { ChildProcess } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { newKey } from '../core/keys.ts';
import { START_FLAGS, startChild, stopChild } from './child.ts';
import { secondsSince } from './report.ts';
import { siteId } from './traffic.ts';

const READY_MS = 60_000;
const ANSWER_MS = 60_000;
const ASK_EVERY_MS = 250;
const ASKED_AT_ONCE = 32;
/** Zones of merchants: some where it is another day, and one with an odd offset. */
const ZONES = ['Europe/Berlin', 'America/New_York', 'UTC', 'Asia/Kolkata', 'America/Los_Angeles', 'Australia/Sydney', 'Europe/London', 'Asia/Tokyo'];

export type Ask = <T>(path: string, init?: RequestInit) => Promise<T>;

export interface Footfall {
  url: string;
  port: number;
  key: string;
  pid: number;
  /** Seconds from the start of the process until it said that it is ready. */
  startedIn: number;
  /** What it printed so far. */
  printed: () => string;
  /** Asks the API with the admin key; rejects on any status but a good one. */
  ask: Ask;
  /** Ends the process; `SIGKILL` gives it no time. */
  end: (signal?: 'SIGKILL') => Promise<void>;
}

/** Starts the process on a data folder; resolves when it is ready. @param env settings other than those of `npm start` */
export async function startFootfall(folder: string, env: Readonly<Record<string, string>> = {}): Promise<Footfall> {
  const key = newKey('admin');
  let printed = '';
  const began = performance.now();
  const child = startChild('local/start.ts', {
    flags: START_FLAGS,
    env: { ...env, PORT: '0', HOST: '127.0.0.1', FOOTFALL_DATA: folder, FOOTFALL_ADMIN_KEY: key },
    output: (text) => { printed += text; },
  });
  try {
    const port = await readyPort(child, () => printed);
    const url = `http://127.0.0.1:${port}`;
    return {
      url, port, key, pid: child.pid!, startedIn: secondsSince(began), printed: () => printed,
      ask: async <T>(path: string, init: RequestInit = {}) => {
        const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
        const answer = await fetch(url + path, { ...init, headers, signal: AbortSignal.timeout(ANSWER_MS) });
        if (!answer.ok) throw new Error(`${path} was answered ${answer.status}: ${await answer.text()}`);
        return await answer.json() as T;
      },
      end: (signal) => stopChild(child, signal),
    };
  } catch (error) {
    await stopChild(child);
    throw new Error(`${(error as Error).message}; it had printed:\n${printed}`, { cause: error });
  }
}

/** Starts the process, and ends it when `work` is done; where that fails, tells what it had printed. */
export async function withFootfall<T>(folder: string, env: Readonly<Record<string, string>>, work: (footfall: Footfall) => Promise<T>): Promise<T> {
  const footfall = await startFootfall(folder, env);
  try {
    return await work(footfall);
  } catch (error) {
    throw new Error(`${(error as Error).message}; the server had printed:\n${footfall.printed()}`, { cause: error });
  } finally {
    await footfall.end();
  }
}

async function readyPort(child: ChildProcess, printed: () => string): Promise<number> {
  const began = performance.now();
  while (performance.now() - began < READY_MS && child.exitCode === null && child.signalCode === null) {
    const port = /Footfall is ready on http:\/\/\S+:(\d+)/.exec(printed())?.[1];
    if (port !== undefined) return Number(port);
    await pause(5);
  }
  throw new Error('Footfall did not get ready');
}

/** Does a work for each number below `count`, so many at once. */
async function each(count: number, atOnce: number, work: (number: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (let number = next++; number < count; number = next++) await work(number);
  }));
}

/** Makes the sites of the made-up traffic, in the time zones of merchants. */
export async function makeSites({ ask }: Footfall, count: number): Promise<void> {
  await each(count, ASKED_AT_ONCE, async (number) => {
    const id = siteId(number);
    await ask(`/v1/sites/${id}`, { method: 'PUT', body: JSON.stringify({ name: id, timezone: ZONES[number % ZONES.length], currency: 'EUR', hosts: [`${id}.example`] }) });
  });
}

/** A read key of a site. */
export async function readKey({ ask }: Footfall, site: string): Promise<string> {
  return (await ask<{ key: string }>(`/v1/sites/${site}/keys`, { method: 'POST', body: JSON.stringify({ scope: 'read', label: 'bench' }) })).key;
}

export interface Health { oldest_undelivered_seconds: number | null; waiting_tasks: number; parked_tasks: number; complete_through: string | null }

export function health({ ask }: Pick<Footfall, 'ask'>): Promise<Health> {
  return ask<Health>('/v1/health');
}

/** Waits until all that was received before now is counted; resolves to the seconds it took, or to null after `mostMs`. */
export async function allCounted(footfall: Footfall, mostMs: number): Promise<number | null> {
  const [now, began] = [Date.now(), performance.now()];
  while (performance.now() - began < mostMs) {
    const { complete_through } = await health(footfall);
    if (complete_through !== null && Date.parse(complete_through) > now) return secondsSince(began);
    await pause(ASK_EVERY_MS);
  }
  return null;
}

export interface Counted { events: number; bots: number; rejected: number }

/** What the stats of the made-up sites add up to, of today and the days around it. */
export async function countedOf({ ask }: Footfall, sites: number): Promise<Counted> {
  const day = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
  const counted: Counted = { events: 0, bots: 0, rejected: 0 };
  await each(sites, ASKED_AT_ONCE, async (number) => {
    const { results } = await ask<{ results: [{ metrics: Counted }] }>(`/v1/sites/${siteId(number)}/stats?from=${day(-1)}&to=${day(1)}&metrics=events,bots,rejected`);
    for (const name of ['events', 'bots', 'rejected'] as const) counted[name] += results[0].metrics[name];
  });
  return counted;
}
