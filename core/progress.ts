// How far the numbers are complete, and where they are not. Written by whoever runs the rollups, read by the API.
import { HOUR_MS, startOf, type Hour } from './hour.ts';
import type { Store } from './ports.ts';
import { dayAfter, startOfLocalDay, type LocalDay } from './zone.ts';

export interface Progress {
  /** Everything received before this moment (epoch ms) is in the numbers, but for what is parked; undefined before the first rollup. */
  completeThrough: number | undefined;
  /** Hours and local days whose tasks failed too often: they wait for an operator. */
  parkedHours: Hour[];
  parkedDays: LocalDay[];
}

export async function readProgress(registry: Store): Promise<Progress> {
  const item = await registry.get('status', 'progress');
  return { completeThrough: item?.at as number | undefined, parkedHours: (item?.hours ?? []) as Hour[], parkedDays: (item?.days ?? []) as LocalDay[] };
}

export async function writeProgress(registry: Store, { completeThrough, parkedHours, parkedDays }: Progress): Promise<void> {
  await registry.put([{ pk: 'status', sk: 'progress', at: completeThrough, hours: parkedHours, days: parkedDays }]);
}

/** What of the local days from one to another, both included, could not be counted yet: hours of UTC, and local days. */
export function notCounted({ from, to, time_zone }: { from: LocalDay; to: LocalDay; time_zone: string }, { parkedHours, parkedDays }: Progress): string[] {
  const [start, end] = [startOfLocalDay(time_zone, from), startOfLocalDay(time_zone, dayAfter(to))];
  return [
    ...parkedHours.filter((hour) => startOf(hour) < end && startOf(hour) + HOUR_MS > start),
    ...parkedDays.filter((day) => day >= from && day <= to),
  ];
}
