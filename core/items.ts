// Serving items: what the rollup writes and the API reads, and nothing else knows their shape. Partition key = site.
// `H#<hour>` an hour's quarters · `D#<day>` a local day's totals · `B#<day>` a local day's breakdowns, compressed.
import { isDeepStrictEqual } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import { SUM_NAMES, type DimensionName, type Sums } from './metrics.ts';
import type { ResultRow, StoreItem } from './ports.ts';
import type { Hour } from './hour.ts';
import { Sketch } from './sketch.ts';
import type { LocalDay } from './zone.ts';

export const hourKey = (hour: Hour): string => `H#${hour}`;
export const dayKey = (day: LocalDay): string => `D#${day}`;
export const breakdownKey = (day: LocalDay): string => `B#${day}`;

/** Sums and visitors of a stretch of time; the sketch as its bytes, since not every read asks for visitors. */
export interface Bucket { sums: Sums; sketch: Uint8Array }
/** A quarter's bucket; `quarter` is epoch ms ÷ 900,000. */
export interface QuarterBucket extends Bucket { quarter: number }

/** Sums from numbers in the order of SUM_NAMES, without the zeros; those that are missing are 0. */
function sumsOf(numbers: readonly unknown[]): Sums {
  const sums: Sums = {};
  SUM_NAMES.forEach((name, i) => {
    const value = Number(numbers[i] ?? 0);
    if (value !== 0) sums[name] = value;
  });
  return sums;
}

function sketchOf(entries: unknown): Uint8Array {
  return Sketch.of((entries ?? []) as Iterable<number>).bytes();
}

/**
 * Between the fields of a text of `sql/days.sql`: the dimension, the value, and the sums in the order of SUM_NAMES, of which
 * the last ones may be left out where they are 0 (`sql/day_items.sql`); and of a text of `sql/hour_items.sql`: the quarter, and the sums.
 */
export const SEPARATOR = '\u001f';

/** The item of a row of `sql/hour_items.sql`. A site that vanished from the hour gets an item without quarters. */
export function hourItem(hour: Hour, run: string, row: ResultRow): StoreItem {
  const quarters = (row.quarters as string[]).filter((text) => text !== '').map((text) => text.split(SEPARATOR));
  return {
    pk: String(row.site_id),
    sk: hourKey(hour),
    run,
    quarters: quarters.map(([quarter]) => Number(quarter)),
    sums: quarters.map(([, ...numbers]) => sumsOf(numbers)),
    sketches: quarters.map((_, i) => sketchOf((row.sketches as unknown[])[i])),
  };
}

/** The two items of a row of `sql/days.sql`. */
export function dayItems(day: LocalDay, run: string, row: ResultRow): StoreItem[] {
  const pk = String(row.site_id);
  const breakdowns = new Map<string, string[]>();
  let total: Sums = {};
  for (const text of (row.sums ?? []) as string[]) {
    const afterDimension = text.indexOf(SEPARATOR);
    const afterValue = text.indexOf(SEPARATOR, afterDimension + 1);
    const [dimension, value] = [text.slice(0, afterDimension), text.slice(afterDimension + 1, afterValue)];
    if (dimension === '') {
      total = sumsOf(text.slice(afterValue + 1).split(SEPARATOR));
      continue;
    }
    const values = breakdowns.get(dimension);
    const line = `[${JSON.stringify(value)},{${sumsJson(text, afterValue)}}]`;
    if (values) values.push(line);
    else breakdowns.set(dimension, [line]);
  }
  const lines = Array.from(breakdowns, ([dimension, values]) => `\n["${dimension}",[${values.join()}]]`);
  return [
    { pk, sk: dayKey(day), run, sums: total, sketch: sketchOf(row.sketch) },
    { pk, sk: breakdownKey(day), run, gzip: gzipSync(lines.join(''), { level: 1 }) },
  ];
}

const SUMS_JSON = SUM_NAMES.map((name) => `"${name}":`);
const ZERO = '0'.charCodeAt(0);

/**
 * The sums of a text as JSON, without the braces. A day of all sites has some ten million of them: objects that are written
 * out cost twice as much, and texts that are split a third more.
 * @param from where the separator before the first sum is
 */
function sumsJson(text: string, from: number): string {
  let json = '';
  for (let i = 0, at = from; at !== -1 && at < text.length; i++) {
    const start = at + 1;
    if (text.charCodeAt(start) === ZERO) {
      at = start + 1;
      continue;
    }
    at = text.indexOf(SEPARATOR, start);
    json += `${json === '' ? '' : ','}${SUMS_JSON[i]}${at === -1 ? text.slice(start) : text.slice(start, at)}`;
  }
  return json;
}

/** Whether two items hold the same, whatever runs they name and whatever order and bytes their values are written in. */
export function isSame(a: StoreItem, b: StoreItem | undefined): boolean {
  // Cloned, bytes are bytes, whatever class of them a store gives.
  const content = (item: StoreItem) => structuredClone({ ...item, run: '', gzip: item.gzip ? breakdownsOf(item) : undefined });
  return b !== undefined && isDeepStrictEqual(content(a), content(b));
}

export function quartersOf(item: StoreItem): QuarterBucket[] {
  const { quarters, sums, sketches } = item as unknown as { quarters: number[]; sums: Sums[]; sketches: Uint8Array[] };
  return quarters.map((quarter, i) => ({ quarter, sums: sums[i]!, sketch: sketches[i]! }));
}

export function dayOf(item: StoreItem): Bucket {
  return { sums: item.sums as Sums, sketch: item.sketch as Uint8Array };
}

type Line = [dimension: string, values: [value: string, sums: Sums][]];

/**
 * The sums of each value of one dimension; none where the day has nothing of it. Each dimension is a line, such as
 * `["page",[["/",{…}],…]]`: JSON has no line breaks in its texts, so a line is found by how it begins, whatever clients
 * sent, and the 19 that are not asked for are never parsed.
 */
export function valuesOf(item: StoreItem, dimension: DimensionName): Line[1] {
  const lines = gunzipSync(item.gzip as Uint8Array);
  if (isObject(lines)) return (JSON.parse(lines.toString()) as Record<string, Line[1]>)[dimension] ?? [];
  const start = lines.indexOf(`\n["${dimension}",`);
  if (start === -1) return [];
  const end = lines.indexOf('\n', start + 1);
  return (JSON.parse(lines.toString('utf8', start, end === -1 ? lines.length : end)) as Line)[1];
}

/** Items that were written before there were lines are one object, by dimension. */
function isObject(lines: Buffer): boolean {
  return lines[0] === '{'.charCodeAt(0);
}

/** All dimensions, each with its values by name. */
function breakdownsOf(item: StoreItem): Record<string, Map<string, Sums>> {
  const lines = gunzipSync(item.gzip as Uint8Array);
  const all = isObject(lines)
    ? Object.entries(JSON.parse(lines.toString()) as Record<string, Line[1]>)
    : lines.toString().split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Line);
  return Object.fromEntries(all.map(([dimension, values]) => [dimension, new Map(values)]));
}
