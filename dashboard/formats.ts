// Numbers, money, durations and times as people read them, by the browser's language.
import type { MetricName } from '../core/metrics.ts';
import type { Interval } from '../core/query.ts';
import type { LocalDay } from '../core/zone.ts';

type Kind = 'count' | 'money' | 'rate' | 'duration' | 'ratio';

const KINDS: Partial<Record<MetricName, Kind>> = {
  revenue: 'money', average_order_value: 'money', bounce_rate: 'rate', conversion_rate: 'rate', visit_duration: 'duration', visit_seconds: 'duration', views_per_visit: 'ratio',
};
/** Metrics of which less is better. */
const LESS_IS_BETTER: readonly MetricName[] = ['bounce_rate', 'bounces', 'refunds', 'rejected', 'bots', 'exits'];

/** What stands in place of a value that is not defined. */
export const NOTHING = '–';

/** Whole numbers from here on are shortened where there is little room, and money loses its cents from the other on. */
const COMPACT_FROM = 100_000;
const WHOLE_MONEY_FROM = 1000;
/** A larger change says no more than that there was next to nothing before. */
const MOST_CHANGE = 9.99;

/** Whether the axis of a metric has no use for steps below one. */
export function isWhole(metric: MetricName): boolean {
  return ['count', 'money'].includes(KINDS[metric] ?? 'count');
}

/** Whether a change, relative and not 0, is for the better; undefined where it is neither. */
export function isBetter(metric: MetricName, change: number): boolean | undefined {
  const shown = Math.round(change * 100);
  return shown === 0 ? undefined : (shown > 0) !== LESS_IS_BETTER.includes(metric);
}

/** Seconds as m:ss, from an hour on as h:mm:ss. */
export function duration(seconds: number): string {
  const whole = Math.round(Math.abs(seconds));
  const two = (n: number) => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return `${seconds < 0 && whole > 0 ? '−' : ''}${h > 0 ? `${h}:${two(m)}` : m}:${two(s)}`;
}

/** How long ago, in one unit. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return seconds < 36 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

/** A size in bytes. */
export function bytes(size: number): string {
  const power = size < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(size) / 3));
  return `${(size / 1000 ** power).toLocaleString('en-US', { maximumFractionDigits: power === 0 ? 0 : 1 })} ${['bytes', 'KB', 'MB', 'GB', 'TB'][power]}`;
}

export type Formats = ReturnType<typeof formatsOf>;

/**
 * @param locale as the browser names it; undefined is its own
 * @param currency ISO 4217; one that the browser does not know is written as its code
 * @param timeZone IANA, the site's
 */
export function formatsOf(locale: string | undefined, { currency, timezone: timeZone }: { currency: string; timezone: string }) {
  const number = (options: Intl.NumberFormatOptions) => new Intl.NumberFormat(locale, options);
  const money = { style: 'currency', currency, currencyDisplay: 'narrowSymbol' } as const;
  const exact: Record<Exclude<Kind, 'duration'>, Intl.NumberFormat> = {
    count: number({ maximumFractionDigits: 0 }), money: number(money), rate: number({ style: 'percent', minimumFractionDigits: 1, maximumFractionDigits: 1 }), ratio: number({ maximumFractionDigits: 2 }),
  };
  const averaged = number({ maximumFractionDigits: 1 });
  const whole = number({ ...money, maximumFractionDigits: 0 });
  const compact = { count: number({ notation: 'compact', maximumFractionDigits: 1 }), money: number({ ...money, notation: 'compact', minimumFractionDigits: 0, maximumFractionDigits: 1 }) };
  const percent = number({ style: 'percent', maximumFractionDigits: 0, signDisplay: 'exceptZero' });
  const largest = number({ style: 'percent', maximumFractionDigits: 0 });
  const date = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(locale, { timeZone: 'UTC', ...options });
  const dates = {
    day: date({ day: 'numeric', month: 'short' }), weekday: date({ weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' }), range: date({ day: 'numeric', month: 'short', year: 'numeric' }),
    month: date({ month: 'short', year: 'numeric' }), longMonth: date({ month: 'long', year: 'numeric' }), hour: date({ hour: '2-digit', minute: '2-digit' }),
    longHour: date({ weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' }),
  };
  const clock = new Intl.DateTimeFormat(locale, { timeZone, hour: '2-digit', minute: '2-digit' });
  const moment = new Intl.DateTimeFormat(locale, { timeZone, day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
  // The local clock's own reading stands first in the text of a bucket; read as UTC it is written as it is.
  const reading = (time: string) => Date.parse(time.length > 10 ? `${time.slice(0, 19)}Z` : `${time}T00:00:00Z`);

  /** The value in full. */
  function full(metric: MetricName, value: number | null | undefined): string {
    if (value === null || value === undefined) return NOTHING;
    const kind = KINDS[metric] ?? 'count';
    if (kind === 'duration') return duration(value);
    // An average of whole numbers is none.
    return kind === 'count' && !Number.isInteger(value) ? averaged.format(value) : exact[kind].format(value);
  }

  return {
    full,
    /** The value where there is little room. @param most the largest that it stands among, all of which are written alike */
    short(metric: MetricName, value: number | null | undefined, most = Math.abs(value ?? 0)): string {
      if (value === null || value === undefined) return NOTHING;
      const kind = KINDS[metric] ?? 'count';
      if ((kind === 'count' || kind === 'money') && Math.abs(value) >= COMPACT_FROM) return compact[kind].format(value);
      return kind === 'money' && (most >= WHOLE_MONEY_FROM || most === 0) ? whole.format(value) : full(metric, value);
    },
    /** The value beside an axis, where the numbers are round. */
    axis(metric: MetricName, value: number): string {
      const kind = KINDS[metric] ?? 'count';
      if (kind === 'count' || kind === 'money') return compact[kind].format(value);
      return kind === 'rate' ? number({ style: 'percent', maximumFractionDigits: 1 }).format(value) : full(metric, value);
    },
    /** A relative change, signed, without decimals. */
    change(value: number): string {
      return Math.abs(value) > MOST_CHANGE ? `${value > 0 ? '> ' : '< −'}${largest.format(MOST_CHANGE)}` : percent.format(value);
    },
    share: (value: number | null) => (value === null ? NOTHING : exact.rate.format(value)),
    count: (value: number) => exact.count.format(value),
    /** A bucket's time beside the axis; of hours the day where one begins. */
    tick(time: string, interval: Interval): string {
      if (interval === 'month') return dates.month.format(reading(time));
      return interval === 'day' || time.slice(11, 13) === '00' ? dates.day.format(reading(time)) : dates.hour.format(reading(time));
    },
    /** A bucket's time in full. */
    bucket(time: string, interval: Interval): string {
      return (interval === 'month' ? dates.longMonth : interval === 'day' ? dates.weekday : dates.longHour).format(reading(time));
    },
    range: (from: LocalDay, to: LocalDay) => (from === to ? dates.weekday.format(reading(from)) : dates.range.formatRange(reading(from), reading(to))),
    /** A moment, epoch ms, on the site's clock: the time of day, with the date where that is not today's. */
    moment: (ms: number, now: number) => (Math.abs(now - ms) < 12 * 3_600_000 ? clock : moment).format(ms),
    /** A country's name by its ISO code; other values as they are. */
    country: (code: string) => (/^[A-Z]{2}$/.test(code) ? (new Intl.DisplayNames(locale, { type: 'region', fallback: 'none' }).of(code) ?? code) : code),
  };
}
