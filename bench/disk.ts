// What a data folder takes on the disk, and what has been delivered into its lake. before: bench/pipeline.ts
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { connected, sqlFiles } from './engine.ts';

const BLOCK_BYTES = 512;

/** Paths of all files in a folder and those in it; none where there is no such folder. */
async function filesIn(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Bytes that a folder of files takes on the disk; those removed meanwhile take none. */
async function bytesOf(folder: string): Promise<number> {
  const sizes = await Promise.all((await filesIn(folder)).map((file) => stat(file).then(({ blocks }) => blocks * BLOCK_BYTES, () => 0)));
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

/** The parts of a data folder, each with its bytes on the disk. */
export async function partsOf(data: string): Promise<Record<'stream' | 'raw' | 'events' | 'hours' | 'store', number>> {
  const [stream, raw, events, hours, store] = await Promise.all(['stream', 'lake/raw', 'lake/events', 'lake/hours', 'store'].map((part) => bytesOf(join(data, part))));
  return { stream: stream!, raw: raw!, events: events!, hours: hours!, store: store! };
}

/** The files that hold what has been delivered so far. */
export function deliveredFiles(data: string): Promise<string[]> {
  return filesIn(join(data, 'lake', 'events'));
}

/** The events in files of the lake, each time they were delivered. An event's items are rows of their own, and left out. */
export async function eventsIn(files: readonly string[]): Promise<number> {
  if (files.length === 0) return 0;
  return connected(async (connection) => {
    const counted = await connection.runAndReadAll(`select count(*) from ${sqlFiles(files)} where product_id is null`);
    return Number(counted.getRows()[0]![0]);
  });
}
