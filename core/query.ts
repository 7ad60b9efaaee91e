// The parameters of a read: checked, with their defaults, resolved to dates. A parameter we do not know is an error,
// so that a typing error never passes for an answer.
import { quote } from './event.ts';
import {
  DIMENSION_NAMES, METRIC_NAMES, OTHER, SITE_METRICS, metricsOf, type DimensionName, type MetricName,
} from './metrics.ts';
import { Problem, type FieldError } from './problem.ts';
import type { Site } from './sites.ts';
import { isDay } from './hour.ts';
import { dayAfter, daysBetween, localDayAt, type LocalDay } from './zone.ts';

export type Interval = 'hour' | 'day' | 'month';
export type Compare = 'previous_period' | 'previous_year';

/** Local dates, both included. */
export interface Range { from: LocalDay; to: LocalDay }
/** What every query has: a site and local dates. */
export interface RangeQuery extends Range { site: string; time_zone: string }
interface MetricsQuery extends RangeQuery { metrics: MetricName[] }
/** Only what belongs to one value of a dimension. */
export interface Filter { dimension: DimensionName; value: string }
interface Filtered { filter?: Filter }
/** With what it is compared, and which dates that is. */
interface Compared { compare?: Compare; comparison?: Range }
export interface StatsQuery extends MetricsQuery, Compared, Filtered {}
export interface TimeseriesQuery extends MetricsQuery, Compared, Filtered {
  interval: Interval;
  /** Each value is the average of so many buckets, itself the last of them. */
  smooth?: number;
}
export interface BreakdownQuery extends MetricsQuery { dimension: DimensionName; order_by: MetricName; limit: number }
export type FunnelQuery = RangeQuery;

/** Longest range of local days. */
const MAX_DAYS = { stats: 732, hour: 31, day: 732, month: 120 * 31, breakdown: 366 };
/** Most months of one answer, the first and the last counted even where only a part of them is in the range. */
const MAX_MONTHS = 120;
const MAX_LIMIT = 100;

const RANGES: Record<string, (today: LocalDay) => Range> = {
  today: (today) => ({ from: today, to: today }),
  yesterday: (today) => ({ from: dayAfter(today, -1), to: dayAfter(today, -1) }),
  '7d': (today) => ({ from: dayAfter(today, -6), to: today }),
  '28d': (today) => ({ from: dayAfter(today, -27), to: today }),
  '30d': (today) => ({ from: dayAfter(today, -29), to: today }),
  '90d': (today) => ({ from: dayAfter(today, -89), to: today }),
  month: (today) => ({ from: `${today.slice(0, 7)}-01`, to: today }),
  year: (today) => ({ from: `${today.slice(0, 4)}-01-01`, to: today }),
};
/** Long before any event, so that a range has others before it. */
const EARLIEST: LocalDay = '1970-01-01';
const DEFAULT_RANGE = '7d';
const COMPARES: readonly string[] = ['previous_period', 'previous_year'] satisfies Compare[];
/** Buckets of a moving average. */
const MAX_SMOOTH = 90;
const INTERVALS: readonly string[] = ['hour', 'day', 'month'] satisfies Interval[];
const DEFAULT_METRICS: Record<'stats' | 'timeseries', MetricName[]> = {
  stats: ['visitors', 'visits', 'pageviews', 'events', 'bounce_rate', 'visit_duration', 'purchases', 'revenue'],
  timeseries: ['visitors', 'pageviews'],
};

/** Parameters as they arrive; one given twice has several values. */
export type Parameters = ReadonlyMap<string, readonly string[]>;

/** Reads parameters one by one and collects what is wrong with them, so that the answer names everything at once. */
class Reader {
  private readonly errors: FieldError[] = [];
  constructor(private readonly parameters: Parameters, known: readonly string[]) {
    for (const [name, values] of parameters) {
      if (!known.includes(name)) this.refuse(name, values[0], `nothing: the parameters are ${known.join(', ')}`);
      else if (values.length > 1) this.refuse(name, values.join(' and '), 'one value');
    }
  }

  refuse(parameter: string, value: unknown, accepts: string): void {
    this.errors.push({ parameter: parameter.slice(0, 80), value: quote(value ?? null), accepts });
  }

  text(name: string): string | undefined {
    return this.parameters.get(name)?.[0];
  }

  oneOf<T extends string>(name: string, choices: readonly string[], fallback: T | undefined): T | undefined {
    const value = this.text(name);
    if (value === undefined && fallback !== undefined) return fallback;
    if (value !== undefined && choices.includes(value)) return value as T;
    this.refuse(name, value, `one of ${choices.join(', ')}`);
    return undefined;
  }

  metrics(choices: readonly MetricName[], fallback: MetricName[]): MetricName[] {
    const value = this.text('metrics');
    if (value === undefined) return fallback;
    const names = value.split(',');
    const wrong = names.find((name, i) => !(choices as readonly string[]).includes(name) || names.indexOf(name) !== i);
    if (wrong === undefined) return names as MetricName[];
    this.refuse('metrics', wrong, `each once, with commas between, of ${choices.join(', ')}`);
    return fallback;
  }

  range(site: Site, now: number, maxDays: number): Range {
    const today = localDayAt(site.timezone, now);
    const [range, from, to] = [this.text('range'), this.text('from'), this.text('to')];
    const fallback = RANGES[DEFAULT_RANGE]!(today);
    if (from === undefined && to === undefined) {
      const name = range ?? DEFAULT_RANGE;
      if (Object.hasOwn(RANGES, name)) {
        const named = RANGES[name]!(today);
        if (isLonger(named, maxDays)) this.refuse('range', range, `a range of at most ${maxDays} days`);
        return named;
      }
      this.refuse('range', range, `one of ${Object.keys(RANGES).join(', ')}, or from and to instead`);
      return fallback;
    }
    if (range !== undefined) this.refuse('range', range, 'nothing beside from and to');
    for (const [name, value] of [['from', from], ['to', to]] as const) {
      if (value === undefined || !isDay(value) || value < EARLIEST) this.refuse(name, value, `a date that exists, YYYY-MM-DD, from ${EARLIEST} on; from and to go together`);
    }
    if (from === undefined || to === undefined || !isDay(from) || !isDay(to)) return fallback;
    if (from > to) this.refuse('from', from, `a date not after to, ${to}`);
    else if (isLonger({ from, to }, maxDays)) this.refuse('from', from, `a range of at most ${maxDays} days up to ${to}`);
    return { from, to };
  }

  /** The range that another is compared with, if one is asked for. */
  compare(range: Range): Compared {
    if (this.text('compare') === undefined) return {};
    const compare = this.oneOf<Compare>('compare', COMPARES, undefined);
    return compare === undefined ? {} : { compare, comparison: compare === 'previous_year' ? yearBefore(range) : periodBefore(range) };
  }

  filter(): Filtered {
    const text = this.text('filter');
    if (text === undefined) return {};
    const [dimension = '', ...rest] = text.split('==');
    const value = rest.join('==');
    if ((DIMENSION_NAMES as readonly string[]).includes(dimension) && value !== '' && value !== OTHER) return { filter: { dimension: dimension as DimensionName, value } };
    this.refuse('filter', text, `a dimension, == and one of its values (not ${OTHER}), such as source==google; the dimensions are ${DIMENSION_NAMES.join(', ')}`);
    return {};
  }

  /** The metrics of a site, or of the value that is filtered by, whose dimension may not have all. */
  filteredMetrics({ filter }: Filtered, fallback: readonly MetricName[]): MetricName[] {
    if (!filter) return this.metrics(SITE_METRICS, [...fallback]);
    const choices = metricsOf(filter.dimension);
    const usual = fallback.filter((name) => choices.includes(name));
    return this.metrics(choices, usual.length > 0 ? usual : choices.slice(0, 1));
  }

  /** The parameter's number, of at most three digits; undefined where there is none, or it was refused. */
  whole(name: string, least: number, most: number, kind: string): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (/^\d{1,3}$/.test(value) && Number(value) >= least && Number(value) <= most) return Number(value);
    this.refuse(name, value, `${kind} from ${least} to ${most}`);
    return undefined;
  }

  smooth(): { smooth?: number } {
    const smooth = this.whole('smooth', 2, MAX_SMOOTH, 'a whole number of buckets');
    return smooth === undefined ? {} : { smooth };
  }

  limit(): number {
    return this.whole('limit', 1, MAX_LIMIT, 'a whole number') ?? 10;
  }

  /** Throws a 400 Problem that names everything that was refused. */
  finish(): void {
    if (this.errors.length > 0) throw Problem.ofFields(400, this.errors);
  }
}

function isLonger({ from, to }: Range, days: number): boolean {
  return dayAfter(from, days - 1) < to;
}

/** As many days, right before. */
function periodBefore({ from, to }: Range): Range {
  const days = daysBetween(from, to).length;
  return { from: dayAfter(from, -days), to: dayAfter(from, -1) };
}

/** The same dates a year earlier; of a February 29th, the 28th. */
function yearBefore({ from, to }: Range): Range {
  const before = (day: LocalDay) => {
    const same = `${String(Number(day.slice(0, 4)) - 1).padStart(4, '0')}${day.slice(4)}`;
    return isDay(same) ? same : `${same.slice(0, 8)}28`;
  };
  return { from: before(from), to: before(to) };
}

function monthsOf({ from, to }: Range): number {
  const months = (day: LocalDay) => Number(day.slice(0, 4)) * 12 + Number(day.slice(5, 7));
  return months(to) - months(from) + 1;
}

const RANGE_PARAMETERS = ['range', 'from', 'to'];

export function statsQuery(parameters: Parameters, site: Site, now: number): StatsQuery {
  const reader = new Reader(parameters, [...RANGE_PARAMETERS, 'metrics', 'compare', 'filter']);
  const filtered = reader.filter();
  const range = reader.range(site, now, filtered.filter ? MAX_DAYS.breakdown : MAX_DAYS.stats);
  const query = {
    site: site.id,
    ...range,
    time_zone: site.timezone,
    metrics: reader.filteredMetrics(filtered, DEFAULT_METRICS.stats),
    ...filtered,
    ...reader.compare(range),
  };
  reader.finish();
  return query;
}

export function timeseriesQuery(parameters: Parameters, site: Site, now: number): TimeseriesQuery {
  const reader = new Reader(parameters, [...RANGE_PARAMETERS, 'metrics', 'interval', 'compare', 'smooth', 'filter']);
  const filtered = reader.filter();
  // What belongs to a value is kept by day.
  const interval = reader.oneOf<Interval>('interval', filtered.filter ? INTERVALS.filter((name) => name !== 'hour') : INTERVALS, 'day') ?? 'day';
  const range = reader.range(site, now, filtered.filter ? MAX_DAYS.breakdown : MAX_DAYS[interval]);
  if (interval === 'month' && monthsOf(range) > MAX_MONTHS) reader.refuse('from', range.from, `at most ${MAX_MONTHS} months up to ${range.to}`);
  const query = {
    site: site.id,
    ...range,
    interval,
    time_zone: site.timezone,
    metrics: reader.filteredMetrics(filtered, DEFAULT_METRICS.timeseries),
    ...filtered,
    ...reader.smooth(),
    ...reader.compare(range),
  };
  reader.finish();
  return query;
}

export function breakdownQuery(parameters: Parameters, site: Site, now: number): BreakdownQuery {
  const reader = new Reader(parameters, [...RANGE_PARAMETERS, 'metrics', 'dimension', 'order_by', 'limit']);
  const dimension = reader.oneOf<DimensionName>('dimension', DIMENSION_NAMES, undefined);
  const choices: readonly MetricName[] = dimension === undefined ? METRIC_NAMES : metricsOf(dimension);
  const metrics = reader.metrics(choices, choices.slice(0, 3));
  const query = {
    site: site.id,
    ...reader.range(site, now, MAX_DAYS.breakdown),
    time_zone: site.timezone,
    dimension: dimension ?? 'page',
    metrics,
    order_by: reader.oneOf<MetricName>('order_by', metrics, metrics[0]) ?? metrics[0]!,
    limit: reader.limit(),
  };
  reader.finish();
  return query;
}

export function funnelQuery(parameters: Parameters, site: Site, now: number): FunnelQuery {
  const reader = new Reader(parameters, RANGE_PARAMETERS);
  const query = { site: site.id, ...reader.range(site, now, MAX_DAYS.stats), time_zone: site.timezone };
  reader.finish();
  return query;
}
