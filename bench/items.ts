// Made-up serving items and settings of sites, as the rollup and an administrator would have left them; made by
// core/items.ts. The same random numbers give the same items. next: bench/serve.ts and bench/startup.ts
import { QUARTER_MS, startOf, type Hour } from '../core/hour.ts';
import { SEPARATOR, breakdownKey, dayItems, dayKey, hourItem, hourKey } from '../core/items.ts';
import { DIMENSION_NAMES, OTHER, SUM_NAMES, type DimensionName, type Sum } from '../core/metrics.ts';
import type { ResultRow, Store, StoreItem } from '../core/ports.ts';
import { DEFAULT_RATE_LIMIT } from '../core/rate-limit.ts';
import { writeSite } from '../core/sites.ts';
import { EXACT, REGISTERS } from '../core/sketch.ts';
import type { LocalDay } from '../core/zone.ts';
import type { Random } from '../local/demo-shop.ts';

const RUN = '20260130T223000000Z-000000';
const PUT_ITEMS = 5000;
/** Different contents of an item, of which each site's days and hours have some. */
export const TEMPLATES = 40;

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
    return { sums: sumsOf(random, SITE_SUMS, here), sketch: sketchOf(random, here) };
  });
  return {
    quarters: quarters.map(({ sums }, i) => [i, ...SUM_NAMES.map((name) => sums[name] ?? 0)].join(SEPARATOR)),
    sketches: quarters.map(({ sketch }) => sketch),
  };
}

/** An item of no site and time yet. */
type Template = Omit<StoreItem, 'pk' | 'sk'>;
export interface Templates { days: Template[]; breakdowns: Template[]; hours: Template[] }

function templateOf(item: StoreItem): Template {
  return Object.fromEntries(Object.entries(item).filter(([name]) => name !== 'pk' && name !== 'sk'));
}

/** Contents of items, of sites with so many visitors a day; whose and of when they are, is said when they are taken. */
export function templatesOf(random: Random, visitors: number): Templates {
  const made: Templates = { days: [], breakdowns: [], hours: [] };
  for (let i = 0; i < TEMPLATES; i++) {
    const [day, breakdown] = dayItems('', RUN, dayRow(random, visitors));
    made.days.push(templateOf(day!));
    made.breakdowns.push(templateOf(breakdown!));
    made.hours.push(templateOf(hourItem('', RUN, hourRow(random, visitors))));
  }
  return made;
}

/** Puts items in batches; durably, as everything in the store is. */
export async function putAll(store: Store, items: Iterable<StoreItem> | AsyncIterable<StoreItem>): Promise<number> {
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

/** The items of a site: of each day with its breakdowns, and of each hour. @param number which of the contents come first */
export function* itemsOf(pk: string, number: number, days: readonly LocalDay[], hours: readonly Hour[], templates: Templates): Iterable<StoreItem> {
  for (const [i, day] of days.entries()) {
    yield { ...templates.days[(number + i) % TEMPLATES], pk, sk: dayKey(day) };
    yield { ...templates.breakdowns[(number + i) % TEMPLATES], pk, sk: breakdownKey(day) };
  }
  for (const [i, hour] of hours.entries()) {
    const first = startOf(hour) / QUARTER_MS;
    yield { ...templates.hours[(number + i) % TEMPLATES], pk, sk: hourKey(hour), quarters: [0, 1, 2, 3].map((quarter) => first + quarter) };
  }
}

/** What the registry holds of the sites. */
export async function* settingsOf(sites: Iterable<string>, timezone: string, registry: Store): AsyncIterable<StoreItem> {
  const created = '2026-01-01T00:00:00.000Z';
  let items: readonly StoreItem[] = [];
  // Written one by one, a million of them would wait for the disk as often.
  const kept: Store = { ...registry, put: async (written) => { items = written; } };
  for (const id of sites) {
    await writeSite(kept, { id, name: id, timezone, currency: 'EUR', hosts: [], origins: [], rate_limit: DEFAULT_RATE_LIMIT, created_at: created, updated_at: created });
    yield* items;
  }
}

