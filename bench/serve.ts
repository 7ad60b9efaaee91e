// Serve: three reads of sites at random, through the real HTTP server and handler, from a store as full as it gets.
// The server is this process, the reader a child; items are made by core/items.ts, as the rollup's are.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { QUARTER_MS, hourOf, hoursBetween, startOf } from '../core/hour.ts';
import { SEPARATOR, breakdownKey, dayItems, dayKey, hourItem, hourKey } from '../core/items.ts';
import { newKey, storeKey } from '../core/keys.ts';
import { DIMENSION_NAMES, OTHER, SUM_NAMES, type DimensionName, type Sum } from '../core/metrics.ts';
import type { ResultRow, Store, StoreItem } from '../core/ports.ts';
import { writeProgress } from '../core/progress.ts';
import { DEFAULT_RATE_LIMIT } from '../core/rate-limit.ts';
import { writeSite } from '../core/sites.ts';
import { EXACT, REGISTERS } from '../core/sketch.ts';
import { dayAfter, daysBetween, startOfLocalDay } from '../core/zone.ts';
import { randomFrom, type Random } from '../local/demo-shop.ts';
import { httpServer } from '../local/http.ts';
import { openEnvironment } from '../local/lmdb.ts';
import { lmdbStore } from '../local/store.ts';
import { httpPorts } from '../lambdas/http.ts';
import { serveHandler, type ServePorts } from '../lambdas/serve.ts';
import { percentile, secondsSince, type BenchOptions, type Measurement } from './report.ts';
import { readAll, type ReadTimes } from './reader.ts';

const CONCURRENCY = 4;
const TIME_ZONE = 'Europe/Berlin';
const LAST_DAY = '2026-01-30';
const DAYS = daysBetween(dayAfter(LAST_DAY, -89), LAST_DAY);
/** The last hour of the last day, as clocks have it there. */
const NOW = Date.parse(`${LAST_DAY}T22:30:00Z`);
const HOURS = hoursBetween(hourOf(startOfLocalDay(TIME_ZONE, dayAfter(LAST_DAY, -6))), hourOf(NOW));
const RUN = '20260130T223000000Z-000000';
const PUT_ITEMS = 5000;
/** Different contents of an item, of which each site's days and hours have some. */
const TEMPLATES = 40;

/** What is read: its path, the items it is made of, how many results it has, and how often it is read. */
const READS = [
  {
    name: '30 days by day', path: 'timeseries?range=30d&interval=day&metrics=visitors,pageviews,revenue',
    from: dayKey(DAYS.at(-30)!), to: dayKey(LAST_DAY), items: 30, results: 30, times: { full: 5000, quick: 500 }, target: { atMost: 10 },
  },
  {
    name: '7 days by hour', path: 'timeseries?range=7d&interval=hour&metrics=visitors,pageviews,revenue',
    from: hourKey(HOURS[0]!), to: hourKey(HOURS.at(-1)!), items: 7 * 24, results: 7 * 24, times: { full: 2000, quick: 100 },
  },
  {
    name: '90 days by page', path: 'breakdown?range=90d&dimension=page&limit=10',
    from: breakdownKey(DAYS[0]!), to: breakdownKey(LAST_DAY), items: 90, results: 10, times: { full: 1000, quick: 30 },
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

/** What a visit comes to of each sum. */
const OF_A_VISIT: Readonly<Record<Sum, number>> = {
  events: 5, pageviews: 3.5, visits: 1, engaged_visits: 0.6, visit_ms: 150_000, view_items: 1, add_to_carts: 0.15, checkouts: 0.06, purchases: 0.03,
  refunds: 0.002, revenue_micros: 2_000_000, items: 1.5, exits: 1, bots: 0.5, rejected: 0.05, long_visit_events: 0.02,
};
const SITE_SUMS = SUM_NAMES.filter((name) => name !== 'items' && name !== 'exits');
const VISIT_SUMS = SITE_SUMS.filter((name) => !['bots', 'rejected', 'long_visit_events'].includes(name));

/** How many values of a dimension a shop has at most, the sums that `sql/hours.sql` gives each of them, and how many a visit has. */
const VALUES: Readonly<Record<DimensionName, { most: number; sums: readonly Sum[]; ofVisit?: number }>> = {
  page: { most: 300, sums: ['events', 'pageviews'], ofVisit: 4 }, entry_page: { most: 300, sums: ['visits'] }, exit_page: { most: 300, sums: ['exits'] },
  source: { most: 40, sums: VISIT_SUMS }, channel: { most: 10, sums: VISIT_SUMS }, referrer: { most: 60, sums: VISIT_SUMS },
  utm_source: { most: 8, sums: VISIT_SUMS }, utm_medium: { most: 5, sums: VISIT_SUMS }, utm_campaign: { most: 12, sums: VISIT_SUMS },
  utm_content: { most: 30, sums: VISIT_SUMS }, utm_term: { most: 40, sums: VISIT_SUMS }, country: { most: 60, sums: VISIT_SUMS },
  device: { most: 4, sums: VISIT_SUMS }, browser: { most: 10, sums: VISIT_SUMS }, os: { most: 6, sums: VISIT_SUMS }, language: { most: 30, sums: VISIT_SUMS },
  event: { most: 8, sums: ['events'] },
  product: { most: 250, sums: ['items', 'view_items', 'add_to_carts', 'checkouts', 'purchases', 'refunds', 'revenue_micros'] },
  currency: { most: 2, sums: ['purchases', 'refunds', 'revenue_micros'] }, rejection: { most: 3, sums: ['rejected'] },
};
/** Values of a dimension that are kept of a day, as the rollup keeps them. */
const TOP = 100;
/** More would find hardly any other value. */
const MOST_DRAWS = 4000;

/** Each sum of so many visits; few visits have none of what is rare. */
function sumsOf(random: Random, names: readonly Sum[], visits: number): Partial<Record<Sum, number>> {
  return Object.fromEntries(names.map((name) => [name, Math.floor(visits * OF_A_VISIT[name] * (0.5 + random()) + random())]));
}

/** Who was there, as the rollup's query writes it: each of a few visitors, or the registers of many. */
function sketchOf(random: Random, visitors: number): number[] {
  const ranks = new Map<number, number>();
  for (let i = 0; i < visitors; i++) {
    const fingerprint = visitors <= EXACT ? 1 + Math.floor(random() * 4095) : 0;
    const seen = Math.floor(random() * REGISTERS) * 4096 + fingerprint;
    ranks.set(seen, Math.max(ranks.get(seen) ?? 0, 1 + Math.floor(-Math.log2(1 - random()))));
  }
  return [...ranks].map(([seen, rank]) => seen * 64 + rank);
}

/** The values that so many visits leave of a dimension, the most frequent first; a few have most of them, as in life. */
function valuesOf(random: Random, dimension: DimensionName, visits: number): (readonly [value: string, visits: number])[] {
  const { most, ofVisit = 1 } = VALUES[dimension];
  const having = new Map<number, number>();
  const draws = Math.min(visits * ofVisit, MOST_DRAWS);
  for (let i = 0; i < draws; i++) {
    const value = Math.floor(most * random() ** 3);
    having.set(value, (having.get(value) ?? 0) + visits / draws);
  }
  const sorted = [...having].sort(([, a], [, b]) => b - a);
  const rest = sorted.slice(TOP).reduce((sum, [, visitsOfValue]) => sum + visitsOfValue, 0);
  return [...sorted.slice(0, TOP).map(([value, its]) => [`/${dimension}/value-${value}`, its] as const), ...(rest > 0 ? [[OTHER, rest] as const] : [])];
}

/** A day of so many visitors, of a visit each, as the rollup's query would answer it. */
function dayRow(random: Random, visitors: number): ResultRow {
  const text = (dimension: string, value: string, sums: Partial<Record<Sum, number>>) => [dimension, value, ...SUM_NAMES.map((name) => sums[name] ?? 0)].join(SEPARATOR);
  return {
    sketch: sketchOf(random, visitors),
    sums: [
      text('', '', sumsOf(random, SITE_SUMS, visitors)),
      ...DIMENSION_NAMES.flatMap((dimension) => valuesOf(random, dimension, visitors)
        .map(([value, visits]) => text(dimension, value, sumsOf(random, VALUES[dimension].sums, visits)))),
    ],
  };
}

/** Four quarters of a site with so many visitors a day. */
function hourRow(random: Random, visitors: number): ResultRow {
  const quarters = [0, 1, 2, 3].map(() => {
    const here = Math.max(1, Math.floor(visitors / 96 + random()));
    return { ...sumsOf(random, SITE_SUMS, here), sketch: sketchOf(random, here) };
  });
  const lists = Object.fromEntries([...SUM_NAMES, 'sketch'].map((name) => [name, quarters.map((quarter) => (quarter as ResultRow)[name] ?? 0)]));
  return { ...lists, quarter: quarters.map((_, i) => i) };
}

type Template = Omit<StoreItem, 'pk' | 'sk'>;
interface Templates { days: Template[]; breakdowns: Template[]; hours: Template[] }

function templateOf(item: StoreItem): Template {
  return Object.fromEntries(Object.entries(item).filter(([name]) => name !== 'pk' && name !== 'sk'));
}

function templatesOf(random: Random, visitors: number): Templates {
  const made: Templates = { days: [], breakdowns: [], hours: [] };
  for (let i = 0; i < TEMPLATES; i++) {
    const [day, breakdown] = dayItems(LAST_DAY, RUN, dayRow(random, visitors));
    made.days.push(templateOf(day!));
    made.breakdowns.push(templateOf(breakdown!));
    made.hours.push(templateOf(hourItem(HOURS[0]!, RUN, hourRow(random, visitors))));
  }
  return made;
}

/** Puts items in batches; durably, as everything in the store is. */
async function putAll(store: Store, items: Iterable<StoreItem> | AsyncIterable<StoreItem>): Promise<number> {
  let count = 0;
  let batch: StoreItem[] = [];
  for await (const item of items) {
    count++;
    if (batch.push(item) < PUT_ITEMS) continue;
    await store.put(batch);
    batch = [];
  }
  await store.put(batch);
  return count;
}

/** All that is read of a site: 90 days with their breakdowns, and the hours of the last seven. */
function* itemsOf(pk: string, number: number, { days, breakdowns, hours }: Templates): Iterable<StoreItem> {
  for (const [i, day] of DAYS.entries()) {
    yield { ...days[(number + i) % TEMPLATES], pk, sk: dayKey(day) };
    yield { ...breakdowns[(number + i) % TEMPLATES], pk, sk: breakdownKey(day) };
  }
  for (const [i, hour] of HOURS.entries()) {
    const first = startOf(hour) / QUARTER_MS;
    yield { ...hours[(number + i) % TEMPLATES], pk, sk: hourKey(hour), quarters: [0, 1, 2, 3].map((quarter) => first + quarter) };
  }
}

function siteId(prefix: string, number: number): string {
  return `${prefix}-${String(number).padStart(7, '0')}`;
}

/** What the registry holds of the sites. */
async function* settingsOf(sites: Iterable<string>, registry: Store): AsyncIterable<StoreItem> {
  const created = new Date(NOW).toISOString();
  let items: readonly StoreItem[] = [];
  // Written one by one, a million of them would wait for the disk as often.
  const kept: Store = { ...registry, put: async (written) => { items = written; } };
  for (const id of sites) {
    await writeSite(kept, { id, name: id, timezone: TIME_ZONE, currency: 'EUR', hosts: [], origins: [], rate_limit: DEFAULT_RATE_LIMIT, created_at: created, updated_at: created });
    yield* items;
  }
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
      for (const [i, site] of sites.entries()) yield* itemsOf(site, i, templates);
    })());
    await putAll(registry, settingsOf(sites, registry));
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
  await putAll(registry, settingsOf(ids, registry));
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
      const of = `${read.name}, ${filled.sites.toLocaleString('en-US')} sites${kind.name}`;
      const times = read.times[size];
      const { p50, p99, perSecond, processor, limit, metricsAsked, registryAsked } = await measureRead(read, sites, times, ports, key);
      const about = `${times} reads of ${sites.length} sites at random (${kind.visitors.toLocaleString('en-US')} visitors a day), ${CONCURRENCY} at once: ${perSecond.toFixed(0)} a second, ${processor.toFixed(1)} ms of processor time a read`;
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
      const items = `${filled.items.toLocaleString('en-US')} items`;
      measurements.push({ what: `filling up to ${sites.toLocaleString('en-US')} sites`, value: secondsSince(began), unit: 's', note: `${items}: ${read}` });
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
