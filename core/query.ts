// The parameters of a read: checked, with their defaults, resolved to dates. What is asked in words we do not know is
// refused with 400; what is well asked, but not kept in that form (a page's visitors), with 422: never a wrong number.
import { quote } from './event.ts';
import {
  DIMENSION_NAMES, METRIC_NAMES, OTHER, SITE_METRICS, metricsOf, type DimensionName, type MetricName,
} from './metrics.ts';
import { Problem, type FieldError } from './problem.ts';
import type { Site } from './sites.ts';
import { isDay } from './hour.ts';
import { dayAfter, daysBetween, isTimeZone, localDayAt, type LocalDay } from './zone.ts';

export type ParameterName = 'range' | 'from' | 'to' | 'time_zone' | 'metrics' | 'interval' | 'compare' | 'smooth' | 'filter' | 'dimension' | 'order_by' | 'limit';

const RANGE_PARAMETERS = ['range', 'from', 'to', 'time_zone'] as const satisfies ParameterName[];
/** The parameters of each read. */
export const QUERY_PARAMETERS = {
  stats: [...RANGE_PARAMETERS, 'metrics', 'compare', 'filter'],
  timeseries: [...RANGE_PARAMETERS, 'metrics', 'interval', 'compare', 'smooth', 'filter'],
  breakdown: [...RANGE_PARAMETERS, 'dimension', 'metrics', 'order_by', 'limit'],
  funnel: RANGE_PARAMETERS,
} as const satisfies Record<string, readonly ParameterName[]>;

export type Interval = 'hour' | 'day' | 'month';
export type Compare = 'previous_period' | 'previous_year';

/** Local dates, both included. */
export interface Range { from: LocalDay; to: LocalDay }
/** What every query has: a site and local dates. */
export interface RangeQuery extends Range {
  site: string;
  /** The zone of the dates. */
  time_zone: string;
  /** The site's, where it is another: then the numbers are added up from quarters of an hour, not from the site's days. */
  site_time_zone?: string;
}
type Zone = Pick<RangeQuery, 'time_zone' | 'site_time_zone'>;
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

/** Longest range of local days; `otherZone`: in a zone that is not the site's, and there with what smoothing looks back on. */
export const MAX_DAYS = { stats: 732, hour: 31, day: 732, month: 120 * 31, breakdown: 366, otherZone: 31, otherZoneSmoothed: 62 };
/** Most months of one answer, the first and the last counted even where only a part of them is in the range. */
export const MAX_MONTHS = 120;
export const MAX_LIMIT = 100;
export const DEFAULT_LIMIT = 10;
/** Metrics of a breakdown that names none: the first so many its dimension has. */
export const DEFAULT_BREAKDOWN_METRICS = 3;

export const RANGES: Readonly<Record<string, (today: LocalDay) => Range>> = {
  today: (today) => ({ from: today, to: today }),
  yesterday: (today) => ({ from: dayAfter(today, -1), to: dayAfter(today, -1) }),
  '7d': (today) => ({ from: dayAfter(today, -6), to: today }),
  '28d': (today) => ({ from: dayAfter(today, -27), to: today }),
  '30d': (today) => ({ from: dayAfter(today, -29), to: today }),
  '90d': (today) => ({ from: dayAfter(today, -89), to: today }),
  month: (today) => ({ from: `${today.slice(0, 7)}-01`, to: today }),
  year: (today) => ({ from: `${today.slice(0, 4)}-01-01`, to: today }),
};
/** Long before any event, so that a range has others before it, and long after; years of four digits sort as text. */
export const EARLIEST: LocalDay = '1970-01-01';
export const LATEST: LocalDay = '2199-12-31';
export const DEFAULT_RANGE = '7d';
export const COMPARES: readonly string[] = ['previous_period', 'previous_year'] satisfies Compare[];
/** Buckets of a moving average. */
export const MAX_SMOOTH = 90;
export const INTERVALS: readonly string[] = ['hour', 'day', 'month'] satisfies Interval[];
export const DEFAULT_INTERVAL: Interval = 'day';
export const DEFAULT_METRICS: Readonly<Record<'stats' | 'timeseries', MetricName[]>> = {
  stats: ['visitors', 'visits', 'pageviews', 'events', 'bounce_rate', 'visit_duration', 'purchases', 'revenue'],
  timeseries: ['visitors', 'pageviews'],
};

/** Parameters as they arrive; one given twice has several values. */
export type Parameters = ReadonlyMap<string, readonly string[]>;

/** Reads parameters one by one and collects what is wrong with them, so that the answer names everything at once. */
class Reader {
  private readonly errors: FieldError[] = [];
  /** 422 as long as nothing is worse. */
  private status = 422;
  constructor(private readonly parameters: Parameters) {}

  refuse(parameter: string, value: unknown, accepts: string, status = 400): void {
    this.errors.push({ parameter, value: quote(value ?? null), accepts });
    this.status = Math.min(this.status, status);
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

  /** @param dimension whose metrics the choices are, where it is not those of the whole site */
  metrics(choices: readonly MetricName[], fallback: MetricName[], dimension?: DimensionName): MetricName[] {
    const value = this.text('metrics');
    if (value === undefined) return fallback;
    const names = value.split(',');
    const wrong = names.find((name, i) => !(choices as readonly string[]).includes(name) || names.indexOf(name) !== i);
    if (wrong === undefined) return names as MetricName[];
    const isKeptElsewhere = (METRIC_NAMES as readonly string[]).includes(wrong) && !(choices as readonly string[]).includes(wrong);
    if (isKeptElsewhere) this.refuse('metrics', wrong, `what is kept ${dimension === undefined ? 'of a whole site' : `by ${dimension}`}: ${choices.join(', ')}`, 422);
    else this.refuse('metrics', wrong, `each once, with commas between, of ${choices.join(', ')}`);
    return fallback;
  }

  /** The zone of the dates. */
  zone(site: Site): Zone {
    const value = this.text('time_zone');
    if (value === undefined || value === site.timezone) return { time_zone: site.timezone };
    if (isTimeZone(value)) return { time_zone: value, site_time_zone: site.timezone };
    this.refuse('time_zone', value, 'an IANA time zone such as Europe/Berlin');
    return { time_zone: site.timezone };
  }

  /** What is kept by the site's days can be asked for in no other zone. */
  siteZone({ time_zone, site_time_zone }: Zone, what: string): void {
    if (site_time_zone !== undefined) this.refuse('time_zone', time_zone, `${site_time_zone}, the site's, or nothing: ${what} kept by the site's days`, 422);
  }

  range({ time_zone, site_time_zone }: Zone, now: number, mostDays: number): Range {
    const today = localDayAt(time_zone, now);
    const maxDays = site_time_zone === undefined ? mostDays : Math.min(mostDays, MAX_DAYS.otherZone);
    const most = `a range of at most ${maxDays} days${maxDays < mostDays ? ` in a zone that is not the site's, ${site_time_zone}` : ''}`;
    const [range, from, to] = [this.text('range'), this.text('from'), this.text('to')];
    const fallback = RANGES[DEFAULT_RANGE]!(today);
    if (from === undefined && to === undefined) {
      const name = range ?? DEFAULT_RANGE;
      if (Object.hasOwn(RANGES, name)) {
        const named = RANGES[name]!(today);
        if (isLonger(named, maxDays)) this.refuse('range', range, most);
        return named;
      }
      this.refuse('range', range, `one of ${Object.keys(RANGES).join(', ')}, or from and to instead`);
      return fallback;
    }
    if (range !== undefined) this.refuse('range', range, 'nothing beside from and to');
    for (const [name, value] of [['from', from], ['to', to]] as const) {
      if (!isAskable(value)) this.refuse(name, value, `a date that exists, YYYY-MM-DD, from ${EARLIEST} to ${LATEST}; from and to go together`);
    }
    // What is refused is not reckoned with either: to compare it would mean to count all days there are.
    if (!isAskable(from) || !isAskable(to)) return fallback;
    if (from > to) this.refuse('from', from, `a date not after to, ${to}`);
    else if (isLonger({ from, to }, maxDays)) this.refuse('from', from, `${most}, up to ${to}`);
    else return { from, to };
    return fallback;
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
    return this.metrics(choices, usual.length > 0 ? usual : choices.slice(0, 1), filter.dimension);
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
    return this.whole('limit', 1, MAX_LIMIT, 'a whole number') ?? DEFAULT_LIMIT;
  }

  /** Throws a Problem, 400 or 422, that names everything that was refused. */
  finish(): void {
    if (this.errors.length > 0) throw Problem.ofFields(this.status, this.errors);
  }
}

function isAskable(value: string | undefined): value is LocalDay {
  return value !== undefined && isDay(value) && value >= EARLIEST && value <= LATEST;
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

export function statsQuery(parameters: Parameters, site: Site, now: number): StatsQuery {
  const reader = new Reader(parameters);
  const filtered = reader.filter();
  const zone = reader.zone(site);
  if (filtered.filter) reader.siteZone(zone, 'the values of a dimension are');
  const range = reader.range(zone, now, filtered.filter ? MAX_DAYS.breakdown : MAX_DAYS.stats);
  const query = {
    site: site.id,
    ...range,
    ...zone,
    metrics: reader.filteredMetrics(filtered, DEFAULT_METRICS.stats),
    ...filtered,
    ...reader.compare(range),
  };
  reader.finish();
  return query;
}

export function timeseriesQuery(parameters: Parameters, site: Site, now: number): TimeseriesQuery {
  const reader = new Reader(parameters);
  const filtered = reader.filter();
  const zone = reader.zone(site);
  if (filtered.filter) reader.siteZone(zone, 'the values of a dimension are');
  const interval = reader.oneOf<Interval>('interval', INTERVALS, DEFAULT_INTERVAL) ?? DEFAULT_INTERVAL;
  if (filtered.filter && interval === 'hour') reader.refuse('interval', interval, 'day or month beside a filter: the values of a dimension are kept by day', 422);
  const range = reader.range(zone, now, filtered.filter ? MAX_DAYS.breakdown : MAX_DAYS[interval]);
  if (interval === 'month' && monthsOf(range) > MAX_MONTHS) reader.refuse('from', range.from, `at most ${MAX_MONTHS} months up to ${range.to}`);
  const smooth = reader.smooth();
  if (zone.site_time_zone !== undefined && smooth.smooth !== undefined && isLonger({ ...range, from: beforeBuckets(range.from, interval, smooth.smooth - 1) }, MAX_DAYS.otherZoneSmoothed)) {
    reader.refuse('smooth', smooth.smooth, `in a zone that is not the site's, what looks back on no more than ${MAX_DAYS.otherZoneSmoothed} days up to ${range.to}`);
  }
  const query = {
    site: site.id,
    ...range,
    interval,
    ...zone,
    metrics: reader.filteredMetrics(filtered, DEFAULT_METRICS.timeseries),
    ...filtered,
    ...smooth,
    ...reader.compare(range),
  };
  reader.finish();
  return query;
}

/** A date from which on there are at least so many whole buckets before a range; of months, of the whole first month. */
export function beforeBuckets(from: LocalDay, interval: Interval, buckets: number): LocalDay {
  if (buckets === 0) return from;
  if (interval === 'day') return dayAfter(from, -buckets);
  // The shortest day has 23 hours.
  if (interval === 'hour') return dayAfter(from, -Math.ceil(buckets / 23));
  return new Date(Date.UTC(Number(from.slice(0, 4)), Number(from.slice(5, 7)) - 1 - buckets, 1)).toISOString().slice(0, 10);
}

export function breakdownQuery(parameters: Parameters, site: Site, now: number): BreakdownQuery {
  const reader = new Reader(parameters);
  const zone = reader.zone(site);
  const dimension = reader.oneOf<DimensionName>('dimension', DIMENSION_NAMES, undefined);
  const choices: readonly MetricName[] = dimension === undefined ? METRIC_NAMES : metricsOf(dimension);
  const metrics = reader.metrics(choices, choices.slice(0, DEFAULT_BREAKDOWN_METRICS), dimension);
  reader.siteZone(zone, 'breakdowns are');
  const query = {
    site: site.id,
    ...reader.range({ time_zone: site.timezone }, now, MAX_DAYS.breakdown),
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
  const reader = new Reader(parameters);
  const zone = reader.zone(site);
  const query = { site: site.id, ...reader.range(zone, now, MAX_DAYS.stats), ...zone };
  reader.finish();
  return query;
}
