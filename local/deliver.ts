// The delivery loop: takes records from the log, transforms them, writes Parquet, announces the hours, and only then
// moves the checkpoint. A crash in between delivers twice, and the rollup counts once.
// before: local/stream.ts; next: local/rollup.ts
import { createWriteStream } from 'node:fs';
import { basename, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { isReplay } from '../core/collect.ts';
import { transform, type TransformPorts } from '../core/deliver.ts';
import { hourOf, partitionOf, type Hour, type Partition } from '../core/hour.ts';
import { filesIn, removeAll, writeWhole } from './files.ts';
import type { LocalLake } from './lake.ts';
import type { Log, LogRecord } from './stream.ts';
import type { TaskQueue } from './tasks.ts';

/** Records, and about as many characters, of one round. */
const ROUND = { records: 20_000, chars: 32_000_000 };
/** Records transformed before the loop lets waiting requests have their turn. */
const SLICE = 250;

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

function hourPath({ dt, hr }: Partition): string {
  return join(`dt=${dt}`, `hr=${hr}`);
}

/** Delivers what the log holds now, at most one round; resolves to whether the round was full. */
export async function deliverRound(ports: DeliverPorts): Promise<boolean> {
  const { log, lake, tasks, lakeFolder, temporary } = ports;
  const records = log.read(ROUND.records, ROUND.chars);
  const last = records.at(-1);
  if (!last) return false;
  const name = String(last.position).padStart(16, '0');

  const received = new Set<Hour>();
  const replayed = new Set<Hour>();
  const lines: string[] = [];
  const failures: string[] = [];
  for (let i = 0; i < records.length; i += SLICE) {
    const slice = records.slice(i, i + SLICE);
    const delivered = await transform(slice.map(({ data }) => data), ports);
    delivered.forEach((result, j) => {
      if (result.kind === 'failed') {
        failures.push(JSON.stringify({ error: result.message, failed_at: ports.clock(), record: slice[j]!.data }));
        return;
      }
      const { dt, hr } = result.partition;
      for (const row of result.rows) lines.push(`${row.slice(0, -1)},"dt":"${dt}","hr":"${hr}"}\n`);
      if (result.rows.length > 0) (isReplay(slice[j]!.data) ? replayed : received).add(`${dt}T${hr}`);
    });
    await nextTurn();
  }

  const arrived = hourPath(partitionOf(hourOf(ports.clock())));
  const aside = join(temporary, `deliver-${name}`);
  // Of a replayed record the first copy is kept, and no longer than its time.
  const kept = records.filter(({ data }) => !isReplay(data));
  if (kept.length > 0) await keepRaw(kept, aside, join(lakeFolder, 'raw', arrived, `${name}.ndjson.gz`));
  if (failures.length > 0) {
    const failed = join(lakeFolder, 'failed', arrived, `${name}.ndjson`);
    await writeWhole(aside, failed, `${failures.join('\n')}\n`);
    ports.report(`${failures.length} records could not become rows; they and the reasons are in ${failed}`);
  }
  if (lines.length > 0) {
    const jsonLines = `${aside}.ndjson`;
    await pipeline(Readable.from(chunks(lines)), createWriteStream(jsonLines));
    // The time in the name keeps a second delivery of the same records from replacing the first's file half-way.
    await lake.addEvents(jsonLines, `${name}-${ports.clock()}`);
    await tasks.announce([...received]);
    await tasks.announce([...replayed].filter((hour) => !received.has(hour)), true);
  }
  await log.checkpoint(last.position);
  return log.oldest() !== undefined && (records.length === ROUND.records || charsOf(records) >= ROUND.chars);
}

function charsOf(records: readonly LogRecord[]): number {
  return records.reduce((chars, { data }) => chars + data.length, 0);
}

/** The records as they came, for a replay. What is not well-formed Unicode is no JSON and goes to `failed/` anyway. */
async function keepRaw(records: readonly LogRecord[], aside: string, to: string): Promise<void> {
  await writeWhole(aside, to, await compress(records.map(({ data }) => `${data}\n`).join(''), { level: 1 }));
}

function* chunks(lines: readonly string[]): Iterable<string> {
  for (let i = 0; i < lines.length; i += 1000) yield lines.slice(i, i + 1000).join('');
}

/** Removes what arrived before a day (YYYY-MM-DD) and is kept as it came, with addresses: raw records, and those that could not become rows. */
export async function removeRecordsBefore(day: string, lakeFolder: string): Promise<void> {
  for (const kept of ['raw', 'failed']) {
    for (const folder of await filesIn(join(lakeFolder, kept), '')) {
      if (basename(folder) < `dt=${day}`) await removeAll(folder);
    }
  }
}
