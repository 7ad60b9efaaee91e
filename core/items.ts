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

/** Sums from numbers in the order of SUM_NAMES, without the zeros. */
function sumsOf(numbers: readonly unknown[]): Sums {
  const sums: Sums = {};
  SUM_NAMES.forEach((name, i) => {
    const value = Number(numbers[i]);
    if (value !== 0) sums[name] = value;
  });
  return sums;
}

function sketchOf(entries: unknown): Uint8Array {
  return Sketch.of((entries ?? []) as Iterable<number>).bytes();
}

/** The item of a row of `sql/hour_items.sql`. A site that vanished from the hour gets an item without quarters. */
export function hourItem(hour: Hour, run: string, row: ResultRow): StoreItem {
  const quarters = (row.quarter as unknown[]).filter((quarter) => quarter !== null).map(Number);
  return {
    pk: String(row.site_id),
    sk: hourKey(hour),
    run,
    quarters,
    sums: quarters.map((_, i) => sumsOf(SUM_NAMES.map((name) => (row[name] as unknown[])[i]))),
    sketches: quarters.map((_, i) => sketchOf((row.sketch as unknown[])[i])),
  };
}

/** Between the fields of a text of `sql/days.sql`: the dimension, the value, and the sums in the order of SUM_NAMES. */
export const SEPARATOR = '\u001f';

/** The two items of a row of `sql/days.sql`. */
export function dayItems(day: LocalDay, run: string, row: ResultRow): StoreItem[] {
  const pk = String(row.site_id);
  const breakdowns = new Map<string, string[]>();
  let total: Sums = {};
  for (const text of (row.sums ?? []) as string[]) {
    const [dimension = '', value = '', ...numbers] = text.split(SEPARATOR);
    if (dimension === '') {
      total = sumsOf(numbers);
      continue;
    }
    const values = breakdowns.get(dimension);
    const line = `[${JSON.stringify(value)},{${sumsJson(numbers)}}]`;
    if (values) values.push(line);
    else breakdowns.set(dimension, [line]);
  }
  const lines = Array.from(breakdowns, ([dimension, values]) => `\n["${dimension}",[${values.join()}]]`);
  return [
    { pk, sk: dayKey(day), run, sums: total, sketch: sketchOf(row.sketch) },
    { pk, sk: breakdownKey(day), run, gzip: gzipSync(lines.join(''), { level: 1 }) },
  ];
}

/** As JSON, without the braces. A day of all sites has some ten million of them: objects that are written out cost twice as much. */
function sumsJson(numbers: readonly string[]): string {
  let json = '';
  for (let i = 0; i < SUM_NAMES.length; i++) {
    if (numbers[i] !== '0') json += `${json === '' ? '' : ','}"${SUM_NAMES[i]}":${numbers[i]}`;
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
