// The answers of the metrics API. before: the rollup's items (core/rollup.ts); next: the merchant
import { HOUR_MS, QUARTER_MS, hourOf } from './hour.ts';
import { breakdownKey, dayKey, dayOf, hourKey, quartersOf, valuesOf, type Bucket } from './items.ts';
import { METRICS, OTHER, addSums, rounded, type MetricName, type Sums } from './metrics.ts';
import type { Store, StoreItem } from './ports.ts';
import { movingAverage } from './moving-average.ts';
import { beforeBuckets, type BreakdownQuery, type Filter, type FunnelQuery, type Range, type RangeQuery, type StatsQuery, type TimeseriesQuery } from './query.ts';
import { Sketch, countOf } from './sketch.ts';
import { dayAfter, daysBetween, localDayAt, localHourAt, offsetAt, startOfLocalDay, type LocalDay } from './zone.ts';

export type MetricValues = { [K in MetricName]?: number | null };
export interface Warning { code: string; message: string }

/** Every answer's shape. */
export interface Answer<Q, R> {
  query: Q;
  /** ISO time: everything received before it is in the numbers; null before the first rollup. */
  complete_through: string | null;
  results: R[];
  warnings: Warning[];
}

/** The values of the range that was compared with, and how much these are more, relative to those; null where that is not defined. */
interface Comparison { comparison?: MetricValues; change?: MetricValues }
export interface StatsResult extends Comparison { metrics: MetricValues; partial?: true }
export interface TimeseriesResult extends Comparison { time: string; metrics: MetricValues; comparison_time?: string; partial?: true }
export interface BreakdownResult { value: string; metrics: MetricValues }
export interface FunnelResult {
  step: FunnelStep;
  events: number;
  /** Of the events of the first step; null where there are none. */
  share: number | null;
}

/** What buckets add up to; visitors are merged only where they are asked for, and only where there is more than one sketch of them. */
class Total {
  private readonly sums: Sums = {};
  private readonly counted: boolean;
  private only: Uint8Array | undefined;
  private merged: Sketch | undefined;

  constructor(private readonly metrics: readonly MetricName[]) {
    this.counted = metrics.includes('visitors');
  }

  add({ sums, sketch }: { sums: Sums; sketch?: Uint8Array }): void {
    addSums(this.sums, sums);
    if (!sketch || !this.counted) return;
    if (!this.merged && !this.only) {
      this.only = sketch;
      return;
    }
    this.merged ??= sketchOf(this.only!);
    this.merged.merge(sketch);
  }

  private visitors(): number {
    return this.merged?.count() ?? (this.only ? countOf(this.only) : 0);
  }

  /** The metrics; rates are divided here and nowhere else. */
  values(): MetricValues {
    const values: MetricValues = {};
    for (const name of this.metrics) {
      values[name] = METRICS[name].of(this.sums, () => this.visitors());
    }
    return values;
  }
}

function sketchOf(bytes: Uint8Array): Sketch {
  const sketch = new Sketch();
  sketch.merge(bytes);
  return sketch;
}

/** What is asked for of days: of a site, or of one value of a dimension. */
type DaysQuery = Pick<RangeQuery, 'site' | 'from' | 'to' | 'time_zone' | 'site_time_zone'> & { filter?: Filter };
/** What a total takes up. */
type Part = Pick<Bucket, 'sums'> & { sketch?: Uint8Array };
type Days = Map<LocalDay, Part[]>;

/**
 * What there is of each day: the site's own days, or the quarters of the hours where the dates are another zone's.
 * @param hidden gets the days on which the value that is filtered by may be among the rest, under `(other)`
 */
async function daysOf(metrics: Store, query: DaysQuery, hidden = new Set<LocalDay>()): Promise<Days> {
  const { site, from, to, filter, site_time_zone } = query;
  if (filter) return filteredDaysOf(await metrics.range(site, breakdownKey(from), breakdownKey(to)), filter, hidden);
  const days: Days = new Map();
  if (site_time_zone === undefined) {
    for (const item of await metrics.range(site, dayKey(from), dayKey(to))) days.set(item.sk.slice(dayKey('').length), [dayOf(item)]);
    return days;
  }
  for (const { ms, bucket } of await quartersIn(metrics, query)) {
    const day = localDayAt(query.time_zone, ms);
    const parts = days.get(day);
    if (parts) parts.push(bucket);
    else days.set(day, [bucket]);
  }
  return days;
}

/** The quarters of a range that have something, with the moments (epoch ms) at which they begin. */
async function quartersIn(metrics: Store, { site, from, to, time_zone }: Omit<DaysQuery, 'filter'>): Promise<{ ms: number; bucket: Bucket }[]> {
  const [start, end] = [startOfLocalDay(time_zone, from), startOfLocalDay(time_zone, dayAfter(to))];
  const items = await metrics.range(site, hourKey(hourOf(start)), hourKey(hourOf(end + HOUR_MS - 1)));
  return items.flatMap(quartersOf).map((bucket) => ({ ms: bucket.quarter * QUARTER_MS, bucket })).filter(({ ms }) => ms >= start && ms < end);
}

function filteredDaysOf(items: readonly StoreItem[], { dimension, value }: Filter, hidden: Set<LocalDay>): Days {
  const days: Days = new Map();
  for (const item of items) {
    const day = item.sk.slice(breakdownKey('').length);
    const values = new Map(valuesOf(item, dimension));
    const sums = values.get(value);
    if (sums) days.set(day, [{ sums }]);
    else if (values.has(OTHER)) hidden.add(day);
  }
  return days;
}

/** Names that a warning has room for. */
const MOST_NAMED = 5;

/** The first few of the names, and how many more there are. */
export function someOf(names: readonly string[]): string {
  const more = names.length - MOST_NAMED;
  return names.slice(0, MOST_NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

function hiddenWarnings(hidden: ReadonlySet<LocalDay>): Warning[] {
  if (hidden.size === 0) return [];
  return [{ code: 'value_in_other', message: `On ${someOf([...hidden].sort())} there were more values than are kept of each day, and this one is not among those; it may have been more than is said here.` }];
}

function partial(end: number, completeThrough: number | undefined): { partial?: true } {
  return completeThrough === undefined || end > completeThrough ? { partial: true } : {};
}

/** Whether all of a range is in the numbers. */
export function isFinished({ to, time_zone }: RangeQuery, completeThrough: number | undefined): boolean {
  return completeThrough !== undefined && startOfLocalDay(time_zone, dayAfter(to)) <= completeThrough;
}

function answer<Q, R>(query: Q, completeThrough: number | undefined, results: R[], warnings: Warning[] = []): Answer<Q, R> {
  return { query, complete_through: completeThrough === undefined ? null : new Date(completeThrough).toISOString(), results, warnings };
}

function compared(metrics: MetricValues, comparison: MetricValues): Comparison {
  const change: MetricValues = {};
  for (const name of Object.keys(metrics) as MetricName[]) {
    const [now, before] = [metrics[name] ?? null, comparison[name] ?? null];
    change[name] = now === null || before === null || before === 0 ? null : rounded((now - before) / Math.abs(before));
  }
  return { comparison, change };
}

/** The values of a whole range. */
async function totalOf(metrics: Store, { metrics: names, ...range }: DaysQuery & { metrics: readonly MetricName[] }, hidden?: Set<LocalDay>): Promise<MetricValues> {
  const total = new Total(names);
  for (const parts of (await daysOf(metrics, range, hidden)).values()) for (const part of parts) total.add(part);
  return total.values();
}

/** Totals over the range; one store query, and one for what it is compared with. */
export async function stats(metrics: Store, query: StatsQuery, completeThrough: number | undefined): Promise<Answer<StatsQuery, StatsResult>> {
  const hidden = new Set<LocalDay>();
  const of = (range: Range) => totalOf(metrics, { ...query, ...range }, hidden);
  const [values, before] = await Promise.all([of(query), query.comparison && of(query.comparison)]);
  const end = startOfLocalDay(query.time_zone, dayAfter(query.to));
  return answer(query, completeThrough, [{ metrics: values, ...(before && compared(values, before)), ...partial(end, completeThrough) }], hiddenWarnings(hidden));
}

/** One result for each hour, day or month of the range, empty ones too; one store query, and one for what it is compared with. */
export async function timeseries(metrics: Store, query: TimeseriesQuery, completeThrough: number | undefined): Promise<Answer<TimeseriesQuery, TimeseriesResult>> {
  const hidden = new Set<LocalDay>();
  const [values, before] = await Promise.all([bucketsOf(metrics, query, query, hidden), query.comparison && bucketsOf(metrics, query, query.comparison, hidden)]);
  const results = values.map(({ time, end, metrics: its }, i): TimeseriesResult => {
    // A range of a year earlier may be a day shorter.
    const then = before?.[i];
    return { time, metrics: its, ...(then && { comparison_time: then.time, ...compared(its, then.metrics) }), ...partial(end, completeThrough) };
  });
  return answer(query, completeThrough, results, hiddenWarnings(hidden));
}

/** The steps of a shop, and the sums that count them. */
const FUNNEL = { view_item: 'view_items', add_to_cart: 'add_to_carts', begin_checkout: 'checkouts', purchase: 'purchases' } as const satisfies Record<string, MetricName>;
export type FunnelStep = keyof typeof FUNNEL;
export const FUNNEL_STEPS = Object.keys(FUNNEL) as FunnelStep[];

/** How many events of each step to a purchase there were; one store query. */
export async function funnel(metrics: Store, query: FunnelQuery, completeThrough: number | undefined): Promise<Answer<FunnelQuery, FunnelResult>> {
  const values = await totalOf(metrics, { ...query, metrics: Object.values(FUNNEL) });
  const first = values[FUNNEL[FUNNEL_STEPS[0]!]]!;
  return answer(query, completeThrough, FUNNEL_STEPS.map((step) => {
    const events = values[FUNNEL[step]]!;
    return { step, events, share: first === 0 ? null : rounded(events / first) };
  }));
}

interface Values { time: string; end: number; metrics: MetricValues }

/** The buckets of a range with their values, smoothed where that is asked for. */
async function bucketsOf(metrics: Store, query: TimeseriesQuery, { from, to }: Range, hidden: Set<LocalDay>): Promise<Values[]> {
  const { interval, smooth = 1 } = query;
  const range = { ...query, from: beforeBuckets(from, interval, smooth - 1), to };
  const slots = interval === 'hour' ? await hourSlots(metrics, range) : await daySlots(metrics, range, hidden);
  const values = slots.map(({ time, end, total }) => ({ time, end, metrics: total.values() }));
  if (smooth === 1) return values;
  for (const name of query.metrics) smoothe(values, name, smooth);
  const start = startOfLocalDay(query.time_zone, from);
  return values.slice(values.findIndex(({ end }) => end > start));
}

/** Puts in place of each bucket's value the average of the last ones, itself included; those without a value are left out. */
function smoothe(buckets: readonly Values[], name: MetricName, window: number): void {
  const sum = movingAverage(window);
  const known = movingAverage(window);
  for (const { metrics } of buckets) {
    const value = metrics[name] ?? null;
    sum.add(value ?? 0);
    known.add(value === null ? 0 : 1);
    metrics[name] = known.average() === 0 ? null : rounded(sum.average()! / known.average()!);
  }
}

interface Slot { time: string; end: number; total: Total }

/** The buckets of an answer, made as they are first named, in that order. */
class Slots {
  private readonly byTime = new Map<string, Slot>();
  constructor(private readonly metrics: readonly MetricName[]) {}

  at(time: string): Slot {
    let slot = this.byTime.get(time);
    if (!slot) this.byTime.set(time, slot = { time, end: 0, total: new Total(this.metrics) });
    return slot;
  }

  all(): Slot[] {
    return [...this.byTime.values()];
  }
}

/** Days, or months named by their first day; `end` is the end of a slot's last day in the range. */
async function daySlots(metrics: Store, query: TimeseriesQuery, hidden: Set<LocalDay>): Promise<Slot[]> {
  const days = await daysOf(metrics, query, hidden);
  const slots = new Slots(query.metrics);
  const lastDays = new Map<Slot, LocalDay>();
  for (const day of daysBetween(query.from, query.to)) {
    const slot = slots.at(query.interval === 'month' ? `${day.slice(0, 7)}-01` : day);
    for (const part of days.get(day) ?? []) slot.total.add(part);
    lastDays.set(slot, day);
  }
  for (const [slot, day] of lastDays) slot.end = startOfLocalDay(query.time_zone, dayAfter(day));
  return slots.all();
}

/** Local hours: quarters under the hour and offset they have on the zone's clocks. A day of 25 hours has 25. */
async function hourSlots(metrics: Store, query: TimeseriesQuery): Promise<Slot[]> {
  const { from, to, time_zone } = query;
  const slots = new Slots(query.metrics);
  // Quarters come in order, mostly four of an hour: its name, which takes the longest of all this, is made once.
  let last: { hour: number; offset: number; slot: Slot } | undefined;
  const slotAt = (ms: number) => {
    const offset = offsetAt(time_zone, ms);
    const hour = Math.floor((ms + offset) / HOUR_MS);
    if (last?.hour !== hour || last.offset !== offset) last = { hour, offset, slot: slots.at(localHourAt(time_zone, ms)) };
    return last.slot;
  };
  const end = startOfLocalDay(time_zone, dayAfter(to));
  for (let ms = startOfLocalDay(time_zone, from); ms < end; ms += QUARTER_MS) slotAt(ms).end = ms + QUARTER_MS;
  for (const { ms, bucket } of await quartersIn(metrics, query)) slotAt(ms).total.add(bucket);
  return slots.all();
}

/** The values of a dimension with the highest `order_by`; one store query. `(other)` comes last, whatever its size. */
export async function breakdown(metrics: Store, query: BreakdownQuery, completeThrough: number | undefined): Promise<Answer<BreakdownQuery, BreakdownResult>> {
  const byValue = new Map<string, Total>();
  for (const item of await metrics.range(query.site, breakdownKey(query.from), breakdownKey(query.to))) {
    for (const [value, sums] of valuesOf(item, query.dimension)) {
      const total = byValue.get(value) ?? new Total(query.metrics);
      byValue.set(value, total);
      total.add({ sums });
    }
  }
  const other = byValue.get(OTHER);
  byValue.delete(OTHER);
  const order = (result: BreakdownResult) => result.metrics[query.order_by] ?? -Infinity;
  const results = [...byValue]
    .map(([value, total]): BreakdownResult => ({ value, metrics: total.values() }))
    .filter((result) => query.metrics.some((name) => result.metrics[name]))
    .sort((a, b) => order(b) - order(a) || (a.value < b.value ? -1 : 1))
    .slice(0, query.limit);
  if (!other) return answer(query, completeThrough, results);
  results.push({ value: OTHER, metrics: other.values() });
  return answer(query, completeThrough, results, [{
    code: 'other_values',
    message: `On some days there were more values than are kept of each day; the rest is added up under ${OTHER}.`,
  }]);
}
