// An hour that only grew is counted by difference: what the added files touch is taken out of the committed run as it was, and
// put back as it is now. Visits are of one visitor, copies of one key, and all else of one row; so the statements that count
// an hour count the events of a few visitors and keys, once without what was added and once with it.
// before: core/rollup.ts, which counts the hour whole where this does not; next: core/rollup.ts again, with the same run either way
import { gunzipSync, gzipSync } from 'node:zlib';
import { withHourBefore, type Hour } from './hour.ts';
import type { EventFile, Lake, Query, Store } from './ports.ts';
import { EXACT } from './sketch.ts';

/** When counting by difference costs less than counting whole, by the bytes of an hour and of the one before it. */
export interface Pays {
  /** So many bytes there have to be. */
  from: number;
  /** The part of them that may have been added, 0 to 1. */
  added: number;
}

/** The files of an hour and the one before it: those the committed run was counted from, and those that were added since. */
export interface Growth { before: string[]; added: string[] }

/** What counting by difference has to know; `queries` are those that count the hour, for a run of that name. */
export interface Asked {
  hour: Hour;
  run: string;
  committed: string;
  /** Runs that may have written items but did not get to their commit. */
  pending: readonly string[];
  growth: Growth;
  queries: (name: string) => readonly Query[];
  visitGapMs: number;
}

/** Notes what a run was counted from: these files, by these queries. Registry: `files` / run. */
export async function noteFiles(run: string, files: readonly EventFile[], by: string, registry: Store): Promise<void> {
  await registry.put([{ pk: 'files', sk: run, names: gzipSync(files.map(({ name }) => name).join('\n')), by }]);
}

/**
 * What was added since a run was counted; undefined where the hour is to be counted whole: of the run's files one is gone,
 * other queries counted it, or counting it whole costs no more.
 */
export async function growthSince(run: string, files: readonly EventFile[], by: string, pays: Pays, registry: Store): Promise<Growth | undefined> {
  const noted = await registry.get('files', run);
  if (noted?.by !== by) return undefined;
  const before = gunzipSync(noted.names as Uint8Array).toString().split('\n');
  const known = new Set(before);
  const added = files.filter(({ name }) => !known.has(name));
  if (files.length - added.length < known.size) return undefined;
  const [all, more] = [files, added].map((some) => some.reduce((sum, { bytes }) => sum + bytes, 0)) as [number, number];
  return all < pays.from || more > all * pays.added ? undefined : { before, added: added.map(({ name }) => name) };
}

/**
 * Counts an hour by difference: writes its run, and what that changes. Resolves to the parts of `changes/`; to undefined where
 * the hour has to be counted whole, as when a visitor is no longer among those of a quarter.
 */
export async function countByDifference({ hour, run, committed, pending, growth, queries, visitGapMs }: Asked, lake: Lake): Promise<string[] | undefined> {
  // As where a file was in its place before its hour was announced, and was counted in between.
  if (growth.added.length === 0 && pending.length === 0) return [];
  const [after, before] = [`${run}-after`, `${run}-before`];
  const { partitions: events, parameters: hours } = withHourBefore(hour);
  await lake.unload({ statement: 'copies', reads: { events, files: growth }, parameters: hours }, `copies/run=${run}`);
  await lake.unload({ statement: 'touched', reads: { events, files: growth, copies: [run] }, parameters: { ...hours, run, visit_gap_ms: visitGapMs } }, `touched/run=${run}`);
  const touched: string[] = [];
  for (const part of await lake.unload({ statement: 'touched_files', reads: { touched: [run] }, parameters: { run } }, `items/run=${run}`)) {
    for await (const { file } of lake.rows(part)) touched.push(growth.before[Number(file)]!);
  }
  const files = { before: touched, added: growth.added };
  await lake.unload({ statement: 'affected', reads: { events, files, touched: [run] }, parameters: { ...hours, run } }, `affected/run=${run}`);
  for (const [name, added] of [[after, true], [before, false]] as const) {
    for (const { statement, reads, parameters } of queries(name)) {
      await lake.unload({ statement, reads: { ...reads, affected: { run, added } }, parameters }, `${statement}/run=${name}`);
    }
  }
  const doubts: unknown[] = [];
  const counted = { copies: [run], hours: [after, before, committed] };
  const doubtful: Query = { statement: 'doubts', reads: { ...counted, steps: [after, before] }, parameters: { run, after, before, committed } };
  for (const part of await lake.unload(doubtful, `items/run=${run}`)) for await (const { doubt } of lake.rows(part)) doubts.push(doubt);
  if (doubts.length > 0) return undefined;
  await lake.unload({ statement: 'differences', reads: counted, parameters: { run, after, before, committed, exact_visitors: EXACT } }, `differences/run=${run}`);
  await lake.unload({ statement: 'grown', reads: { differences: [run], hours: [committed] }, parameters: { run, committed } }, `hours/run=${run}`);
  return lake.unload({ statement: 'difference_changes', reads: { differences: [run], changes: pending }, parameters: { run, pending } }, `changes/run=${run}`);
}

/** What a run of an hour adds to its local days: its difference, or all of its rows; absent where it took the place of another. */
export type Adds = 'differences' | 'hours';

/**
 * Events of a local day's hours from which its values are added up first, also where nothing is counted by difference. Only
 * for speed: the queries of a day of one hour with 2 million events of 20,000 sites took 12.9 s of processor time, and 9.5 s
 * so. Small days, such as an import has many of, are made at once: nothing is left behind for them.
 */
export const LARGE_DAY_EVENTS = 500_000;

/**
 * Adds up the values that dimensions have on a local day, if it is large or one of hours that are counted by difference: what
 * runs add goes to what there was. Resolves to the name of the run that has them. Registry: `day_values` / day.
 * @param owed what the day has not taken up
 * @param hours the committed runs of all its hours, for where there is nothing to add to
 * @param events of all these hours
 */
export async function addUpDay(
  day: string, run: string, owed: readonly { run: string; adds?: Adds }[], hours: readonly string[], events: number, { lake, registry }: { lake: Lake; registry: Store },
): Promise<string | undefined> {
  const by = lake.byFile?.statements;
  const noted = await registry.get('day_values', day);
  const known = noted?.by === by ? noted : undefined;
  if (by === undefined || (!known && events < LARGE_DAY_EVENTS && !owed.some(({ adds }) => adds === 'differences'))) return undefined;
  // What was added by a task that died after this is owed still.
  const left = owed.filter((one) => !(known?.added as string[] | undefined)?.includes(one.run));
  if (known && left.length === 0) return known.run as string;
  const adding = (what: Adds) => left.filter(({ adds }) => adds === what).map((one) => one.run);
  const [before, differences, rows] = known && left.every(({ adds }) => adds !== undefined)
    ? [[known.run as string], adding('differences'), adding('hours')]
    : [[], [], hours];
  const reads = { day_values: before, differences, hours: rows };
  await lake.unload({ statement: 'day_values', reads, parameters: { day, before, differences, hours: rows } }, `day_values/run=${run}`);
  await registry.put([{ pk: 'day_values', sk: day, run, added: owed.map((one) => one.run), by }]);
  return run;
}

/** Removes what a run by difference, however far it got, wrote on its way to its difference. */
export async function removeWays(run: string, lake: Pick<Lake, 'remove'>): Promise<void> {
  const ways = ['copies', 'touched', 'affected'].map((files) => `${files}/run=${run}`);
  const counted = ['steps', 'hours'].flatMap((files) => ['after', 'before'].map((name) => `${files}/run=${run}-${name}`));
  await Promise.all([...ways, ...counted].map((prefix) => lake.remove(prefix)));
}

/** Removes the differences that no local day has to add any more. */
export async function removeDifferences(runs: readonly string[], owed: ReadonlySet<string>, lake: Pick<Lake, 'remove'>): Promise<void> {
  await Promise.all(runs.filter((run) => !owed.has(run)).map((run) => lake.remove(`differences/run=${run}`)));
}
