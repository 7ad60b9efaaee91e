// The metrics and dimensions: what is stored, what is answered, and what fits together. The SQL-facing names, the
// API's checks and its answers follow from these tables.
import type { ColumnType } from './event.ts';

/** The sums that rollups store, by column name of `sql/`. `micros` and `count` alike are whole numbers. */
export const SUMS = {
  events: 'count',
  pageviews: 'count',
  visits: 'count',
  engaged_visits: 'count',
  visit_ms: 'count',
  view_items: 'count',
  add_to_carts: 'count',
  checkouts: 'count',
  purchases: 'count',
  refunds: 'count',
  revenue_micros: 'micros',
  items: 'count',
  exits: 'count',
  bots: 'count',
  rejected: 'count',
  // Events whose visit may have begun before the look-back, so that they may count for a later source than its first.
  long_visit_events: 'count',
} as const satisfies Record<string, 'count' | 'micros'>;

export type Sum = keyof typeof SUMS;
export const SUM_NAMES = Object.keys(SUMS) as Sum[];
/** Sums of one bucket or value; an absent one is 0. */
export type Sums = { [K in Sum]?: number };

/** Columns of the files under `hours/`, as `sql/hours.sql` writes them. `dimension` and `value` are '' on the rows of a quarter. */
export const HOUR_COLUMNS: Readonly<Record<string, ColumnType | 'ints'>> = {
  site_id: 'string',
  local_day: 'string',
  quarter: 'int',
  dimension: 'string',
  value: 'string',
  ...Object.fromEntries(SUM_NAMES.map((name) => [name, 'bigint' as const])),
  sketch: 'ints',
};

/** Columns of the files under `steps/`, as `sql/steps.sql` writes them: what each event of an hour counts as. */
export const STEP_COLUMNS: Readonly<Record<string, ColumnType>> = {
  site_id: 'string',
  this_hour: 'boolean',
  counted: 'boolean',
  quarter: 'int',
  local_day: 'string',
  name: 'string',
  page: 'string',
  revenue_micros: 'bigint',
  bot: 'boolean',
  rejected: 'string',
  quantity: 'bigint',
  // Of visitors' events.
  visitor: 'hash',
  visit_ts: 'bigint',
  sketch_bucket: 'int',
  sketch_rank: 'int',
  begins: 'int',
  engages: 'int',
  gap_ms: 'bigint',
  followed_page: 'string',
  followed_day: 'string',
  enters: 'boolean',
  long_visit: 'int',
  // By this the event's other columns are found; of events that were sent again, and of their items, they are here.
  event_key: 'hash',
  repeated: 'boolean',
  product_id: 'string',
  value_micros: 'bigint',
  currency: 'string',
  origin: 'string',
};

/** Columns of the files under `changes/`. */
export const CHANGE_COLUMNS: Readonly<Record<string, ColumnType>> = { site_id: 'string', local_day: 'string' };

interface Metric {
  label: string;
  /** The value from sums (and, for visitors, the count of a sketch); null where it is not defined, as 0 ÷ 0. */
  of: (sums: Sums, visitors: () => number) => number | null;
}

function sum(label: string, name: Sum): Metric {
  return { label, of: (sums) => sums[name] ?? 0 };
}

/** To four decimals, as every value that is divided at reading. */
export function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}

/** A quotient, rounded. */
function ratio(label: string, numerator: (sums: Sums) => number, denominator: Sum): Metric {
  return { label, of: (sums) => (sums[denominator] ? rounded(numerator(sums) / sums[denominator]) : null) };
}

const bounces = (sums: Sums) => (sums.visits ?? 0) - (sums.engaged_visits ?? 0);
const revenue = (sums: Sums) => (sums.revenue_micros ?? 0) / 1_000_000;

/** What can be asked for, with the label a merchant sees. */
export const METRICS = {
  visitors: { label: 'Visitors', of: (_, visitors) => visitors() },
  visits: sum('Visits', 'visits'),
  pageviews: sum('Page views', 'pageviews'),
  events: sum('Events', 'events'),
  views_per_visit: ratio('Views per visit', (sums) => sums.pageviews ?? 0, 'visits'),
  bounce_rate: ratio('Bounce rate', bounces, 'visits'),
  visit_duration: ratio('Visit duration', (sums) => (sums.visit_ms ?? 0) / 1000, 'visits'),
  engaged_visits: sum('Engaged visits', 'engaged_visits'),
  bounces: { label: 'Bounces', of: bounces },
  visit_seconds: { label: 'Time on site', of: (sums) => (sums.visit_ms ?? 0) / 1000 },
  view_items: sum('Product views', 'view_items'),
  add_to_carts: sum('Added to cart', 'add_to_carts'),
  checkouts: sum('Checkouts', 'checkouts'),
  purchases: sum('Orders', 'purchases'),
  refunds: sum('Refunds', 'refunds'),
  revenue: { label: 'Revenue', of: revenue },
  average_order_value: ratio('Average order value', revenue, 'purchases'),
  conversion_rate: ratio('Conversion rate', (sums) => sums.purchases ?? 0, 'visits'),
  items: sum('Items', 'items'),
  exits: sum('Exits', 'exits'),
  bots: sum('Bots', 'bots'),
  rejected: sum('Refused', 'rejected'),
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRICS;
export const METRIC_NAMES = Object.keys(METRICS) as MetricName[];

/** Metrics of a site as a whole; `items` and `exits` exist only by product and by page. */
export const SITE_METRICS = METRIC_NAMES.filter((name) => name !== 'items' && name !== 'exits');

interface Dimension {
  label: string;
  /** The metrics that make sense for its values; the first is the default and the order of the answer. */
  metrics: readonly MetricName[];
}

/** Values that belong to a visit: everything in it is counted for what its first event said. */
const OF_VISIT: readonly MetricName[] = SITE_METRICS.filter((name) => !['visitors', 'bots', 'rejected'].includes(name));
const visitDimension = (label: string): Dimension => ({ label, metrics: ['visits', ...OF_VISIT.filter((name) => name !== 'visits')] });

export const DIMENSIONS = {
  page: { label: 'Page', metrics: ['pageviews', 'events'] },
  entry_page: { label: 'Entry page', metrics: ['visits'] },
  exit_page: { label: 'Exit page', metrics: ['exits'] },
  source: visitDimension('Source'),
  channel: visitDimension('Channel'),
  referrer: visitDimension('Referrer'),
  utm_source: visitDimension('Campaign source'),
  utm_medium: visitDimension('Campaign medium'),
  utm_campaign: visitDimension('Campaign'),
  utm_content: visitDimension('Campaign content'),
  utm_term: visitDimension('Campaign term'),
  country: visitDimension('Country'),
  device: visitDimension('Device'),
  browser: visitDimension('Browser'),
  os: visitDimension('Operating system'),
  language: visitDimension('Language'),
  event: { label: 'Event', metrics: ['events'] },
  product: { label: 'Product', metrics: ['items', 'view_items', 'add_to_carts', 'checkouts', 'purchases', 'refunds', 'revenue'] },
  currency: { label: 'Currency', metrics: ['revenue', 'purchases', 'refunds', 'average_order_value'] },
  rejection: { label: 'Reason of refusal', metrics: ['rejected'] },
} as const satisfies Record<string, Dimension>;

export type DimensionName = keyof typeof DIMENSIONS;
export const DIMENSION_NAMES = Object.keys(DIMENSIONS) as DimensionName[];

/** The metrics a dimension's values can be asked for. */
export function metricsOf(dimension: DimensionName): readonly MetricName[] {
  return DIMENSIONS[dimension].metrics;
}

/** The value under which a day's values beyond the first 100 of a dimension are added up. */
export const OTHER = '(other)';

/** Adds `more` to `sums`, in place. */
export function addSums(sums: Sums, more: Sums): void {
  for (const name in more) sums[name as Sum] = (sums[name as Sum] ?? 0) + more[name as Sum]!;
}
