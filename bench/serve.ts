// Serve: three reads of sites at random, through the real HTTP server and handler, from a store as full as it gets.
// The server is this process, the reader a child. before: bench/items.ts, which makes what the store is full of
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hourOf, hoursBetween } from '../core/hour.ts';
import { breakdownKey, dayKey, hourKey } from '../core/items.ts';
import { newKey, storeKey } from '../core/keys.ts';
import { OTHER } from '../core/metrics.ts';
import type { Store } from '../core/ports.ts';
import { writeProgress } from '../core/progress.ts';
import { dayAfter, daysBetween, startOfLocalDay } from '../core/zone.ts';
import { randomFrom } from '../local/demo-shop.ts';
import { httpServer } from '../local/http.ts';
import { openEnvironment } from '../local/lmdb.ts';
import { lmdbStore } from '../local/store.ts';
import { httpPorts } from '../lambdas/http.ts';
import { serveHandler, type ServePorts } from '../lambdas/serve.ts';
import { TEMPLATES, itemsOf, putAll, settingsOf, templatesOf } from './items.ts';
import { count, percentile, secondsSince, type BenchOptions, type Measurement } from './report.ts';
import { readAll, type ReadTimes } from './reader.ts';

const CONCURRENCY = 4;
const TIME_ZONE = 'Europe/Berlin';
const LAST_DAY = '2026-01-30';
const DAYS = daysBetween(dayAfter(LAST_DAY, -89), LAST_DAY);
/** The last hour of the last day, as clocks have it there. */
const NOW = Date.parse(`${LAST_DAY}T22:30:00Z`);
const HOURS = hoursBetween(hourOf(startOfLocalDay(TIME_ZONE, dayAfter(LAST_DAY, -6))), hourOf(NOW));

/** What is read: its path, the items it is made of, how many results it has, and how often it is read. */
const READS = [
  {
    name: '30 days by day', path: 'timeseries?range=30d&interval=day&metrics=visitors,pageviews,revenue',
    from: dayKey(DAYS.at(-30)!), to: dayKey(LAST_DAY), items: 30, results: 30, times: { full: 5000, quick: 250 }, target: { atMost: 10 },
  },
  {
    name: '7 days by hour', path: 'timeseries?range=7d&interval=hour&metrics=visitors,pageviews,revenue',
    from: hourKey(HOURS[0]!), to: hourKey(HOURS.at(-1)!), items: 7 * 24, results: 7 * 24, times: { full: 2000, quick: 60 },
  },
  {
    name: '90 days by page', path: 'breakdown?range=90d&dimension=page&limit=10',
    from: breakdownKey(DAYS[0]!), to: breakdownKey(LAST_DAY), items: 90, results: 10, times: { full: 1000, quick: 15 },
  },
] as const;
type Read = (typeof READS)[number];

/** Sites that are read: how much happens on them, how many there are, and what is read of them. */
interface Kind { name: string; prefix: string; /** A day. */ visitors: number; sites: { full: number; quick: number }; reads: readonly Read[] }
const KINDS: readonly Kind[] = [
  { name: '', prefix: 'ordinary', visitors: 100, sites: { full: 200, quick: 20 }, reads: READS },
  { name: ', 10 times the events', prefix: 'busy', visitors: 1000, sites: { full: 200, quick: 20 }, reads: READS },
  { name: ', 200 times the events', prefix: 'busiest', visitors: 20_000, sites: { full: 40, quick: 4 }, reads: [READS[0]] },
];

function siteId(prefix: string, number: number): string {
  return `${prefix}-${String(number).padStart(7, '0')}`;
}

/** The store, as full as it is now. */
interface Filled { sites: number; items: number; read: { kind: Kind; sites: string[] }[] }

/** Fills the sites of each kind, which are the ones that are read. */
async function fillKinds(metrics: Store, registry: Store, size: Size): Promise<Filled> {
  const random = randomFrom(3);
  const filled: Filled = { sites: 0, items: 0, read: [] };
  for (const kind of KINDS) {
    const templates = templatesOf(random, kind.visitors);
    const sites = Array.from({ length: kind.sites[size] }, (_, i) => siteId(kind.prefix, i));
    filled.items += await putAll(metrics, (function* () {
      for (const [i, site] of sites.entries()) yield* itemsOf(site, i, DAYS, HOURS, templates);
    })());
    await putAll(registry, settingsOf(sites, TIME_ZONE, registry));
    filled.sites += sites.length;
    filled.read.push({ kind, sites });
  }
  return filled;
}

/** Days each of the many has: enough for millions of items, few enough to be put in minutes. */
const DAYS_OF_MANY = 3;
const VISITORS_OF_MANY = 20;

/** Adds small sites, until there are so many. */
async function fillUpTo(sites: number, filled: Filled, metrics: Store, registry: Store): Promise<Filled> {
  const { days } = templatesOf(randomFrom(5), VISITORS_OF_MANY);
  // Their names sort among, before and after those of the sites that are read.
  const ids = Array.from({ length: sites - filled.sites }, (_, i) => siteId(i % 2 === 0 ? 'ordinary' : 'small', filled.sites + i));
  const items = await putAll(metrics, (function* () {
    for (const [i, pk] of ids.entries()) {
      for (let day = 0; day < DAYS_OF_MANY; day++) yield { ...days[(i + day) % TEMPLATES], pk, sk: dayKey(DAYS.at(-1 - day)!) };
    }
  })());
  await putAll(registry, settingsOf(ids, TIME_ZONE, registry));
  return { ...filled, sites, items: filled.items + items };
}

interface Asked { queries: number; items: number }

/** A store that counts what is asked of it, and the items it answers. */
function countingStore(store: Store): Store & { asked: Asked } {
  const asked: Asked = { queries: 0, items: 0 };
  return {
    ...store,
    asked,
    get: async (pk, sk) => {
      const item = await store.get(pk, sk);
      asked.queries++;
      if (item) asked.items++;
      return item;
    },
    range: async (pk, from, to, limit) => {
      const items = await store.range(pk, from, to, limit);
      asked.queries++;
      asked.items += items.length;
      return items;
    },
  };
}

async function listening(server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
}

type Ports = Omit<ServePorts, 'keys' | 'sites' | 'onError'>;
interface Measured extends ReadTimes { /** ms of processor time a read. */ processor: number; limit: { p50: number; p99: number }; metricsAsked: number; registryAsked: number }

/** Reads sites at random, first by the API and then their bare items. */
async function measureRead(read: Read, sites: readonly string[], times: number, ports: Ports, key: string): Promise<Measured> {
  const random = randomFrom(11);
  const chosen = Array.from({ length: times }, () => sites[Math.floor(random() * sites.length)]!);
  const metrics = countingStore(ports.metrics);
  const registry = countingStore(ports.registry);
  const onError = (error: unknown) => { throw error; };
  const notHere = async () => { throw new Error('only reads are measured here'); };
  const server = httpServer({
    stream: { put: notHere }, clock: ports.clock, trustProxy: false, onError,
    handlers: {
      ingest: notHere, admin: notHere,
      // Keys and sites as on one machine: looked up for each read.
      serve: serveHandler({ ...ports, metrics, registry, ...httpPorts(registry, ports.clock, 0, onError) }),
    },
  });
  let api: ReadTimes;
  let processor: NodeJS.CpuUsage;
  try {
    const url = await listening(server);
    const paths = chosen.map((site) => `/v1/sites/${site}/${read.path}`);
    await checkAnswer(read, url + paths[0]!, key);
    const before = process.cpuUsage();
    api = await readAll({ url, key, paths, concurrency: CONCURRENCY });
    processor = process.cpuUsage(before);
  } finally {
    await closed(server);
  }
  const count = api.count + 1;
  if (metrics.asked.items !== count * read.items) throw new Error(`${read.name}: ${metrics.asked.items / count} items a read instead of ${read.items}`);
  const limit: number[] = [];
  for (const site of chosen) {
    const began = performance.now();
    const { length } = await ports.metrics.range(site, read.from, read.to);
    limit.push(performance.now() - began);
    if (length !== read.items) throw new Error(`${read.name}: ${site} has ${length} items instead of ${read.items}`);
  }
  return {
    ...api, processor: (processor.user + processor.system) / 1000 / api.count, limit: { p50: percentile(limit, 0.5), p99: percentile(limit, 0.99) },
    metricsAsked: metrics.asked.queries / count, registryAsked: registry.asked.queries / count,
  };
}

/** Throws unless the answer has all its results, and each of them something in it. */
async function checkAnswer({ name, results }: Read, address: string, key: string): Promise<void> {
  const response = await fetch(address, { headers: { authorization: `Bearer ${key}` } });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${name}: ${response.status} ${text}`);
  const answer = JSON.parse(text) as { results: { value?: string; metrics: { pageviews: number } }[] };
  const full = answer.results.filter(({ value, metrics }) => value !== OTHER && metrics.pageviews > 0);
  if (full.length !== results) throw new Error(`${name}: ${full.length} results instead of ${results}`);
}

/** Round trips of the same reader to a server that answers a fixed text: what HTTP alone takes. */
async function measureBareHttp(reads: number, key: string): Promise<ReadTimes> {
  const server = createServer((_, response) => { response.writeHead(200, { 'content-type': 'application/json' }).end('{}'); });
  try {
    return await readAll({ url: await listening(server), key, paths: Array.from({ length: reads }, () => '/'), concurrency: CONCURRENCY });
  } finally {
    await closed(server);
  }
}

type Size = 'full' | 'quick';

/** Measures the reads of each kind of site, from a store as full as it is now. */
async function measureStore(filled: Filled, size: Size, ports: Ports, key: string): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (const { kind, sites } of filled.read) {
    for (const read of kind.reads) {
      const of = `${read.name}, ${count(filled.sites)} sites${kind.name}`;
      const times = read.times[size];
      const { p50, p99, perSecond, processor, limit, metricsAsked, registryAsked } = await measureRead(read, sites, times, ports, key);
      const about = `${times} reads of ${sites.length} sites at random (${count(kind.visitors)} visitors a day), ${CONCURRENCY} at once: ${perSecond.toFixed(0)} a second, ${processor.toFixed(1)} ms of processor time a read`;
      measurements.push(
        { what: `${of}: p50`, value: p50, unit: 'ms', limit: limit.p50, note: about },
        { what: `${of}: p99`, value: p99, unit: 'ms', limit: limit.p99, ...('target' in read && { target: read.target }) },
      );
      if (kind !== KINDS[0]) continue;
      measurements.push(
        { what: '… queries of the metrics store a read', value: metricsAsked, unit: 'queries', target: { atMost: 2 } },
        { what: '… look-ups in the registry a read', value: registryAsked, unit: 'look-ups' },
      );
    }
  }
  return measurements;
}

const THOUSAND = 1000;
const MILLION = 1_000_000;

/** Measures the reads over HTTP, from a store of a thousand sites and then (not quickly) of a million. */
export async function measure({ quick }: BenchOptions): Promise<Measurement[]> {
  const folder = await mkdtemp(join(tmpdir(), 'footfall-bench-serve-'));
  const environment = openEnvironment(folder);
  const size: Size = quick ? 'quick' : 'full';
  try {
    const registry = lmdbStore(environment, 'registry');
    const metrics = lmdbStore(environment, 'metrics');
    const ports: Ports = {
      registry, metrics, clock: () => NOW,
      health: async () => ({ oldest_undelivered_seconds: null, waiting_tasks: 0, parked_tasks: 0 }),
    };
    const key = newKey('admin');
    await storeKey(registry, key, { scope: 'admin', label: 'bench' }, new Date(NOW).toISOString());
    await writeProgress(registry, { completeThrough: NOW, parkedHours: [], parkedDays: [] });
    const measurements: Measurement[] = [];
    let began = performance.now();
    let filled = await fillKinds(metrics, registry, size);
    const read = `${filled.sites} with 90 days, their breakdowns and the hours of 7 days, the others ${DAYS_OF_MANY} days of ${VISITORS_OF_MANY} visitors`;
    for (const sites of quick ? [THOUSAND] : [THOUSAND, MILLION]) {
      filled = await fillUpTo(sites, filled, metrics, registry);
      const items = `${count(filled.items)} items`;
      measurements.push({ what: `filling up to ${count(sites)} sites`, value: secondsSince(began), unit: 's', note: `${items}: ${read}` });
      measurements.push(...await measureStore(filled, size, ports, key));
      began = performance.now();
    }
    const bare = await measureBareHttp(READS[0].times[size], key);
    return [...measurements, { what: 'HTTP alone: p99', value: bare.p99, unit: 'ms', note: 'the same reader, a server that answers a fixed text' }];
  } finally {
    await environment.close();
    await rm(folder, { recursive: true, force: true });
  }
}
