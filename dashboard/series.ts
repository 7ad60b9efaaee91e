// The lines of the chart, as plain numbers. before: an answer of /timeseries; next: dashboard/chart.tsx draws them
import type { MetricName } from '../core/metrics.ts';
import type { Interval } from '../core/query.ts';
import type { TimeseriesResult } from '../core/serve.ts';
import { localDayAt } from '../core/zone.ts';

type Values = (number | null)[];

/** One value a bucket in each; null where there is none. */
export interface Lines {
  /** Buckets that are complete. */
  complete: Values;
  /** Those that are not yet, after the last complete one, from which the line goes on. */
  partial: Values;
  comparison: Values;
}

/** @param now epoch ms: what lies after it has no value yet, rather than none */
export function linesOf(results: readonly TimeseriesResult[], metric: MetricName, { interval, timeZone, now }: { interval: Interval; timeZone: string; now: number }): Lines {
  const today = localDayAt(timeZone, now);
  const hasBegun = (time: string) => (interval === 'hour' ? Date.parse(time) <= now : time <= today);
  const lines: Lines = { complete: [], partial: [], comparison: results.map(({ comparison }) => comparison?.[metric] ?? null) };
  for (const [i, { time, metrics, partial = false }] of results.entries()) {
    const value = hasBegun(time) ? (metrics[metric] ?? null) : null;
    const goesOn = results[i + 1]?.partial === true;
    lines.complete.push(partial ? null : value);
    lines.partial.push(partial || goesOn ? value : null);
  }
  return lines;
}

const HOUR_STEPS = [1, 2, 3, 4, 6, 12, 24, 48, 96, 168];

/** The buckets, by number, that are named below the chart: at most so many, evenly apart, days from their beginning. */
export function ticksOf(times: readonly string[], interval: Interval, most: number): number[] {
  if (interval === 'hour') {
    const step = HOUR_STEPS.find((hours) => times.length / hours <= most) ?? Math.ceil(times.length / most / 24) * 24;
    const hours = times.map((time) => Number(time.slice(11, 13)));
    // By the clock and not by counting: a day may have 23 hours or 25.
    if (step < 24) return indexesWhere(hours, (hour) => hour % step === 0);
    return indexesWhere(hours, (hour) => hour === 0).filter((_, day) => day % (step / 24) === 0);
  }
  const step = Math.max(1, Math.ceil(times.length / most));
  // The last bucket is named: it is the one people look for.
  return indexesWhere(times, (_, i) => (times.length - 1 - i) % step === 0);
}

function indexesWhere<T>(values: readonly T[], fits: (value: T, i: number) => boolean): number[] {
  return values.flatMap((value, i) => (fits(value, i) ? [i] : []));
}
