// The whole pipeline under a load that goes on: beacons and pixels at a rate, reads beside them, delivery and rollups on
// their schedule. How much is taken, delivered and counted, how fresh it is, and what it costs; in the end, what a
// `kill -9` in the midst of it loses. before: bench/collect.ts, which measures the doors alone; next: bench/serve.ts
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { memoryOf, processorOf } from './child.ts';
import { withBareServer } from './collect.ts';
import { deliveredFiles, eventsIn, partsOf } from './disk.ts';
import { allCounted, countedOf, health, makeSites, readKey, startFootfall, withFootfall, type Counted, type Footfall } from './footfall.ts';
import type { LaneResult } from './lane.ts';
import { startLoad, type Generator, type LoadResult, type Order } from './load.ts';
import { probe } from './probe.ts';
import { count, median, percentile, rowsOf, secondsSince, type BenchOptions, type Measurement } from './report.ts';
import { siteId } from './traffic.ts';

/** What beacons are sent. */
interface Load { name: string; /** Of a beacon. */ events: number; /** Events a second. */ rate: number; /** Whether the rate is what has to be reached (DESIGN §8), not one that somebody asked for. */ target: boolean }
const LOADS = {
  single: { name: 'one event a beacon', events: 1, rate: 11_600 },
  batch: { name: 'ten events a beacon', events: 10, rate: 20_000 },
} as const;
/** The rows of this stage. */
export const ROWS = ['single', 'batch', 'crash'] as const;
export type Row = (typeof ROWS)[number];

/** How long and how much. */
interface Size {
  /** Seconds of the load; before it, to warm up; of each part of the limit; and until the kill -9, and after it. */
  seconds: number;
  warm: number;
  limit: number;
  crash: number;
  sites: number;
  /** A visitor's pause between two requests, on average, s. */
  pause: number;
  probeEveryMs: number;
  /** Settings of the measured process. */
  env: Readonly<Record<string, string>>;
}
const FULL: Size = { seconds: 600, warm: 5, limit: 10, crash: 30, sites: 20_000, pause: 30, probeEveryMs: 5_000, env: {} };
/** Rounds come sooner, since there is no time to wait for those of every day. */
const QUICK: Size = {
  seconds: 3, warm: 1.5, limit: 1, crash: 1.5, sites: 300, pause: 1, probeEveryMs: 500, env: { FOOTFALL_DELIVER_SECONDS: '1', FOOTFALL_ROLLUP_SECONDS: '1' },
};

/** Addresses come from the generator, as from a proxy before the process. */
const BEHIND_PROXY = { FOOTFALL_TRUST_PROXY: 'true' };
/** Browsers share none; with few, what is taken is no more than these times what one gets answered in a second. */
const CONNECTIONS = { beacon: 512, pixel: 32, read: 8 };
/** Of the beacons. */
const PIXEL_SHARE = 0.01;
const READS_A_SECOND = 50;
/** The largest sites are read with keys of their own, the others with the admin key. */
const READ_KEYS = 20;
const PROBE = 'probe';
const WATCH_EVERY_MS = 1_000;
const COUNTED_MS = 300_000;
/** The part of the time after which all is in its stride. */
const IN_STRIDE = 0.2;

/** Measures the rows that are asked for, all of them where none is. */
export async function measure({ quick, seconds, rate, rows }: BenchOptions): Promise<Measurement[]> {
  const size: Size = { ...(quick ? QUICK : FULL), ...(seconds !== undefined && { seconds, crash: seconds / 4 }) };
  const measurements: Measurement[] = [];
  for (const row of rowsOf(ROWS, rows)) {
    const { name, events, rate: own } = LOADS[row === 'crash' ? 'single' : row];
    const load: Load = { name, events, rate: rate ?? own, target: rate === undefined };
    const folder = await mkdtemp(join(tmpdir(), 'footfall-bench-pipeline-'));
    const generator = await generatorOf(load, size);
    try {
      measurements.push(...await (row === 'crash' ? measureCrash : measureLoad)(load, size, generator, folder));
    } finally {
      await generator.stop();
      await rm(folder, { recursive: true, force: true });
    }
  }
  return measurements;
}

/** A load's lanes. @param keys to read with; without any nothing is read */
function orderOf(port: number, { events, rate }: Load, seconds: number, keys?: readonly string[]): Order {
  const perSecond = rate / events;
  return {
    port, seconds,
    ...(keys && { keys }),
    lanes: [
      { name: 'beacon', perSecond, connections: CONNECTIONS.beacon },
      { name: 'pixel', perSecond: Math.max(1, perSecond * PIXEL_SHARE), connections: CONNECTIONS.pixel },
      ...(keys ? [{ name: 'read' as const, perSecond: READS_A_SECOND, connections: CONNECTIONS.read }] : []),
    ],
  };
}

function generatorOf({ events, rate }: Load, { sites, pause: between }: Size): Promise<Generator> {
  return startLoad({ seed: 1, sites, visitors: Math.ceil((rate / events) * between), events, name: Date.now().toString(36) });
}

/** Makes the sites, and keys to read them with. */
async function prepare(footfall: Footfall, { sites }: Size): Promise<string[]> {
  await makeSites(footfall, sites);
  return [...await Promise.all(Array.from({ length: READ_KEYS }, (_, number) => readKey(footfall, siteId(number)))), footfall.key];
}

interface Sum { sent: number; good: number; bad: number }

/** Events that were sent by beacons and pixels, those of them that were acknowledged, and requests of all lanes that were not answered as they should be. */
function sumOf(results: readonly LoadResult[], { events }: Load): Sum {
  const sum: Sum = { sent: 0, good: 0, bad: 0 };
  for (const { lanes: { beacon, pixel, read } } of results) {
    sum.sent += events * beacon!.sent + pixel!.sent;
    sum.good += events * beacon!.good + pixel!.good;
    for (const lane of [beacon, pixel, read]) sum.bad += lane ? lane.bad + lane.lost : 0;
  }
  return sum;
}

/** Processor time of a process while something goes on, s; null where the system does not tell. */
async function processorDuring<T>(pid: number, work: () => Promise<T>): Promise<{ done: T; processor: number | null }> {
  const before = await processorOf(pid);
  const done = await work();
  const after = await processorOf(pid);
  return { done, processor: before === null || after === null ? null : after - before };
}

/** What the bare server does with the same: as much as it takes, and then at the load's rate. */
interface Limit { events: number; paced: LoadResult; processor: number | null }

function measureLimit(load: Load, size: Size, generator: Generator, folder: string): Promise<Limit> {
  return withBareServer(folder, async ({ port, pid }) => {
    const closed: Order = { port, seconds: size.limit, lanes: [{ name: 'beacon', connections: CONNECTIONS.beacon }] };
    await generator.run({ ...closed, seconds: size.limit / 2 });
    const most = await generator.run(closed);
    const { done, processor } = await processorDuring(pid, () => generator.run(orderOf(port, load, size.limit)));
    return { events: load.events * most.lanes.beacon!.perSecond, paced: done, processor };
  });
}

/** What is seen of the process while the load goes on. */
interface Watched { /** Age of what is counted completely, and of the oldest undelivered event, s. */ lags: number[]; undelivered: number[]; /** The most memory there was, and of it what was no file's, MiB; null where the system does not tell. */ memory: { all: number; own: number } | null }

async function watch(footfall: Footfall, signal: AbortSignal): Promise<Watched> {
  const watched: Watched = { lags: [], undelivered: [], memory: null };
  while (!signal.aborted) {
    const { complete_through, oldest_undelivered_seconds } = await health(footfall);
    watched.undelivered.push(oldest_undelivered_seconds ?? 0);
    if (complete_through !== null) watched.lags.push((Date.now() - Date.parse(complete_through)) / 1000);
    const memory = await memoryOf(footfall.pid);
    if (memory && memory.all > (watched.memory?.all ?? 0)) watched.memory = memory;
    await pause(WATCH_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
  return watched;
}

/** How many events a second came into the lake, from when all was in its stride until the signal; they are counted when that is called. */
async function watchDelivery(data: string, seconds: number, signal: AbortSignal): Promise<() => Promise<number>> {
  await pause(seconds * IN_STRIDE * 1000, undefined, { signal }).catch(() => undefined);
  const [before, began] = [new Set(await deliveredFiles(data)), performance.now()];
  await new Promise((ended) => { if (signal.aborted) ended(undefined); else signal.addEventListener('abort', ended, { once: true }); });
  const [after, took] = [await deliveredFiles(data), secondsSince(began)];
  return async () => await eventsIn(after.filter((file) => !before.has(file))) / took;
}

interface Loaded {
  result: LoadResult;
  sum: Sum;
  processor: number | null;
  watched: Watched;
  /** Seconds of each probe, or why there are none. */
  fresh: number[] | Error;
  delivered: number;
  counted: Counted;
  /** Seconds; null where it took too long. */
  countedAfter: number | null;
  parts: Awaited<ReturnType<typeof partsOf>>;
}

async function runLoad(load: Load, size: Size, generator: Generator, data: string, footfall: Footfall): Promise<Loaded> {
  const keys = await prepare(footfall, size);
  const over = new AbortController();
  const { signal } = over;
  try {
    const warm = await generator.run(orderOf(footfall.port, load, size.warm, keys));
    const under = async () => {
      const during = await processorDuring(footfall.pid, () => generator.run(orderOf(footfall.port, load, size.seconds, keys)));
      over.abort();
      return { ...during, countedAfter: await allCounted(footfall, COUNTED_MS) };
    };
    const [{ done: result, processor, countedAfter }, watched, delivered, fresh] = await Promise.all([
      under(),
      watch(footfall, signal),
      watchDelivery(data, size.seconds, signal),
      probe(footfall, { site: PROBE, everyMs: size.probeEveryMs, signal }).catch((error: Error) => error),
    ]);
    const counted = await countedOf(footfall, size.sites);
    return {
      result, sum: sumOf([warm, result], load), processor, watched, fresh, counted, countedAfter,
      delivered: await delivered(), parts: await partsOf(data),
    };
  } finally {
    over.abort();
  }
}

async function measureLoad(load: Load, size: Size, generator: Generator, folder: string): Promise<Measurement[]> {
  const limit = await measureLimit(load, size, generator, join(folder, 'bare'));
  const data = join(folder, 'data');
  const loaded = await withFootfall(data, { ...size.env, ...BEHIND_PROXY }, (footfall) => runLoad(load, size, generator, data, footfall));
  return [...taken(load, size, loaded, limit), ...counted(load, loaded), ...cost(load, loaded, limit)];
}

/** What was taken, delivered and read, and how long it waited. */
function taken({ name, events, rate, target }: Load, { seconds, env, sites }: Size, { result, sum, delivered, watched: { undelivered } }: Loaded, limit: Limit): Measurement[] {
  const { beacon, pixel, read } = result.lanes as Record<string, LaneResult>;
  const accepted = events * beacon!.perSecond + pixel!.perSecond;
  const aimed = target && { target: { atLeast: rate } };
  const settings = Object.entries(env).map(([setting, value]) => `${setting}=${value}`).join(', ');
  const times = (door: string, lane: LaneResult, bare?: LaneResult): Measurement[] => (['p50', 'p99', 'max'] as const).map((of) => (
    { what: `${name}: ${door}, ${of}`, value: lane[of], unit: 'ms', ...(bare && { limit: bare[of] }) }
  ));
  return [
    {
      what: `${name}: accepted`, value: accepted, unit: 'events/s', limit: limit.events, ...aimed,
      note: `${count(beacon!.due)} beacons and ${count(pixel!.due)} pixels were due in ${seconds} s (${count(beacon!.sent)} and ${count(pixel!.sent)} were sent), of ${(beacon!.bytes / beacon!.sent).toFixed(0)} bytes, ` +
        `for ${count(sites)} sites, of which the largest has the most of it (Zipf); ${settings === '' ? 'the settings of npm start' : settings}. limit: the bare server, as fast as it goes`,
    },
    { what: `${name}: delivered into the lake`, value: delivered, unit: 'events/s', limit: accepted, ...(seconds >= 60 && aimed), note: `in files of the lake, in the last ${100 - 100 * IN_STRIDE} % of the time. limit: what was accepted` },
    { what: `${name}: oldest undelivered event, p50`, value: median(undelivered), unit: 's', note: `${undelivered.at(-1)} s when the load ended, at most ${percentile(undelivered, 1)} s` },
    ...times('beacon', beacon!, limit.paced.lanes.beacon),
    ...times('pixel', pixel!, limit.paced.lanes.pixel),
    ...times(`${READS_A_SECOND} reads a second`, read!),
    { what: `${name}: not answered 2xx`, value: sum.bad, unit: 'requests', target: { atMost: 0 }, ...(sum.bad > 0 && { note: JSON.stringify([beacon, pixel, read].map((lane) => lane!.reasons)) }) },
  ];
}

/** How fresh it is, and whether all of it is counted in the end. */
function counted({ name }: Load, { sum, watched: { lags }, fresh, counted: { events, bots, rejected }, countedAfter }: Loaded): Measurement[] {
  const probed = fresh instanceof Error ? fresh.message : `${fresh.length} single events of a site of its own, from the sending until stats have them`;
  const of = (share: number) => (fresh instanceof Error ? null : percentile(fresh, share));
  return [
    { what: `${name}: event to stats, p50`, value: of(0.5), unit: 's', note: probed },
    { what: `${name}: event to stats, longest`, value: of(1), unit: 's', target: { atMost: 300 } },
    { what: `${name}: age of complete_through, p50`, value: lags.length === 0 ? null : median(lags), unit: 's' },
    { what: `${name}: age of complete_through, longest`, value: lags.length === 0 ? null : percentile(lags, 1), unit: 's', target: { atMost: 300 } },
    { what: `${name}: last answer to all counted`, value: countedAfter, unit: 's', target: { atMost: 300 } },
    {
      what: `${name}: sent and not counted`, value: Math.abs(sum.good - events - bots), unit: 'events', target: { atMost: 0 },
      note: `${count(sum.good)} events were answered 2xx, the stats of all sites count ${count(events)}, ${count(bots)} of bots, and ${count(rejected)} refused ones`,
    },
  ];
}

/** What it takes of the machine. */
function cost({ name, events: ofBeacon }: Load, { result, sum, processor, watched: { memory }, parts }: Loaded, limit: Limit): Measurement[] {
  const events = (of: LoadResult) => ofBeacon * of.lanes.beacon!.sent + of.lanes.pixel!.sent;
  const each = (seconds: number, of: LoadResult) => (1e6 * seconds) / events(of);
  const { beacon, pixel, read } = result.lanes;
  const requests = beacon!.sent + pixel!.sent + read!.sent;
  return [
    ...(memory === null ? [] : [{ what: `${name}: peak memory`, value: memory.all, unit: 'MiB', target: { atMost: 4096 }, note: `of both processes, the most there was at a second; ${memory.own.toFixed(0)} MiB of it are their own, the rest files that the system can take back` }]),
    ...(processor === null ? [] : [
      { what: `${name}: the process, of a core`, value: (100 * processor) / result.seconds, unit: '%' },
      { what: `${name}: the process, an event`, value: each(processor, result), unit: 'µs', limit: each(limit.processor!, limit.paced), note: "processor time of both processes with all threads while the load went on, rollups and reads too. limit: the bare server's at the same rate" },
    ]),
    { what: `${name}: the generator, of a core`, value: (100 * result.processor) / result.seconds, unit: '%', note: `${((1e6 * result.processor) / requests).toFixed(1)} µs a request` },
    ...Object.entries(parts).map(([part, bytes]): Measurement => ({ what: `${name}: disk an event, ${part}`, value: bytes / sum.good, unit: 'B', ...(part === 'hours' && { note: 'with the runs that have been superseded, which are kept for an hour' }) })),
  ];
}

/** A load that a kill -9 ends, the same process on the same data again, and a load once more. */
async function measureCrash(load: Load, size: Size, generator: Generator, folder: string): Promise<Measurement[]> {
  const env = { ...size.env, ...BEHIND_PROXY };
  let footfall = await startFootfall(folder, env);
  try {
    const keys = await prepare(footfall, size);
    const [before] = await Promise.all([
      generator.run(orderOf(footfall.port, load, 4 * size.crash, keys)),
      pause(size.crash * 1000).then(() => footfall.end('SIGKILL')),
    ]);
    footfall = await startFootfall(folder, env);
    const { startedIn } = footfall;
    const after = await generator.run(orderOf(footfall.port, load, size.crash, keys));
    const countedAfter = await allCounted(footfall, COUNTED_MS);
    const { events, bots, rejected } = await countedOf(footfall, size.sites);
    const { sent, good } = sumOf([before, after], load);
    const found = events + bots;
    return [
      {
        what: 'kill -9 under load: acknowledged and not counted', value: Math.max(0, good - found), unit: 'events', target: { atMost: 0 },
        note: `at ${count(load.rate)} events a second, killed after ${size.crash} s and started again: ${count(good)} acknowledged ≤ ${count(found)} counted ≤ ${count(sent)} sent; ${count(rejected)} refused`,
      },
      { what: 'kill -9 under load: counted and never sent', value: Math.max(0, found - sent), unit: 'events', target: { atMost: 0 } },
      { what: 'kill -9 under load: not answered 2xx afterwards', value: sumOf([after], load).bad, unit: 'requests', target: { atMost: 0 } },
      { what: 'kill -9 under load: ready again after', value: startedIn, unit: 's' },
      { what: 'kill -9 under load: last answer to all counted', value: countedAfter, unit: 's', target: { atMost: 300 } },
    ];
  } catch (error) {
    throw new Error(`${(error as Error).message}; the server had printed:\n${footfall.printed()}`, { cause: error });
  } finally {
    await footfall.end();
  }
}
