// What a deployment costs a day: what its templates say (facts), what happens in it (the load) and the prices make lines
// by service. Pure arithmetic: one function a service. before: the stacks' templates; next: bin/cost.ts, docs/cost.md
import { SIGNALS, type FunctionName } from '../lambdas/environment.ts';
import { PRICES, type Price, type Prices, type TieredPrice } from './prices.ts';

/** What the templates say; bin/cost.ts reads them. */
export interface Facts {
  doors: { kind: 'REST' | 'HTTP'; /** Metrics by method. */ metrics: number; /** Bytes of a line of the log of requests, 0 without one. */ logLine: number };
  api: { logLine: number };
  stream: { shards: number | undefined; retentionHours: number };
  live: { converts: boolean; partitions: boolean; backup: boolean; seconds: number; MiB: number; batchSeconds: number; batchMiB: number };
  functions: Record<FunctionName, { GB: number; warm: number }>;
  /** Minutes between two calls by the schedule. */
  beats: Record<'schedule' | 'reprocess', number>;
  recovery: boolean;
  rawDays: number;
  logDays: number;
  pages: boolean;
  /** Queues that feed a function. */
  queues: number;
  alarmMetrics: number;
  dashboards: number;
}

/** Defaults of a load, and what each number is. Events and sites decide nearly everything; the others are measured or stated in docs/cost.md. */
export const LOAD = {
  eventsPerDay: [1e9, 'events a day'],
  perRequest: [10, 'events a request at the browser doors'],
  serverShare: [0, 'part of the events that comes through the server door'],
  perServerRequest: [50, 'events a request at the server door'],
  eventBytes: [350, 'bytes of an event as it is sent'],
  escaping: [1.09, 'times as long inside an envelope (quotes are escaped)'],
  envelopeBytes: [300, 'bytes of an envelope around its events'],
  rowBytes: [750, 'bytes of the rows of an event as JSON'],
  parquetBytes: [50, 'bytes of the rows of an event as Parquet'],
  runBytes: [11, "bytes of an hour's run for each of its events"],
  rawRatio: [5, 'times smaller by gzip, records as they came'],
  sites: [1e6, 'sites (default: one for 1,000 events a day)'],
  perVisit: [5, 'events a visit'],
  visitMinutes: [5, 'minutes a visit lasts'],
  sitesPerSlice: [2_000_000, 'sites of one query of a day (lambdas/rollup.ts)'],
  readsPerSite: [2, 'reads a site and day at the API'],
  transformMicros: [33, 'microseconds the transform takes for an event'],
  loadMicros: [300, 'microseconds the load function takes for an item'],
  querySeconds: [6, 'seconds a query of Athena takes'],
  months: [1, 'months of events, runs and items that are kept'],
} as const satisfies Record<string, readonly [number, string]>;
export type Load = { [K in keyof typeof LOAD]: number };

/** A load with its defaults. Throws on numbers that make no sense. */
export function loadOf(given: Partial<Load>): Load {
  const defaults = Object.fromEntries(Object.entries(LOAD).map(([name, [value]]) => [name, value])) as Load;
  const load = { ...defaults, sites: Math.max(1, Math.round((given.eventsPerDay ?? defaults.eventsPerDay) / 1000)), ...given };
  for (const [name, value] of Object.entries(load)) {
    const [least, most] = name === 'serverShare' ? [0, 1] : [/^(eventsPerDay|readsPerSite|months)$/.test(name) ? 0 : Number.MIN_VALUE, Number.MAX_VALUE];
    if (!(value >= least && value <= most)) throw new Error(`${name} ${value}: accepts a number ${name === 'serverShare' ? 'from 0 to 1' : least === 0 ? 'of at least 0' : 'above 0'}`);
  }
  return load;
}

const KiB = 1024;
const MiB = 1024 ** 2;
const GiB = 1024 ** 3;
const MILLION = 1_000_000;
const DAYS = 30;
const HOURS = 24;
const MINUTES_A_DAY = 1_440;
const SECONDS_A_DAY = 86_400;

/** Of each queue that feeds a function, five long polls of 20 seconds are always open. */
const POLLS_OF_QUEUE = 5 * 3 * MINUTES_A_DAY;
/** Bytes of an answer with its headers, at the doors and at the API. */
const ANSWER_BYTES = 400;
const READ_BYTES = 4_000;
/** Bytes a function's call leaves in the log: its line, its numbers, and the platform's two. */
const CALL_LOG_BYTES = 1_200;
/** Of what a log holds, what is stored. */
const STORED_LOG = 1 / 7;
/** What an hour's two queries read: of its own rows, of the hour's before, counted from the statements' columns (docs/cost.md). */
const READ_OF_HOUR = 6.1;
const READ_OF_BEFORE = 3.9;
/** How often the queries after them read the hour's run (changes, hour_items, summary a little), and changes the committed one. */
const READ_OF_RUN = 2.1;
const READ_OF_COMMITTED = 1;
/** What a day's query reads of each run: once, and its sketches again. */
const READ_OF_DAY = 1.1;
/** Local days at any moment on Earth, and the hours a day's task finds committed, on average. */
const LOCAL_DAYS = 2;
const HOURS_OF_DAY_TASK = 26;
/** Queries of an hour's task: steps, hours, changes, hour_items, summary. */
const HOUR_QUERIES = 5;
const LEAST_SCAN = 10_000_000;
/** Files a query writes and a function reads; bytes that Athena reads with one request. */
const FILES_OF_QUERY = 10;
const READ_AT_ONCE = MiB;
const LOADS_AT_ONCE = 20;
const REGISTRY_WRITES_OF_RUN = 20;
/** Reads of the registry for an answer: key, site, progress. */
const REGISTRY_READS = 3;

/**
 * Bytes of a site's items by the events they are made of: an hour's, a day's, and a day's breakdowns. Measured 2026-11-24
 * with core/items.ts on the rows of bench/hour-data.ts.
 */
const ITEM_BYTES: readonly (readonly [events: number, hour: number, day: number, breakdowns: number])[] = [
  [1, 137, 105, 339], [3, 177, 138, 403], [5, 203, 148, 456], [10, 271, 163, 571], [21, 379, 189, 773], [41, 500, 220, 1_066], [105, 702, 305, 1_829],
  [175, 830, 366, 2_404], [345, 1_088, 512, 3_358], [680, 1_508, 512, 4_571], [1_343, 2_151, 512, 5_710], [2_774, 2_151, 512, 6_776], [7_643, 2_151, 512, 8_310],
];
const ITEMS = { hour: 1, day: 2, breakdowns: 3 } as const;

/** Bytes of an item made of so many events; between two measured numbers on the line between them, beyond the last as it. */
export function itemBytes(item: keyof typeof ITEMS, events: number): number {
  const column = ITEMS[item];
  const above = ITEM_BYTES.findIndex(([measured]) => measured >= events);
  if (above === 0) return ITEM_BYTES[0]![column];
  const [low, high] = above < 0 ? [ITEM_BYTES.at(-1)!, ITEM_BYTES.at(-1)!] : [ITEM_BYTES[above - 1]!, ITEM_BYTES[above]!];
  return low[column] + (high[0] === low[0] ? 0 : ((events - low[0]) / (high[0] - low[0])) * (high[column] - low[column]));
}

/** A put is paid by started KB of the item before or after it, whichever is larger; these grow. */
export function writeUnits(before: number, after: number = before): number {
  return Math.ceil(Math.max(before, after, 1) / KiB);
}

/** A size rounded up to started steps. */
export function roundedUp(bytes: number, step: number): number {
  return Math.ceil(bytes / step) * step;
}

/** What so many units a day cost a day, where the price falls with the month's. */
export function tieredADay({ tiers }: TieredPrice, unitsADay: number): number {
  let [left, from, dollars] = [unitsADay * DAYS, 0, 0];
  for (const [upTo, price] of tiers) {
    const here = Math.min(left, upTo - from);
    dollars += here * price;
    left -= here;
    from = upTo;
  }
  return dollars / DAYS;
}

/**
 * Adds up over the sites, each with its part of the traffic: the n-th largest has 1/n of what the largest has (Zipf).
 * Sites of nearly the same rank are taken together.
 */
export function overSites(sites: number, of: (part: number) => number): number {
  const groups: [count: number, weight: number][] = [];
  for (let first = 1, last; first <= sites; first = last + 1) {
    last = Math.min(sites, Math.max(first, Math.floor(first * 1.02)));
    groups.push([last - first + 1, 2 / (first + last)]);
  }
  const total = groups.reduce((sum, [count, weight]) => sum + count * weight, 0);
  return groups.reduce((sum, [count, weight]) => sum + count * of(weight / total), 0);
}

/** How many sites have a part in n things that happen. */
export function distinctSites(sites: number, n: number): number {
  return overSites(sites, (part) => 1 - Math.exp(-n * part));
}

/** The runs of an hour: how many of its minutes are new to each, and the part of the hour that it sees. */
export function runsOfHour(scheduleMinutes: number, delayMinutes: number): { minutes: number; seen: number }[] {
  const runs: { minutes: number; seen: number }[] = [];
  for (let minute = scheduleMinutes, seen = 0; seen < 60; minute += scheduleMinutes) {
    const now = Math.min(60, minute - delayMinutes);
    if (now <= seen) continue;
    runs.push({ minutes: now - seen, seen: now / 60 });
    seen = now;
  }
  return runs;
}

/** Everything that several services are asked for, a day. */
export interface Traffic {
  requests: number;
  serverRequests: number;
  reads: number;
  recordBytes: number;
  records: number;
  transformCalls: number;
  /** Runs of hours, the tasks of days after them, and what they do. */
  runs: number;
  queries: number;
  scanned: number;
  items: number;
  writeUnits: number;
  loadCalls: number;
  stored: number;
}

export function trafficOf({ live, beats }: Facts, load: Load): Traffic {
  const { eventsPerDay, perRequest, serverShare, perServerRequest, eventBytes, escaping, envelopeBytes, sites, perVisit, visitMinutes, parquetBytes, runBytes, sitesPerSlice } = load;
  const requests = (eventsPerDay * (1 - serverShare)) / perRequest;
  const serverRequests = (eventsPerDay * serverShare) / perServerRequest;
  const records = requests + serverRequests;
  const recordBytes = envelopeBytes + (records === 0 ? 0 : (eventsPerDay / records) * eventBytes * escaping);
  const visits = eventsPerDay / perVisit;
  const touched = (part: number, minutes: number) => 1 - Math.exp(-visits * part * (minutes / MINUTES_A_DAY));
  const of = (part: number, days: number) => Math.max(perVisit, part * eventsPerDay * days);

  const sums = { runs: 0, queries: 0, scanned: 0, items: 0, writeUnits: 0 };
  const [rows, run] = [(eventsPerDay / HOURS) * parquetBytes, (eventsPerDay / HOURS) * runBytes];
  for (const { minutes, seen } of runsOfHour(beats.schedule, (live.seconds + live.batchSeconds) / 60)) {
    const happens = HOURS * (1 - Math.exp(-visits * (minutes / MINUTES_A_DAY)));
    const changed = distinctSites(sites, visits * ((minutes + visitMinutes) / MINUTES_A_DAY));
    const slices = LOCAL_DAYS * Math.ceil(changed / LOCAL_DAYS / sitesPerSlice);
    const scan = (bytes: number, times = 1) => times * Math.max(LEAST_SCAN, bytes);
    const queries = HOUR_QUERIES + LOCAL_DAYS + slices;
    sums.runs += happens;
    sums.queries += happens * queries;
    sums.scanned += happens * (scan(rows * (READ_OF_HOUR * seen + READ_OF_BEFORE)) + scan(run * (READ_OF_RUN * seen + READ_OF_COMMITTED * seen))
      + scan(0, HOUR_QUERIES - 2 + LOCAL_DAYS) + scan(HOURS_OF_DAY_TASK * run * READ_OF_DAY, slices));
    sums.items += HOURS * 3 * changed;
    sums.writeUnits += HOURS * overSites(sites, (part) => touched(part, minutes + visitMinutes) * (
      writeUnits(itemBytes('hour', of(part, seen / HOURS))) + writeUnits(itemBytes('day', of(part, 1 / 2))) + writeUnits(itemBytes('breakdowns', of(part, 1 / 2)))));
  }
  const stored = overSites(sites, (part) => HOURS * touched(part, 60) * itemBytes('hour', of(part, 1 / HOURS))
    + touched(part, MINUTES_A_DAY) * (itemBytes('day', of(part, 1)) + itemBytes('breakdowns', of(part, 1))));
  return {
    ...sums, requests, serverRequests, records, recordBytes, stored,
    reads: eventsPerDay === 0 ? 0 : sites * load.readsPerSite,
    transformCalls: Math.max((records * recordBytes) / (live.batchMiB * MiB), Math.min(records, SECONDS_A_DAY / live.batchSeconds)),
    loadCalls: Math.min(sums.items, sums.queries * FILES_OF_QUERY),
  };
}

/** What is paid for, of which service, and dollars a day. */
export interface Line { service: string; what: string; dollars: number }
interface Model { facts: Facts; load: Load; traffic: Traffic; prices: Prices }
type Costs = readonly [what: string, dollars: number][];
const times = ({ dollars }: Price, units: number): number => dollars * units;

/** One function a service; the names are those of the bill. */
const SERVICES: Record<string, (model: Model) => Costs> = {
  'API Gateway': ({ facts: { doors }, traffic: { requests, serverRequests, reads }, prices }) => {
    const rest = doors.kind === 'REST' ? requests : 0;
    return [
      ['browser doors', doors.kind === 'REST' ? tieredADay(prices.restRequests, rest / MILLION) : tieredADay(prices.httpRequests, requests / MILLION)],
      ['server door and reads', tieredADay(prices.httpRequests, (serverRequests + reads) / MILLION)],
    ];
  },
  Kinesis: ({ facts: { stream: { shards, retentionHours } }, traffic: { records, recordBytes }, prices }) => {
    const more = Math.max(0, retentionHours - HOURS) / HOURS;
    if (shards !== undefined) {
      return [
        ['shards', times(prices.shardHour, shards * HOURS)],
        ['records in', times(prices.shardPuts, (records * Math.ceil(recordBytes / (25 * KiB))) / MILLION)],
        ['kept longer than a day', more > 0 ? times(prices.shardRetention, shards * HOURS) : 0],
      ];
    }
    const GB = (records * roundedUp(recordBytes, KiB)) / GiB;
    return [
      ['stream', times(prices.streamHour, HOURS)], ['records in', times(prices.streamIn, GB)], ['records out', times(prices.streamOut, (records * recordBytes) / GiB)],
      ['kept longer than a day', times(prices.streamRetention, (GB * more) / DAYS)],
    ];
  },
  Firehose: ({ facts: { live }, load, traffic, prices }) => {
    const GB = (traffic.records * roundedUp(traffic.recordBytes, 5 * KiB)) / GiB;
    return [
      ['delivery', tieredADay(prices.delivery, GB)],
      ['conversion to Parquet', live.converts ? times(prices.deliveryConversion, GB) : 0],
      ['partitions by hour', live.partitions ? times(prices.deliveryPartitions, (load.eventsPerDay * load.rowBytes) / GiB) + times(prices.deliveryObjects, objectsOf(live, load, traffic) / 1000) : 0],
    ];
  },
  Lambda: ({ facts: { functions, beats }, load, traffic, prices }) => {
    const run = (name: FunctionName, calls: number, seconds: number) => times(prices.functionSeconds, functions[name].GB * seconds) + times(prices.functionCalls, calls / MILLION);
    const loading = (traffic.items * load.loadMicros) / MILLION;
    const { transformCalls, runs, queries, loadCalls, serverRequests, reads } = traffic;
    return [
      ['transform', run('transform', transformCalls, (load.eventsPerDay * load.transformMicros) / MILLION + transformCalls * 0.01)],
      ['rollup', run('rollup', runs * (1 + LOCAL_DAYS), queries * load.querySeconds + loading / LOADS_AT_ONCE)],
      ['load', run('load', loadCalls, loading + loadCalls * 0.05)],
      ['schedule and jobs', run('schedule', MINUTES_A_DAY / beats.schedule, (MINUTES_A_DAY / beats.schedule) * 5) + run('reprocess', MINUTES_A_DAY / beats.reprocess, (MINUTES_A_DAY / beats.reprocess) * 0.3)],
      ['server door', run('ingest', serverRequests, serverRequests * 0.03)],
      ['reads', run('serve', reads, reads * 0.04)],
      ['kept warm', times(prices.functionWarm, Object.values(functions).reduce((GB, one) => GB + one.warm * one.GB, 0) * SECONDS_A_DAY)],
    ];
  },
  Athena: ({ traffic: { scanned }, prices }) => [['queries', times(prices.scan, scanned / (KiB * GiB))]],
  DynamoDB: ({ facts: { recovery }, load, traffic, prices }) => {
    const containers = Math.max(1, Math.ceil((traffic.records * traffic.recordBytes) / SECONDS_A_DAY / MiB));
    const sitesRead = traffic.records === 0 ? 0 : MINUTES_A_DAY * containers * distinctSites(load.sites, traffic.records / MINUTES_A_DAY / containers);
    const GB = (traffic.stored * DAYS * load.months) / GiB;
    return [
      ['items written', times(prices.tableWrites, (traffic.writeUnits + traffic.runs * REGISTRY_WRITES_OF_RUN) / MILLION)],
      ['sites looked up by the transform', times(prices.tableReads, sitesRead / MILLION)],
      ['reads', times(prices.tableReads, (traffic.reads * (REGISTRY_READS + Math.ceil((DAYS * itemBytes('day', load.eventsPerDay / load.sites)) / (4 * KiB)))) / 2 / MILLION)],
      ['items kept', times({ ...prices.tableStorage, dollars: prices.tableStorage.dollars + (recovery ? prices.tableRecovery.dollars : 0) }, GB) / DAYS],
    ];
  },
  S3: ({ facts: { live, rawDays }, load, traffic, prices }) => {
    const raw = live.backup ? (traffic.records * traffic.recordBytes) / load.rawRatio : 0;
    const kept = load.eventsPerDay * (load.parquetBytes + load.runBytes) * DAYS * load.months;
    const total = (raw * rawDays + kept) / GiB;
    const storage = total === 0 ? 0 : tieredADay(prices.objectStorage, total / DAYS);
    const objects = objectsOf(live, load, traffic) * (live.backup ? 2 : 1);
    return [
      ['records as they came', total === 0 ? 0 : (storage * raw * rawDays) / GiB / total],
      ['rows and runs', total === 0 ? 0 : (storage * kept) / GiB / total],
      ['requests', times(prices.objectWrites, (objects + traffic.queries * (FILES_OF_QUERY + 3)) / 1000) + times(prices.objectReads, (traffic.scanned / READ_AT_ONCE + traffic.loadCalls) / 1000)],
    ];
  },
  'SQS and Scheduler': ({ facts: { beats, queues, live }, load, traffic, prices }) => [
    ['notices', times(prices.queue, (objectsOf(live, load, traffic) * 1.2 + (MINUTES_A_DAY / beats.schedule) * 12) / MILLION)],
    ['tasks', times(prices.queueFifo, (traffic.runs * (1 + LOCAL_DAYS) * 3 + queues * POLLS_OF_QUEUE) / MILLION)],
    ['beats', times(prices.beats, (MINUTES_A_DAY / beats.schedule + MINUTES_A_DAY / beats.reprocess) / MILLION)],
  ],
  CloudWatch: ({ facts, traffic, prices }) => {
    const { doors, api, beats, logDays } = facts;
    const calls = traffic.transformCalls + traffic.runs * (1 + LOCAL_DAYS) + traffic.loadCalls + traffic.serverRequests + traffic.reads + MINUTES_A_DAY / beats.schedule + MINUTES_A_DAY / beats.reprocess;
    const logged = (bytes: number) => times(prices.logs, bytes / GiB) + times(prices.logStorage, (bytes * logDays * STORED_LOG) / GiB) / DAYS;
    return [
      ['log of the browser doors', logged(traffic.requests * doors.logLine)],
      ['log of the API', logged((traffic.serverRequests + traffic.reads) * api.logLine)],
      ['logs of functions', logged(calls * CALL_LOG_BYTES)],
      ['metrics', times(prices.numbers, Object.keys(SIGNALS).length + doors.metrics) / DAYS + times(prices.numberReads, ((MINUTES_A_DAY / beats.schedule) * 2) / 1000)],
      ['alarms and dashboard', times(prices.alarms, facts.alarmMetrics) / DAYS + times(prices.dashboards, facts.dashboards) / DAYS],
    ];
  },
  'Data transfer and CloudFront': ({ facts: { pages }, traffic: { requests, serverRequests, reads }, prices }) => [
    ['answers', tieredADay(prices.transfer, ((requests + serverRequests) * ANSWER_BYTES + reads * READ_BYTES) / GiB)],
    ['pages', pages ? times(prices.pageRequests, reads / MILLION) : 0],
  ],
};

/** Objects that the live delivery stream writes: as often as time is up for the hour that runs and the one before, or as it has enough. */
function objectsOf(live: Facts['live'], { eventsPerDay, rowBytes }: Load, { records }: Traffic): number {
  return Math.max((eventsPerDay * rowBytes) / (live.MiB * MiB), Math.min(records, (2 * SECONDS_A_DAY) / live.seconds));
}

/** What each service costs a day. */
export function costOf(facts: Facts, load: Load, prices: Prices = PRICES): Line[] {
  const traffic = trafficOf(facts, load);
  return Object.entries(SERVICES).flatMap(([service, of]) => of({ facts, load, traffic, prices }).map(([what, dollars]) => ({ service, what, dollars })));
}

/** Shards that carry the load where the busiest hour has so many times the average. */
export function shardsFor(facts: Facts, load: Load, busiest: number): number {
  const { records, recordBytes } = trafficOf(facts, load);
  return Math.ceil((busiest * Math.max((records * recordBytes) / MiB, records / 1000)) / SECONDS_A_DAY);
}
