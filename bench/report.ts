// What a measurement is, and how it is printed.
import type { Row as GrowthRow } from './growth.ts';
import type { Row as PipelineRow } from './pipeline.ts';

/** A part of a stage that can be measured alone. */
export type Row = PipelineRow | GrowthRow;

/** How a stage is to be measured. */
export interface BenchOptions {
  /** Smaller and shorter, so that the whole run takes no more than two minutes. */
  quick: boolean;
  /** Of the pipeline: how long a load goes on, s, and events a second of it. */
  seconds?: number;
  rate?: number;
  /** The rows that are measured of a stage that has some of them. */
  rows?: readonly Row[];
}

/** One number, with what it could be at best on this machine and what DESIGN §8 asks for. */
export interface Measurement {
  what: string;
  /** Null where it could not be measured; `note` then says why. */
  value: number | null;
  unit: string;
  /** The physical limit in the same unit, measured in the same run: the same bytes with nothing done to them. */
  limit?: number;
  target?: { atLeast: number } | { atMost: number };
  /** Circumstances that the number cannot be read without. */
  note?: string;
}

/** The rows of a stage that are asked for; where none of them is, the `usual` ones. */
export function rowsOf<T extends Row>(own: readonly T[], asked: readonly Row[] = [], usual = own): readonly T[] {
  const some = own.filter((row) => asked.includes(row));
  return some.length > 0 ? some : usual;
}

/** A number as notes have it, `12,345`. */
export function count(n: number): string {
  return n.toLocaleString('en-US');
}

/** Whether the target was met; undefined where there is none. What could not be measured meets nothing. */
export function met({ value, target }: Measurement): boolean | undefined {
  if (target === undefined) return undefined;
  if (value === null) return false;
  return 'atLeast' in target ? value >= target.atLeast : value <= target.atMost;
}

/** A number in as many digits as say something: 1,234 · 56.7 · 1.23 */
function shown(value: number): string {
  const digits = Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** How often the limit goes into the value, or the value into the limit: what is left of a number when the machine's part is taken out. */
function ratioOf({ value, limit }: Pick<Measurement, 'value' | 'limit'>): number | undefined {
  return value === null || limit === undefined || limit === 0 ? undefined : value / limit;
}

/** The ratio of an earlier run, and how far it is from there to this one's. */
function sinceThen(ratio: number | undefined, before: number | undefined): string {
  if (ratio === undefined || before === undefined) return '';
  const percent = Math.round(100 * (ratio / before - 1));
  return `${shown(before)} × ${percent < 0 ? '−' : '+'}${Math.abs(percent)} %`;
}

function line(measurement: Measurement, note: number | undefined, earlier: readonly Measurement[]): string[] {
  const { what, value, unit, limit, target } = measurement;
  const fine = met(measurement);
  const ratio = ratioOf(measurement);
  const before = earlier.find((one) => one.what === what);
  return [
    note === undefined ? what : `${what} [${note}]`,
    value === null ? 'failed' : `${shown(value)} ${unit}`,
    limit === undefined ? '' : `${shown(limit)} ${unit}`,
    ratio === undefined ? '' : `${shown(ratio)} ×`,
    sinceThen(ratio, before && ratioOf(before)),
    target === undefined ? '' : 'atLeast' in target ? `≥ ${shown(target.atLeast)}` : `≤ ${shown(target.atMost)}`,
    fine === undefined ? '' : fine ? 'met' : 'MISSED',
  ];
}

const HEADINGS = ['', 'measured', 'limit', 'ratio', 'before', 'target', ''];

/** The table of a stage as text; `limit` says what the limit column is, `earlier` is what an earlier run measured. */
export function table(stage: string, limit: string, measurements: readonly Measurement[], earlier: readonly Measurement[] = []): string {
  const notes: string[] = [];
  const lines = measurements.map((measurement) => line(measurement, measurement.note === undefined ? undefined : notes.push(measurement.note), earlier));
  const all = [[stage, ...HEADINGS.slice(1)], ...lines];
  if (earlier.length === 0) for (const cells of all) cells.splice(HEADINGS.indexOf('before'), 1);
  const widths = all[0]!.map((_, column) => Math.max(...all.map((cells) => cells[column]!.length)));
  const padded = all.map((cells) => cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join('   ').trimEnd());
  const rule = '─'.repeat(Math.max(...padded.map(({ length }) => length)));
  const remarks = [`limit: ${limit}`, ...notes.map((note, i) => `[${i + 1}] ${note}`)];
  return [padded[0]!, rule, ...padded.slice(1), '', ...remarks.map((remark) => `  ${remark}`), ''].join('\n');
}

/** The value that `share` (0 to 1) of the values do not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** Seconds since a moment of `performance.now()`. */
export function secondsSince(began: number): number {
  return (performance.now() - began) / 1000;
}
