// The delivery loop: takes records from the log, transforms them, writes Parquet, announces the hours, and only then
// moves the checkpoint. A crash in between delivers twice, and the rollup counts once.
// before: local/stream.ts; next: local/rollup.ts
import { basename, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { isReplay } from '../core/collect.ts';
import { transform, type TransformPorts } from '../core/deliver.ts';
import { hourOf, partitionOf, partitionPath, type Hour } from '../core/hour.ts';
import { GrowingFile, filesIn, moveIntoPlace, removeAll } from './files.ts';
import type { LocalLake } from './lake.ts';
import type { Log, LogRecord } from './stream.ts';
import type { TaskQueue } from './tasks.ts';

/** Records, and about as many characters, of one round; they become one file an hour, so rounds should not be small. */
const ROUND = { records: 100_000, chars: 64_000_000 };
/** Records, and about as many characters, transformed at once; so many more are held, on their way to the files. */
const SLICE = { records: 1_000, chars: 4_000_000 };

const compress = promisify<string, { level: number }, Buffer>(gzip);

export interface DeliverPorts extends TransformPorts {
  log: Log;
  lake: LocalLake;
  tasks: Pick<TaskQueue, 'announce'>;
  lakeFolder: string;
  temporary: string;
  /** News for the operator, a line each. */
  report: (line: string) => void;
}

/** The files of one round, on their way. */
interface Round {
  /** The records as they came, for a replay: a gzip for each slice. Of a replayed record the first copy is kept, and no longer than its time. */
  raw: GrowingFile;
  /** Records that could not become rows, and why. */
  failed: GrowingFile;
  rows: Map<Hour, GrowingFile>;
  /** Hours that got rows, of records received now and of replayed ones. */
  received: Set<Hour>;
  replayed: Set<Hour>;
  failures: number;
}

/** Delivers what the log holds now, at most one round; resolves to whether the round was full. */
export async function deliverRound(ports: DeliverPorts): Promise<boolean> {
  const { log, temporary } = ports;
  // The same names each time: a round that failed leaves no more than one.
  const aside = join(temporary, 'deliver');
  const round: Round = {
    raw: new GrowingFile(`${aside}.raw`), failed: new GrowingFile(`${aside}.failed`), rows: new Map(), received: new Set(), replayed: new Set(), failures: 0,
  };
  // What a slice brings is written while the next one is transformed: beside much else each write waits for its turn.
  let writing = Promise.resolve();
  try {
    let last: number | undefined;
    let left = ROUND;
    while (left.records > 0 && left.chars > 0) {
      const slice = log.read(Math.min(left.records, SLICE.records), Math.min(left.chars, SLICE.chars), last);
      if (slice.length === 0) break;
      last = slice.at(-1)!.position;
      left = { records: left.records - slice.length, chars: left.chars - charsOf(slice) };
      const texts = await transformSlice(slice, round, ports);
      await writing;
      writing = writeSlice(slice, texts, round, aside);
      // Whether it was written is asked once, when the next slice has come so far.
      writing.catch(() => undefined);
      await nextTurn();
    }
    if (last === undefined) return false;
    await writing;
    await finish(round, String(last).padStart(16, '0'), ports);
    await log.checkpoint(last);
    return log.oldest() !== undefined && (left.records <= 0 || left.chars <= 0);
  } finally {
    await writing.catch(() => undefined);
    await Promise.all([round.raw, round.failed, ...round.rows.values()].map((file) => file.close()));
  }
}

/** What a slice brings: lines for the files of hours, and of records that could not become rows. */
interface Texts { rows: Map<Hour, string[]>; failures: string[] }

async function transformSlice(slice: readonly LogRecord[], round: Round, ports: DeliverPorts): Promise<Texts> {
  const failures: string[] = [];
  const rows = new Map<Hour, string[]>();
  const delivered = await transform(slice.map(({ data }) => data), ports);
  delivered.forEach((result, i) => {
    const { data } = slice[i]!;
    if (result.kind === 'failed') {
      failures.push(JSON.stringify({ error: result.message, failed_at: ports.clock(), record: data }));
      return;
    }
    if (result.rows.length === 0) return;
    const { dt, hr } = result.partition;
    const hour: Hour = `${dt}T${hr}`;
    (isReplay(data) ? round.replayed : round.received).add(hour);
    const before = rows.get(hour);
    if (before) before.push(...result.rows);
    else rows.set(hour, [...result.rows]);
  });
  round.failures += failures.length;
  return { rows, failures };
}

async function writeSlice(slice: readonly LogRecord[], { rows, failures }: Texts, round: Round, aside: string): Promise<void> {
  const appends = [keepRaw(slice, round)];
  if (failures.length > 0) appends.push(round.failed.append(`${failures.join('\n')}\n`));
  for (const [hour, lines] of rows) {
    const file = round.rows.get(hour) ?? new GrowingFile(`${aside}.${hour.replace('T', '.')}`);
    round.rows.set(hour, file);
    appends.push(file.append(`${lines.join('\n')}\n`));
  }
  const outcomes = await Promise.allSettled(appends);
  // Only when none of them runs any more: the files are closed then.
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** What is not well-formed Unicode is no JSON and goes to `failed/` anyway. */
async function keepRaw(slice: readonly LogRecord[], { raw }: Round): Promise<void> {
  const kept = slice.filter(({ data }) => !isReplay(data)).map(({ data }) => `${data}\n`);
  if (kept.length > 0) await raw.append(await compress(kept.join(''), { level: 2 }));
}

/** Brings what a round made to its places, and announces the hours. */
async function finish({ raw, failed, rows, received, replayed, failures }: Round, name: string, { lake, tasks, lakeFolder, clock, report }: DeliverPorts): Promise<void> {
  const arrived = partitionPath(partitionOf(hourOf(clock())));
  if (raw.exists) await place(raw, join(lakeFolder, 'raw', arrived, `${name}.ndjson.gz`));
  if (failed.exists) {
    const file = join(lakeFolder, 'failed', arrived, `${name}.ndjson`);
    await place(failed, file);
    report(`${failures} records could not become rows; they and the reasons are in ${file}`);
  }
  for (const [hour, lines] of rows) {
    await lines.close();
    // The time in the name keeps a second delivery of the same records from replacing the first's file half-way.
    await lake.addEvents(lines.path, partitionOf(hour), `${name}-${clock()}`);
  }
  if (rows.size === 0) return;
  await tasks.announce([...received]);
  await tasks.announce([...replayed].filter((hour) => !received.has(hour)), true);
}

async function place(file: GrowingFile, to: string): Promise<void> {
  await file.close();
  await moveIntoPlace(file.path, to);
}

function charsOf(records: readonly LogRecord[]): number {
  return records.reduce((chars, { data }) => chars + data.length, 0);
}

/** Removes what arrived before a day (YYYY-MM-DD) and is kept as it came, with addresses: raw records, and those that could not become rows. */
export async function removeRecordsBefore(day: string, lakeFolder: string): Promise<void> {
  for (const kept of ['raw', 'failed']) {
    for (const folder of await filesIn(join(lakeFolder, kept), '')) {
      if (basename(folder) < `dt=${day}`) await removeAll(folder);
    }
  }
}
