// The answers of the metrics API. before: the rollup's items (core/rollup.ts); next: the merchant
import { HOUR_MS, QUARTER_MS, hourOf } from './hour.ts';
import { breakdownKey, breakdownsOf, dayKey, dayOf, hourKey, quartersOf, type Bucket } from './items.ts';
import { METRICS, OTHER, addSums, type MetricName, type Sums } from './metrics.ts';
import type { Store } from './ports.ts';
import type { BreakdownQuery, StatsQuery, TimeseriesQuery } from './query.ts';
import { Sketch } from './sketch.ts';
import { dayAfter, daysBetween, localHourAt, startOfLocalDay, type LocalDay } from './zone.ts';

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

export interface StatsResult { metrics: MetricValues; partial?: true }
export interface TimeseriesResult { time: string; metrics: MetricValues; partial?: true }
export interface BreakdownResult { value: string; metrics: MetricValues }

/** What buckets add up to; visitors are merged only where they are asked for. */
class Total {
  private readonly sums: Sums = {};
  private readonly sketch: Sketch | undefined;

  constructor(private readonly metrics: readonly MetricName[]) {
    this.sketch = metrics.includes('visitors') ? new Sketch() : undefined;
  }

  add({ sums, sketch }: { sums: Sums; sketch?: Uint8Array }): void {
    addSums(this.sums, sums);
    if (sketch) this.sketch?.merge(sketch);
  }

  /** The metrics; rates are divided here and nowhere else. */
  values(): MetricValues {
    const values: MetricValues = {};
    for (const name of this.metrics) {
      values[name] = METRICS[name].of(this.sums, () => this.sketch?.count() ?? 0);
    }
    return values;
  }
}

async function daysOf(metrics: Store, { site, from, to }: StatsQuery): Promise<Map<LocalDay, Bucket>> {
  const items = await metrics.range(site, dayKey(from), dayKey(to));
  return new Map(items.map((item) => [item.sk.slice(dayKey('').length), dayOf(item)]));
}

function partial(end: number, completeThrough: number | undefined): { partial?: true } {
  return completeThrough === undefined || end > completeThrough ? { partial: true } : {};
}

function answer<Q, R>(query: Q, completeThrough: number | undefined, results: R[], warnings: Warning[] = []): Answer<Q, R> {
  return { query, complete_through: completeThrough === undefined ? null : new Date(completeThrough).toISOString(), results, warnings };
}

/** Totals over the range; one store query. */
export async function stats(metrics: Store, query: StatsQuery, completeThrough: number | undefined): Promise<Answer<StatsQuery, StatsResult>> {
  const total = new Total(query.metrics);
  for (const day of (await daysOf(metrics, query)).values()) total.add(day);
  const end = startOfLocalDay(query.time_zone, dayAfter(query.to));
  return answer(query, completeThrough, [{ metrics: total.values(), ...partial(end, completeThrough) }]);
}

/** One result for each hour, day or month of the range, empty ones too; one store query. */
export async function timeseries(metrics: Store, query: TimeseriesQuery, completeThrough: number | undefined): Promise<Answer<TimeseriesQuery, TimeseriesResult>> {
  const slots = query.interval === 'hour' ? await hourSlots(metrics, query) : await daySlots(metrics, query);
  const results = slots.map(({ time, end, total }) => ({ time, metrics: total.values(), ...partial(end, completeThrough) }));
  return answer(query, completeThrough, results);
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
async function daySlots(metrics: Store, query: TimeseriesQuery): Promise<Slot[]> {
  const days = await daysOf(metrics, query);
  const slots = new Slots(query.metrics);
  for (const day of daysBetween(query.from, query.to)) {
    const slot = slots.at(query.interval === 'month' ? `${day.slice(0, 7)}-01` : day);
    const bucket = days.get(day);
    if (bucket) slot.total.add(bucket);
    slot.end = startOfLocalDay(query.time_zone, dayAfter(day));
  }
  return slots.all();
}

/** Local hours: quarters under the hour and offset they have on the site's clocks. A day of 25 hours has 25. */
async function hourSlots(metrics: Store, query: TimeseriesQuery): Promise<Slot[]> {
  const { site, from, to, time_zone } = query;
  const start = startOfLocalDay(time_zone, from);
  const end = startOfLocalDay(time_zone, dayAfter(to));
  const slots = new Slots(query.metrics);
  const slotAt = (ms: number) => slots.at(localHourAt(time_zone, ms));
  for (let ms = start; ms < end; ms += QUARTER_MS) slotAt(ms).end = ms + QUARTER_MS;
  for (const item of await metrics.range(site, hourKey(hourOf(start)), hourKey(hourOf(end + HOUR_MS - 1)))) {
    for (const bucket of quartersOf(item)) {
      const ms = bucket.quarter * QUARTER_MS;
      if (ms >= start && ms < end) slotAt(ms).total.add(bucket);
    }
  }
  return slots.all();
}

/** The values of a dimension with the highest `order_by`; one store query. `(other)` comes last, whatever its size. */
export async function breakdown(metrics: Store, query: BreakdownQuery, completeThrough: number | undefined): Promise<Answer<BreakdownQuery, BreakdownResult>> {
  const byValue = new Map<string, Total>();
  for (const item of await metrics.range(query.site, breakdownKey(query.from), breakdownKey(query.to))) {
    for (const [value, sums] of breakdownsOf(item)[query.dimension] ?? []) {
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
