// What the merchant's page shows, as its address says it: `?range=28d&metric=revenue&filter=source==google`. An address
// is anybody's text; what it says wrongly is left out.
import { DIMENSION_NAMES, OTHER, metricsOf, type DimensionName, type MetricName } from '../core/metrics.ts';
import type { Compare, Filter, Interval, Range } from '../core/query.ts';
import { dayAfter, daysBetween, localDayAt, type LocalDay } from '../core/zone.ts';

/** The metrics that have a tile, in this order. */
export const TILES = [
  'visitors', 'visits', 'pageviews', 'bounce_rate', 'visit_duration', 'revenue', 'purchases', 'conversion_rate', 'average_order_value',
] as const satisfies readonly MetricName[];
export type Tile = (typeof TILES)[number];

/** Named ranges, as the API names them. */
export const RANGES = {
  today: 'Today', yesterday: 'Yesterday', '7d': 'Last 7 days', '28d': 'Last 28 days', '90d': 'Last 90 days', month: 'This month', year: 'This year',
} as const;
export type RangeName = keyof typeof RANGES;

export const COMPARES = { previous_period: 'Previous period', previous_year: 'Previous year', none: 'No comparison' } as const satisfies Record<Compare | 'none', string>;
export const INTERVALS = { hour: 'Hours', day: 'Days', month: 'Months' } as const satisfies Record<Interval, string>;

/** Most days of a range: what the lists go back. */
export const MAX_DAYS = 366;
const MAX_HOUR_DAYS = 31;
/** From so many days on, months are shown unless days are asked for. */
const MONTHS_FROM = 120;
/** Buckets of the moving average: a day of hours, a week of days, a quarter of months. */
export const WINDOWS: Readonly<Record<Interval, number>> = { hour: 24, day: 7, month: 3 };

export interface View {
  range: RangeName | Range;
  metric: Tile;
  /** The one that was asked for; another where the range or the filter has none of it. */
  interval?: Interval;
  compare: Compare | 'none';
  smooth: boolean;
  filter?: Filter | undefined;
}

const DEFAULT: View = { range: '7d', metric: 'visitors', compare: 'previous_period', smooth: false };

function isDay(text: string | null): text is LocalDay {
  return text !== null && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) && dayAfter(text, 0) === text;
}

/** Whether two dates are a range that can be shown. */
export function isRange(from: string | null, to: string | null): boolean {
  return isDay(from) && isDay(to) && from <= to && dayAfter(from, MAX_DAYS - 1) >= to;
}

function keyIn<T extends string>(names: Readonly<Record<T, unknown>> | readonly T[], text: string | null): T | undefined {
  return text !== null && (Array.isArray(names) ? names.includes(text) : Object.hasOwn(names, text)) ? text as T : undefined;
}

/** Whether the page can show a value's numbers: the rest under `(other)` has none, and some dimensions have no tile's. */
export function isFilterable(dimension: DimensionName, value: string): boolean {
  return value !== '' && value !== OTHER && tilesOf({ dimension, value }).length > 0;
}

/** The view of an address's query. */
export function viewOf(search: string): View {
  const given = new URLSearchParams(search);
  const [from, to] = [given.get('from'), given.get('to')];
  const interval = keyIn(INTERVALS, given.get('interval'));
  const [dimension = '', ...rest] = (given.get('filter') ?? '').split('==');
  const value = rest.join('==');
  const filtered = keyIn(DIMENSION_NAMES, dimension);
  return {
    range: isRange(from, to) ? { from: from!, to: to! } : keyIn(RANGES, given.get('range')) ?? DEFAULT.range,
    metric: keyIn(TILES, given.get('metric')) ?? DEFAULT.metric,
    compare: keyIn(COMPARES, given.get('compare')) ?? DEFAULT.compare,
    smooth: given.get('smooth') === 'on',
    ...(interval && { interval }),
    ...(filtered && isFilterable(filtered, value) && { filter: { dimension: filtered, value } }),
  };
}

/** The address's query of a view, shortest: '' is the default's. `kept` are parameters that are not the view's. */
export function searchOf({ range, metric, interval, compare, smooth, filter }: View, kept: Record<string, string> = {}): string {
  const parameters = new URLSearchParams({
    ...kept,
    ...(typeof range === 'string' ? range !== DEFAULT.range && { range } : range),
    ...(metric !== DEFAULT.metric && { metric }),
    ...(interval && { interval }),
    ...(compare !== DEFAULT.compare && { compare }),
    ...(smooth && { smooth: 'on' }),
    ...(filter && { filter: filterText(filter) }),
  });
  return parameters.size === 0 ? '' : `?${parameters.toString()}`;
}

function filterText({ dimension, value }: Filter): string {
  return `${dimension}==${value}`;
}

/** The dates that a range says, at a moment (epoch ms) where the site is. */
export function datesOf(range: View['range'], timeZone: string, now: number): Range {
  if (typeof range !== 'string') return range;
  const today = localDayAt(timeZone, now);
  const last = (days: number): Range => ({ from: dayAfter(today, 1 - days), to: today });
  switch (range) {
    case 'today': return last(1);
    case 'yesterday': return { from: dayAfter(today, -1), to: dayAfter(today, -1) };
    case '7d': return last(7);
    case '28d': return last(28);
    case '90d': return last(90);
    case 'month': return { from: `${today.slice(0, 8)}01`, to: today };
    case 'year': return { from: `${today.slice(0, 4)}-01-01`, to: today };
  }
}

/** The intervals that the chart can have: hours up to 31 days and of the whole site, months of more than one. */
export function intervalsOf({ from, to }: Range, filter: Filter | undefined): Interval[] {
  const hours: Interval[] = filter || dayAfter(from, MAX_HOUR_DAYS - 1) < to ? [] : ['hour'];
  const months: Interval[] = from.slice(0, 7) === to.slice(0, 7) ? [] : ['month'];
  return [...hours, 'day', ...months];
}

/** The chart's interval: the one asked for, else what shows the range best. */
export function intervalOf({ interval, filter }: View, dates: Range): Interval {
  const choices = intervalsOf(dates, filter);
  if (interval && choices.includes(interval)) return interval;
  const days = daysBetween(dates.from, dates.to).length;
  if (days <= 2 && choices.includes('hour')) return 'hour';
  return days >= MONTHS_FROM && choices.includes('month') ? 'month' : 'day';
}

/** The tiles that the filter's dimension knows; all where there is none. */
export function tilesOf(filter: Filter | undefined): readonly Tile[] {
  const known = filter && metricsOf(filter.dimension);
  return known ? TILES.filter((name) => known.includes(name)) : TILES;
}

/** The range as the API's parameters. */
export function rangeParameters(range: View['range']): Record<string, string> {
  return typeof range === 'string' ? { range } : { ...range };
}

/** What makes of a read one of this view: the range, and of those that can be compared and filtered, with what. */
export function viewParameters({ range, compare, filter }: View): Record<string, string> {
  return { ...rangeParameters(range), ...(compare !== 'none' && { compare }), ...(filter && { filter: filterText(filter) }) };
}
