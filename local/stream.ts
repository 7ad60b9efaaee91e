// The Stream on one machine: an append-only log in LMDB, read by the delivery loop from its checkpoint on.
import { setTimeout as pause } from 'node:timers/promises';
import type { Database, RootDatabase } from 'lmdb';
import { StreamUnavailable, type Clock, type Stream } from '../core/ports.ts';
import { durably } from './lmdb.ts';

/**
 * A record of the log. Positions ascend, with gaps: they are the time of the putting in thousandths of a millisecond, or
 * just above the last one.
 */
export interface LogRecord { position: number; data: string }

/** When a record was put (epoch ms; a little later at more than a million a second). */
export function putAt({ position }: Pick<LogRecord, 'position'>): number {
  return Math.floor(position / PER_MS);
}

const PER_MS = 1000;

/** Records that are committed together. */
interface Batch { records: LogRecord[]; committed: Promise<void> }

export interface Log extends Stream {
  /** At most `limit` records, and about `maxChars` characters, after a position; after the checkpoint where none is given. */
  read(limit: number, maxChars: number, after?: number): LogRecord[];
  /** Forgets the records up to a position: they have been delivered. */
  checkpoint(position: number): Promise<void>;
  /** The oldest record that has not been delivered. */
  oldest(): LogRecord | undefined;
  /** The position of the first record that is on its way to the disk, of those put here. */
  firstUnderWay(): number | undefined;
  /**
   * When the oldest record was put (epoch ms) that has not been delivered, or is not on disk yet; undefined where there is none.
   * @param underWay `firstUnderWay` of the log of the process that puts, asked before this, where that is another one
   */
  undeliveredSince(underWay?: number): number | undefined;
}

const CHECKPOINT = 'checkpoint';
/**
 * Commits begin so far apart, ms, unless none was just before: at 11,600 records a second a commit for each few of them took
 * 25 µs of processor time a record, and wrote 6 KB; one for all of ten milliseconds takes 5, and writes less than 2.
 */
const COMMIT_EVERY_MS = 10;
/** Few enough that whoever puts meanwhile hardly waits for the commit. */
const REMOVED_AT_ONCE = 2_000;

/**
 * Opens the log. One process puts and forgets, so that records are on disk in the order of their positions; another one may read.
 * @param report is told when the log stops taking records, and when it takes them again
 */
export function lmdbLog(environment: RootDatabase, clock: Clock, report: (line: string) => void): Log {
  const records: Database<string, number> = environment.openDB({ name: 'records', encoding: 'string' });
  const positions: Database<number, string> = environment.openDB({ name: 'positions', encoding: 'msgpack' });
  const delivered = () => positions.get(CHECKPOINT) ?? 0;
  const [last] = records.getKeys({ reverse: true, limit: 1 });
  let next = Math.max(last ?? 0, delivered()) + 1;
  let failing = false;
  /** What waits for the next commit, and what is being committed: no two commits run at once. */
  let gathering: Batch | undefined;
  let committing: Batch | undefined;
  let began = -Infinity;
  const firstUnderWay = () => (committing ?? gathering)?.records[0]!.position;

  /** Commits what has been gathered when those before it are on disk, and their commit began long enough ago. */
  async function commit(before: Promise<void> | undefined): Promise<void> {
    await before?.catch(() => undefined);
    const wait = began + COMMIT_EVERY_MS - performance.now();
    if (wait > 0) await pause(wait);
    began = performance.now();
    committing = gathering!;
    gathering = undefined;
    try {
      await durably(environment, committing.records.map(({ position, data }) => records.put(position, data)));
      if (failing) report('The log takes records again.');
      failing = false;
    } catch (error) {
      if (!failing) report(`The log takes no records (${(error as Error).message}); until it does, senders are told 503, to send them again.`);
      failing = true;
      throw new StreamUnavailable(`the log takes no records: ${(error as Error).message}`, { cause: error });
    } finally {
      committing = undefined;
    }
  }

  const recordsAfter = function* (position: number, limit: number): Iterable<LogRecord> {
    for (const { key, value } of records.getRange({ start: position + 1, limit })) yield { position: key, data: value };
  };
  const oldest = () => [...recordsAfter(delivered(), 1)][0];

  return {
    async put(data) {
      if (data.length === 0) return;
      next = Math.max(next, clock() * PER_MS);
      // Made before the commit that takes it is called, which finds it when those before are through.
      const batch = gathering ?? { records: [], committed: Promise.resolve() };
      for (const record of data) batch.records.push({ position: next++, data: record });
      if (!gathering) {
        gathering = batch;
        batch.committed = commit(committing?.committed);
      }
      await batch.committed;
    },
    read(limit, maxChars, after) {
      const read: LogRecord[] = [];
      let chars = 0;
      for (const record of recordsAfter(after ?? delivered(), limit)) {
        read.push(record);
        chars += record.data.length;
        if (chars >= maxChars) break;
      }
      return read;
    },
    async checkpoint(position) {
      // The checkpoint alone decides what is read; the records before it are only in the way.
      await durably(environment, [positions.put(CHECKPOINT, position)]);
      for (;;) {
        const keys = [...records.getKeys({ end: position + 1, limit: REMOVED_AT_ONCE })];
        if (keys.length === 0) return;
        await durably(environment, keys.map((key) => records.remove(key)));
      }
    },
    oldest,
    firstUnderWay,
    undeliveredSince(first = firstUnderWay()) {
      // With a look at the disk of now: what has arrived there meanwhile is under way no longer.
      environment.resetReadTxn();
      const positions = [oldest()?.position, first].filter((position) => position !== undefined);
      return positions.length === 0 ? undefined : putAt({ position: Math.min(...positions) });
    },
  };
}
