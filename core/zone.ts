// Local time of a site, from the runtime's own time zone data. Offsets change on quarters of an hour only
// (all zones since 2010), so the answer is looked up once for a quarter and remembered.
import QuickLRU from 'quick-lru';
import { DAY_MS, HOUR_MS, QUARTER_MS } from './hour.ts';

/** A local date, `YYYY-MM-DD`. */
export type LocalDay = string;

/** A zone's offsets from UTC in ms by quarter, and where its days begin; bounded by the zones that exist. */
interface Zone { format: Intl.DateTimeFormat; offsets: QuickLRU<number, number>; starts: QuickLRU<LocalDay, number> }

const zones = new Map<string, Zone>();
/** Clients may write a zone's name in any mixture of small letters and capitals: all of them share one zone. */
const spellings = new QuickLRU<string, Zone>({ maxSize: 1000 });

function zoneOf(timeZone: string): Zone {
  let zone = spellings.get(timeZone);
  if (!zone) {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric',
    });
    const name = format.resolvedOptions().timeZone;
    zone = zones.get(name) ?? { format, offsets: new QuickLRU({ maxSize: 2_000 }), starts: new QuickLRU({ maxSize: 1000 }) };
    zones.set(name, zone);
    spellings.set(timeZone, zone);
  }
  return zone;
}

/** Whether the runtime knows the IANA zone, such as `Europe/Berlin`. */
export function isTimeZone(timeZone: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(timeZone)) return false;
  try {
    zoneOf(timeZone);
    return true;
  } catch {
    return false; // Intl throws a RangeError for a zone it does not know; that is the answer.
  }
}

/** Offset of local time from UTC at a moment, in ms (east is positive). `ms` is epoch ms. */
export function offsetAt(timeZone: string, ms: number): number {
  const zone = zoneOf(timeZone);
  const quarter = Math.floor(ms / QUARTER_MS);
  let offset = zone.offsets.get(quarter);
  if (offset === undefined) {
    const at: Record<string, number> = {};
    for (const { type, value } of zone.format.formatToParts(quarter * QUARTER_MS)) at[type] = Number(value);
    offset = Date.UTC(at.year!, at.month! - 1, at.day, at.hour, at.minute, at.second) - quarter * QUARTER_MS;
    zone.offsets.set(quarter, offset);
  }
  return offset;
}

/** The local date of a moment (epoch ms). */
export function localDayAt(timeZone: string, ms: number): LocalDay {
  return dateOf(Math.floor((ms + offsetAt(timeZone, ms)) / DAY_MS));
}

// Remembered: writing a date takes 0.3 µs, and deliver asks for the same few a thousand times a second.
const dates = new QuickLRU<number, LocalDay>({ maxSize: 1000 });

/** The date so many days after 1970-01-01. */
function dateOf(days: number): LocalDay {
  let date = dates.get(days);
  if (date === undefined) dates.set(days, date = new Date(days * DAY_MS).toISOString().slice(0, 10));
  return date;
}

/** The local hour of a moment with its offset, such as `2026-11-20T10:00:00+05:30`. */
export function localHourAt(timeZone: string, ms: number): string {
  const offset = offsetAt(timeZone, ms);
  const local = new Date(ms + offset).toISOString().slice(0, 13);
  const minutes = Math.abs(offset) / 60_000;
  const two = (n: number) => String(Math.floor(n)).padStart(2, '0');
  return `${local}:00:00${offset < 0 ? '-' : '+'}${two(minutes / 60)}:${two(minutes % 60)}`;
}

/**
 * The moment (epoch ms) a local date begins: the first quarter whose local date is not before it. Right too
 * where midnight does not exist, or the whole date was skipped (then it begins when the next one does).
 */
export function startOfLocalDay(timeZone: string, day: LocalDay): number {
  const { starts } = zoneOf(timeZone);
  let start = starts.get(day);
  if (start === undefined) starts.set(day, start = firstQuarterOf(timeZone, day) * QUARTER_MS);
  return start;
}

function firstQuarterOf(timeZone: string, day: LocalDay): number {
  const midnight = Date.parse(`${day}T00:00:00Z`);
  // Zones lie within UTC−12 and UTC+14, so the day begins within these quarters; halve until one is left.
  let before = (midnight - 15 * HOUR_MS) / QUARTER_MS;
  let notBefore = (midnight + 13 * HOUR_MS) / QUARTER_MS;
  while (notBefore - before > 1) {
    const middle = Math.floor((before + notBefore) / 2);
    if (localDayAt(timeZone, middle * QUARTER_MS) >= day) notBefore = middle;
    else before = middle;
  }
  return notBefore;
}

/** The date `n` days after a date (before it where negative); calendar arithmetic, no zone. */
export function dayAfter(day: LocalDay, n = 1): LocalDay {
  return new Date(Date.parse(`${day}T00:00:00Z`) + n * DAY_MS).toISOString().slice(0, 10);
}

/** All dates from `from` to `to`, both included; empty when reversed. */
export function daysBetween(from: LocalDay, to: LocalDay): LocalDay[] {
  const days: LocalDay[] = [];
  for (let day = from; day <= to; day = dayAfter(day)) days.push(day);
  return days;
}
