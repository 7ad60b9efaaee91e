// How far the numbers are complete, and where they are not. Written by whoever runs the rollups, read by the API.
import { HOUR_MS, startOf, type Hour } from './hour.ts';
import type { Parked, Store, Task } from './ports.ts';
import { dayAfter, startOfLocalDay, type LocalDay } from './zone.ts';

export interface Progress {
  /** Everything received before this moment (epoch ms) is in the numbers, but for what is parked; undefined before the first rollup. */
  completeThrough: number | undefined;
  /** Hours and local days whose tasks failed too often: they wait for an operator. */
  parkedHours: Hour[];
  parkedDays: LocalDay[];
}

/** Progress up to a moment; what is parked is missing, unless it counts anew what is counted already. */
export function progressOf(completeThrough: number | undefined, parked: readonly Pick<Parked, 'task'>[]): Progress {
  const missing = parked.map(({ task }) => task).filter(({ recompute }) => !recompute);
  return {
    completeThrough,
    parkedHours: [...new Set(missing.flatMap((task) => (task.kind === 'hour' ? [task.hour] : [])))].sort(),
    parkedDays: [...new Set(missing.flatMap((task) => (task.kind === 'day' ? [task.day] : [])))].sort(),
  };
}

/** The tasks whose hours and local days are named as missing. */
export function parkedTasks({ parkedHours, parkedDays }: Progress): { task: Task }[] {
  return [
    ...parkedHours.map((hour) => ({ task: { kind: 'hour' as const, hour } })),
    ...parkedDays.map((day) => ({ task: { kind: 'day' as const, day } })),
  ];
}

export async function readProgress(registry: Store): Promise<Progress> {
  const item = await registry.get('status', 'progress');
  return { completeThrough: item?.at as number | undefined, parkedHours: (item?.hours ?? []) as Hour[], parkedDays: (item?.days ?? []) as LocalDay[] };
}

export async function writeProgress(registry: Store, { completeThrough, parkedHours, parkedDays }: Progress): Promise<void> {
  await registry.put([{ pk: 'status', sk: 'progress', at: completeThrough, hours: parkedHours, days: parkedDays }]);
}

/** What of the local days from one to another, both included, could not be counted yet: hours of UTC, and local days. */
export function notCounted({ from, to, time_zone, site_time_zone }: { from: LocalDay; to: LocalDay; time_zone: string; site_time_zone?: string }, { parkedHours, parkedDays }: Progress): string[] {
  const [start, end] = [startOfLocalDay(time_zone, from), startOfLocalDay(time_zone, dayAfter(to))];
  return [
    ...parkedHours.filter((hour) => startOf(hour) < end && startOf(hour) + HOUR_MS > start),
    // In another zone than the site's the numbers come from hours.
    ...(site_time_zone === undefined ? parkedDays.filter((day) => day >= from && day <= to) : []),
  ];
}

/** What the pipeline says of itself. */
export interface Health {
  /** Age of the oldest event that may not be in the lake yet, seconds; null when all are. */
  oldest_undelivered_seconds: number | null;
  /** Rollup tasks that wait, and those that failed too often and were put aside. */
  waiting_tasks: number;
  parked_tasks: number;
}

/** Notes what is known of the pipeline, for a reader that cannot look for itself. */
export async function writeHealth(registry: Store, { deliveredThrough, waitingTasks, parkedTasks }: { deliveredThrough: number; waitingTasks: number; parkedTasks: number }): Promise<void> {
  await registry.put([{ pk: 'status', sk: 'health', delivered_through: deliveredThrough, waiting_tasks: waitingTasks, parked_tasks: parkedTasks }]);
}

/** What was noted last; the age goes on growing where nothing is noted any more. */
export async function readHealth(registry: Store, now: number): Promise<Health> {
  const item = await registry.get('status', 'health');
  return {
    oldest_undelivered_seconds: item ? Math.max(0, Math.round((now - (item.delivered_through as number)) / 1000)) : null,
    waiting_tasks: (item?.waiting_tasks ?? 0) as number,
    parked_tasks: (item?.parked_tasks ?? 0) as number,
  };
}
