// Collect: how many durable requests a second, how long each waits, and whether all that was answered is counted in the
// end. The whole pipeline runs in the measured process meanwhile, as it does for its users: delivery and rollups too.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { newKey } from '../core/keys.ts';
import { answerOf, peakMemoryOf, startChild, stopChild } from './child.ts';
import { load, type LoadOptions, type LoadResult } from './load.ts';
import { secondsSince, type BenchOptions, type Measurement } from './report.ts';

const SITE = 'bench';
const CONNECTIONS = 64;
const WARM_UP = 10_000;
const SOME_PIXELS = 2_000;
const READY_MS = 30_000;
const COUNTED_MS = 300_000;
const ASK_EVERY_MS = 500;

/** A load of about so many seconds: as many requests as the warm-up says it takes. `sent` counts the warm-up's too. */
async function loadFor(seconds: number, options: Omit<LoadOptions, 'amount' | 'connections' | 'site'>): Promise<Loaded> {
  const shared = { ...options, site: SITE, connections: CONNECTIONS };
  const warm = await load({ ...shared, amount: WARM_UP });
  const result = await load({ ...shared, amount: Math.max(CONNECTIONS, Math.round(warm.perSecond * seconds)) });
  return { ...result, bad: warm.bad + result.bad, sent: warm.good + result.good };
}

type Loaded = LoadResult & { sent: number };
interface Seconds { beacons: number; pixels: number }
interface Loads { beacons: Loaded; pixels: Loaded }

async function loads(url: string, seconds: Seconds): Promise<Loads> {
  const beacons = await loadFor(seconds.beacons, { kind: 'beacon', url });
  return { beacons, pixels: await loadFor(seconds.pixels, { kind: 'pixel', url }) };
}

/** The limit: the bare server under the same loads. */
async function measureBare(seconds: Seconds, folder: string): Promise<Loads> {
  const child = startChild('bench/bare-server.ts', { args: [folder] });
  try {
    return await loads(`http://127.0.0.1:${await answerOf<number>(child, READY_MS)}`, seconds);
  } finally {
    await stopChild(child);
  }
}

type Ask = <T>(path: string, init?: RequestInit) => Promise<T>;
interface Footfall { url: string; pid: number; ask: Ask }

/** Runs the real process, with one site in it, as long as `work` takes. */
async function withFootfall<T>(folder: string, env: Record<string, string>, work: (footfall: Footfall) => Promise<T>): Promise<T> {
  const adminKey = newKey('admin');
  let printed = '';
  const child = startChild('local/start.ts', {
    env: { ...env, PORT: '0', HOST: '127.0.0.1', FOOTFALL_DATA: folder, FOOTFALL_ADMIN_KEY: adminKey },
    output: (text) => { printed += text; },
  });
  try {
    const url = await readyUrl(() => printed, () => child.exitCode !== null);
    const ask: Ask = async <A>(path: string, init: RequestInit = {}) => {
      const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' };
      const answer = await fetch(url + path, { ...init, headers, signal: AbortSignal.timeout(READY_MS) });
      if (!answer.ok) throw new Error(`${path} was answered ${answer.status}: ${await answer.text()}`);
      return await answer.json() as A;
    };
    await ask(`/v1/sites/${SITE}`, { method: 'PUT', body: JSON.stringify({ name: 'Bench', timezone: 'UTC', currency: 'EUR' }) });
    return await work({ url, pid: child.pid!, ask });
  } catch (error) {
    throw new Error(`${(error as Error).message}; the server had printed:\n${printed}`, { cause: error });
  } finally {
    await stopChild(child);
  }
}

interface Pipeline {
  beacons: Loaded;
  sent: number;
  /** Events the stats API counted in the end, and how many seconds after the last answer. */
  counted: number;
  countedAfter: number;
  /** Age of the oldest undelivered event when the load ended, s. */
  behind: number;
  /** MiB */
  memory: number | null;
}

/** Collect with everything behind it at work, until all is counted. */
async function measurePipeline(seconds: number, { url, pid, ask }: Footfall): Promise<Pipeline> {
  const from = new Date().toISOString().slice(0, 10);
  const pixels = await load({ kind: 'pixel', url, site: SITE, connections: CONNECTIONS, amount: SOME_PIXELS });
  const beacons = await loadFor(seconds, { kind: 'beacon', url });
  const ended = performance.now();
  const { oldest_undelivered_seconds: behind } = await ask<{ oldest_undelivered_seconds: number | null }>('/v1/health');
  const sent = beacons.sent + pixels.good;
  let counted = 0;
  while (counted < sent && performance.now() - ended < COUNTED_MS) {
    await pause(ASK_EVERY_MS);
    const to = new Date().toISOString().slice(0, 10);
    const { results } = await ask<{ results: [{ metrics: { events: number } }] }>(`/v1/sites/${SITE}/stats?from=${from}&to=${to}&metrics=events`);
    counted = results[0].metrics.events;
  }
  const countedAfter = secondsSince(ended);
  return { beacons: { ...beacons, bad: beacons.bad + pixels.bad }, sent, counted, countedAfter, behind: behind ?? 0, memory: await peakMemoryOf(pid) };
}

async function readyUrl(printed: () => string, ended: () => boolean): Promise<string> {
  const began = performance.now();
  while (performance.now() - began < READY_MS && !ended()) {
    const url = /Footfall is ready on (http:\/\/\S+)/.exec(printed())?.[1];
    // autocannon and fetch may take localhost for ::1, where nothing listens.
    if (url !== undefined) return url.replace('localhost', '127.0.0.1');
    await pause(50);
  }
  throw new Error('Footfall did not get ready');
}

/** Measures durable requests a second at the browser doors of the real process, first alone and then with all it does. */
export async function measure({ quick }: BenchOptions): Promise<Measurement[]> {
  const seconds: Seconds = quick ? { beacons: 5, pixels: 2 } : { beacons: 20, pixels: 10 };
  const folder = await mkdtemp(join(tmpdir(), 'footfall-bench-collect-'));
  try {
    const bare = await measureBare(seconds, join(folder, 'bare'));
    const alone = await withFootfall(join(folder, 'alone'), { FOOTFALL_DELIVER_SECONDS: '900' }, ({ url }) => loads(url, seconds));
    const all = await withFootfall(join(folder, 'all'), {}, (footfall) => measurePipeline(seconds.beacons, footfall));
    return [...requests('collect alone', alone, bare, seconds), ...pipeline(all, bare, seconds)];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function requests(name: string, { beacons, pixels }: Loads, bare: Loads, seconds: Seconds): Measurement[] {
  return [
    {
      what: `${name}: beacons of one event`, value: beacons.perSecond, unit: '/s', limit: bare.beacons.perSecond, target: { atLeast: 12_000 },
      note: `${CONNECTIONS} connections for about ${seconds.beacons} s, bodies of ${beacons.bodyBytes.toFixed(0)} bytes, each on disk before its answer; delivery waits`,
    },
    { what: `${name}: beacons, p50`, value: beacons.p50, unit: 'ms', limit: bare.beacons.p50 },
    { what: `${name}: beacons, p99`, value: beacons.p99, unit: 'ms', limit: bare.beacons.p99, target: { atMost: 25 } },
    { what: `${name}: pixels`, value: pixels.perSecond, unit: '/s', limit: bare.pixels.perSecond },
    { what: `${name}: pixels, p50`, value: pixels.p50, unit: 'ms', limit: bare.pixels.p50 },
    { what: `${name}: pixels, p99`, value: pixels.p99, unit: 'ms', limit: bare.pixels.p99 },
    { what: `${name}: not answered 2xx`, value: beacons.bad + pixels.bad, unit: 'requests', target: { atMost: 0 } },
  ];
}

function pipeline({ beacons, sent, counted, countedAfter, behind, memory }: Pipeline, bare: Loads, seconds: Seconds): Measurement[] {
  return [
    {
      what: 'whole pipeline: beacons of one event', value: beacons.perSecond, unit: '/s', limit: bare.beacons.perSecond, target: { atLeast: 11_600 },
      note: `the same load; delivery and rollups go on in the same process. When it ended after about ${seconds.beacons} s, the oldest undelivered event was ${behind} s old`,
    },
    { what: 'whole pipeline: beacons, p50', value: beacons.p50, unit: 'ms', limit: bare.beacons.p50 },
    { what: 'whole pipeline: beacons, p99', value: beacons.p99, unit: 'ms', limit: bare.beacons.p99 },
    { what: 'whole pipeline: not answered 2xx', value: beacons.bad, unit: 'requests', target: { atMost: 0 } },
    {
      what: 'whole pipeline: sent and not counted', value: Math.abs(sent - counted), unit: 'events', target: { atMost: 0 },
      note: `${sent === counted ? 'sent = counted' : 'sent is not counted'}: ${sent} events were answered 2xx, the stats API counts ${counted}`,
    },
    { what: 'whole pipeline: last answer to all counted', value: counted === sent ? countedAfter : null, unit: 's', target: { atMost: 300 } },
    ...(memory === null ? [] : [{ what: 'whole pipeline: peak memory', value: memory, unit: 'MiB', target: { atMost: 4096 } }]),
  ];
}
