// The delivery loop: takes records from the log, transforms them, writes Parquet, announces the hours, and only then
// moves the checkpoint. A crash in between delivers twice, and the rollup counts once.
// before: local/stream.ts; next: local/rollup.ts
import { basename, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { isReplay } from '../core/collect.ts';
import { transform, type TransformPorts } from '../core/deliver.ts';
import { rowLine } from '../core/deliver/row.ts';
import { hourOf, partitionOf, partitionPath, type Hour } from '../core/hour.ts';
import { overlapping } from '../core/overlap.ts';
import { GrowingFile, filesIn, moveIntoPlace, removeAll } from './files.ts';
import type { LocalLake } from './lake.ts';
import type { Log, LogRecord } from './stream.ts';
import type { TaskQueue } from './tasks.ts';

/** So many records, and about so many characters. */
interface Size { records: number; chars: number }

/** Of one round; it becomes one file an hour, so rounds should not be small. */
const ROUND: Size = { records: 100_000, chars: 64_000_000 };
/** Of what is transformed at once; as much again is held, on its way to the files. */
const SLICE: Size = { records: 1_000, chars: 4_000_000 };

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

/** What one round makes of its records: files, each with the hour or the kind of its lines, on their way to their places. */
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
  /** The position of its last record; absent where there was none. */
  last?: number;
  /** Whether it ended because it was long enough, and not because the log had no more. */
  full: boolean;
}

/**
 * Delivers what the log holds now, round by round. While the files of one get to their places the next is transformed; they
 * get there in the order of the log. What ends in between costs at most two rounds, which are then delivered again.
 * @param delivered is told, when a round is in the lake, when it began (epoch ms)
 * @param size of a round
 */
export async function deliver(ports: DeliverPorts, delivered: (began: number) => Promise<void> = async () => undefined, size = ROUND): Promise<void> {
  await overlapping(async (begin) => {
    let after: number | undefined;
    for (let count = 0, more = true; more; count++) {
      const began = ports.clock();
      // The same two names over and over: rounds that failed leave no more than these.
      const round = await transformRound(after, size, join(ports.temporary, `deliver-${count % 2}`), ports);
      await begin(async () => {
        await finish(round, ports);
        await delivered(began);
      });
      after = round.last;
      more = round.full;
    }
  });
}

/**
 * Transforms the records of one round, and writes its files.
 * @param after the position of the last record before it; absent: the checkpoint
 * @param aside how the names of the files begin
 */
async function transformRound(after: number | undefined, size: Size, aside: string, ports: DeliverPorts): Promise<Round> {
  const { log } = ports;
  const round: Round = {
    raw: new GrowingFile(`${aside}.raw`), failed: new GrowingFile(`${aside}.failed`), rows: new Map(), received: new Set(), replayed: new Set(), failures: 0, full: false,
  };
  try {
    // What a slice brings is written while the next one is transformed: beside much else each write waits for its turn.
    await overlapping(async (begin) => {
      let left = size;
      while (!round.full) {
        const slice = log.read(Math.min(left.records, SLICE.records), Math.min(left.chars, SLICE.chars), round.last ?? after);
        if (slice.length === 0) break;
        round.last = slice.at(-1)!.position;
        left = { records: left.records - slice.length, chars: left.chars - charsOf(slice) };
        round.full = left.records <= 0 || left.chars <= 0;
        const texts = await transformSlice(slice, round, ports);
        await begin(() => writeSlice(slice, texts, round, aside));
        await nextTurn();
      }
    });
    return round;
  } finally {
    await Promise.all([round.raw, round.failed, ...round.rows.values()].map((file) => file.close()));
  }
}

/** What a slice brings: lines for the files of hours, and of records that could not become rows. */
interface Texts { rows: Map<Hour, string[]>; failures: string[] }

async function transformSlice(slice: readonly LogRecord[], round: Round, ports: DeliverPorts): Promise<Texts> {
  const failures: string[] = [];
  const rows = new Map<Hour, string[]>();
  const delivered = await transform(slice.map(({ data }) => data), ports, rowLine);
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

/** Brings what a round made to its places, announces the hours, and moves the checkpoint. */
async function finish({ raw, failed, rows, received, replayed, failures, last }: Round, { log, lake, tasks, lakeFolder, clock, report }: DeliverPorts): Promise<void> {
  if (last === undefined) return;
  const name = String(last).padStart(16, '0');
  const arrived = partitionPath(partitionOf(hourOf(clock())));
  if (raw.exists) await moveIntoPlace(raw.path, join(lakeFolder, 'raw', arrived, `${name}.ndjson.gz`));
  if (failed.exists) {
    const file = join(lakeFolder, 'failed', arrived, `${name}.ndjson`);
    await moveIntoPlace(failed.path, file);
    report(`${failures} records could not become rows; they and the reasons are in ${file}`);
  }
  for (const [hour, lines] of rows) {
    // The time in the name keeps a second delivery of the same records from replacing the first's file half-way.
    await lake.addEvents(lines.path, partitionOf(hour), `${name}-${clock()}`);
  }
  if (rows.size > 0) {
    await tasks.announce([...received]);
    await tasks.announce([...replayed].filter((hour) => !received.has(hour)), true);
  }
  await log.checkpoint(last);
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
