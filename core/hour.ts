// Quarters, hours and days by name. An hour is a UTC hour, the unit of storage and of work.
/** Milliseconds of a quarter of an hour, the atom of time: every time zone on Earth is a multiple of it. */
export const QUARTER_MS = 900_000;
/** Milliseconds of an hour, the unit of storage and of work. */
export const HOUR_MS = 3_600_000;
/** Milliseconds of a day of UTC. */
export const DAY_MS = 24 * HOUR_MS;

/** A UTC hour as text, `YYYY-MM-DDTHH`: it sorts by time and stands in keys, tasks and paths. */
export type Hour = string;

/** The values of the partition columns `dt` (`YYYY-MM-DD`) and `hr` (`00` to `23`). */
export interface Partition { dt: string; hr: string }

/** No event is earlier (core/event.ts). */
export const EARLIEST_HOUR: Hour = '2010-01-01T00';

const HOUR = /^\d{4}-\d{2}-\d{2}T\d{2}$/;

// The last hour that was asked for is remembered: one after the other, moments lie in the same, and its text takes 0.3 µs.
let last = { hours: NaN, hour: '' };

/** The hour a moment (epoch ms) falls in. */
export function hourOf(ms: number): Hour {
  const hours = Math.floor(ms / HOUR_MS);
  if (hours !== last.hours) last = { hours, hour: new Date(ms).toISOString().slice(0, 13) };
  return last.hour;
}

/** The hour a moment falls in, as its start in epoch ms. */
export function hourStart(ms: number): number {
  return ms - (ms % HOUR_MS);
}

/** The start of an hour, epoch ms. Throws on text that is no hour. */
export function startOf(hour: Hour): number {
  if (!isHour(hour)) throw new Error(`hour ${JSON.stringify(hour)}: accepts YYYY-MM-DDTHH`);
  return Date.parse(`${hour}:00:00Z`);
}

/** Whether the text names an hour that exists, `YYYY-MM-DDTHH`. */
export function isHour(text: unknown): text is Hour {
  if (typeof text !== 'string' || !HOUR.test(text)) return false;
  const ms = Date.parse(`${text}:00:00Z`);
  return !Number.isNaN(ms) && hourOf(ms) === text;
}

/** The hour `n` hours later (earlier where negative). */
export function hourAfter(hour: Hour, n = 1): Hour {
  return hourOf(startOf(hour) + n * HOUR_MS);
}

/** All hours from one to another, both included; none where they are in the other order. */
export function hoursBetween(from: Hour, to: Hour): Hour[] {
  const hours: Hour[] = [];
  for (let hour = from; hour <= to; hour = hourAfter(hour)) hours.push(hour);
  return hours;
}

/** Where an hour's rows lie: `events/dt=YYYY-MM-DD/hr=HH`. */
export function partitionOf(hour: Hour): Partition {
  return { dt: hour.slice(0, 10), hr: hour.slice(11) };
}

/** An hour with the one before it, which it looks back on: where their rows lie, and what statements call that. */
export function withHourBefore(hour: Hour): { partitions: [Partition, Partition]; parameters: { dt: string; hr: string; dt_before: string; hr_before: string } } {
  const [its, before] = [partitionOf(hour), partitionOf(hourAfter(hour, -1))];
  return { partitions: [its, before], parameters: { ...its, dt_before: before.dt, hr_before: before.hr } };
}

/** A partition's folder under `events/` or `raw/`. */
export function partitionPath({ dt, hr }: Partition): string {
  return `dt=${dt}/hr=${hr}`;
}

/**
 * The hours that can say something of a local day: from where the day begins first (UTC+14) to where it ends last
 * (UTC−12), and the hour after, which knows whether the day's last event was followed; so 51 whatever the zone.
 */
export function hoursOfLocalDay(day: string): { from: Hour; to: Hour } {
  if (!isDay(day)) throw new Error(`day ${JSON.stringify(day)}: accepts a date that exists, YYYY-MM-DD`);
  const midnight = Date.parse(`${day}T00:00:00Z`);
  return { from: hourOf(midnight - 14 * HOUR_MS), to: hourOf(midnight + 36 * HOUR_MS) };
}

/** Whether the text is a calendar date `YYYY-MM-DD` that exists. */
export function isDay(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const ms = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
}
