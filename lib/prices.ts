// What AWS asks in us-east-1, without free tiers, discounts and taxes. One table with a date: whoever changes a price
// changes the date. next: lib/cost.ts

/** When the table was last gone through. */
export const PRICES_OF = '2026-11-24';

/** Where a price was read. `page`: AWS's price page or documentation, on 2026-11-20. `memory`: known, but not read again. */
export type Source = 'page' | 'memory';

export interface Price {
  /** Dollars for one unit. */
  dollars: number;
  unit: string;
  source: Source;
}

/** A price that falls with what is used in a month: each step up to so many units, the last without an end. */
export interface TieredPrice { tiers: readonly (readonly [upTo: number, dollars: number])[]; unit: string; source: Source }

const price = (dollars: number, unit: string, source: Source): Price => ({ dollars, unit, source });
const tiered = (unit: string, source: Source, ...tiers: [upTo: number, dollars: number][]): TieredPrice => ({ tiers, unit, source });

/** GB are 2^30 bytes and TB 2^40, as AWS counts. */
export const PRICES = {
  restRequests: tiered('million requests a month', 'page', [333, 3.5], [1_000, 2.8], [20_000, 2.38], [Infinity, 1.51]),
  httpRequests: tiered('million requests a month, each begun 512 KB', 'page', [300, 1], [Infinity, 0.9]),
  streamIn: price(0.08, 'GB, each record rounded up to 1 KB', 'page'),
  streamOut: price(0.04, 'GB', 'page'),
  streamHour: price(0.04, 'hour of a stream on demand', 'page'),
  streamRetention: price(0.1, 'GB-month beyond the first day, on demand', 'memory'),
  shardHour: price(0.015, 'hour of a shard', 'page'),
  shardPuts: price(0.014, 'million units of 25 KB', 'page'),
  shardRetention: price(0.02, 'hour of a shard that keeps more than a day', 'memory'),
  delivery: tiered('GB a month, each record rounded up to 5 KB', 'page', [500 * 1024, 0.029], [2_000 * 1024, 0.025], [Infinity, 0.02]),
  deliveryConversion: price(0.018, 'GB, rounded as above', 'page'),
  deliveryPartitions: price(0.02, 'GB of rows', 'memory'),
  deliveryObjects: price(0.005, '1,000 objects', 'memory'),
  functionSeconds: price(0.0000133334, 'GB-second, arm64', 'page'),
  functionCalls: price(0.2, 'million calls', 'page'),
  functionWarm: price(0.0000033334, 'GB-second kept warm, arm64', 'memory'),
  scan: price(5, 'TB, at least 10 MB a query', 'page'),
  tableWrites: price(0.625, 'million writes of 1 KB', 'page'),
  tableReads: price(0.125, 'million reads of 4 KB; half as much where they need not be consistent', 'page'),
  tableStorage: price(0.25, 'GB-month', 'memory'),
  tableRecovery: price(0.2, 'GB-month of point-in-time recovery', 'memory'),
  objectStorage: tiered('GB-month', 'memory', [50 * 1024, 0.023], [500 * 1024, 0.022], [Infinity, 0.021]),
  objectWrites: price(0.005, '1,000 writes or lists', 'memory'),
  objectReads: price(0.0004, '1,000 reads', 'memory'),
  queue: price(0.4, 'million requests', 'memory'),
  queueFifo: price(0.5, 'million requests', 'memory'),
  beats: price(1, 'million calls by a schedule', 'memory'),
  logs: price(0.5, 'GB taken in', 'memory'),
  logStorage: price(0.03, 'GB-month; lines are kept compressed, at about a seventh', 'memory'),
  numbers: price(0.3, 'metric of one\'s own and month', 'memory'),
  numberReads: price(0.01, '1,000 metrics asked for', 'memory'),
  alarms: price(0.1, 'metric of an alarm and month', 'memory'),
  dashboards: price(3, 'dashboard and month', 'memory'),
  transfer: tiered('GB a month to the internet', 'memory', [10 * 1024, 0.09], [50 * 1024, 0.085], [150 * 1024, 0.07], [Infinity, 0.05]),
  pageRequests: price(1, 'million requests at CloudFront', 'page'),
} as const satisfies Record<string, Price | TieredPrice>;

export type Prices = { [K in keyof typeof PRICES]: (typeof PRICES)[K] extends TieredPrice ? TieredPrice : Price };
