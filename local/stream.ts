// The Stream on one machine: an append-only log in LMDB, read by the delivery loop from its checkpoint on.
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

export interface Log extends Stream {
  /** At most `limit` records, and about `maxChars` characters, after the checkpoint. */
  read(limit: number, maxChars: number): LogRecord[];
  /** Forgets the records up to a position: they have been delivered. */
  checkpoint(position: number): Promise<void>;
  /** The oldest record that has not been delivered. */
  oldest(): LogRecord | undefined;
  /** When the oldest record was put (epoch ms) that has not been delivered, or is not on disk yet; undefined where there is none. */
  undeliveredSince(): number | undefined;
}

const CHECKPOINT = 'checkpoint';

/** @param report is told when the log stops taking records, and when it takes them again */
export function lmdbLog(environment: RootDatabase, clock: Clock, report: (line: string) => void): Log {
  const records: Database<string, number> = environment.openDB({ name: 'records', encoding: 'string' });
  const positions: Database<number, string> = environment.openDB({ name: 'positions', encoding: 'msgpack' });
  const delivered = () => positions.get(CHECKPOINT) ?? 0;
  const [last] = records.getKeys({ reverse: true, limit: 1 });
  let next = Math.max(last ?? 0, delivered()) + 1;
  let failing = false;
  /** First positions of what is on its way to the disk. */
  const underWay = new Set<number>();

  const after = function* (limit: number): Iterable<LogRecord> {
    for (const { key, value } of records.getRange({ start: delivered() + 1, limit })) yield { position: key, data: value };
  };
  const oldest = () => [...after(1)][0];

  return {
    async put(data) {
      if (data.length === 0) return;
      next = Math.max(next, clock() * PER_MS);
      const first = next;
      underWay.add(first);
      try {
        await durably(environment, data.map((record) => records.put(next++, record)));
        if (failing) report('The log takes records again.');
        failing = false;
      } catch (error) {
        if (!failing) report(`The log takes no records (${(error as Error).message}); until it does, senders are told 503, to send them again.`);
        failing = true;
        throw new StreamUnavailable(`the log takes no records: ${(error as Error).message}`, { cause: error });
      } finally {
        underWay.delete(first);
      }
    },
    read(limit, maxChars) {
      const read: LogRecord[] = [];
      let chars = 0;
      for (const record of after(limit)) {
        read.push(record);
        chars += record.data.length;
        if (chars >= maxChars) break;
      }
      return read;
    },
    async checkpoint(position) {
      // The checkpoint alone decides what is read; the records before it are only in the way.
      await durably(environment, [positions.put(CHECKPOINT, position)]);
      await durably(environment, [...records.getKeys({ end: position + 1 })].map((key) => records.remove(key)));
    },
    oldest,
    undeliveredSince() {
      // They are in ascending order, since they were added in it.
      const [first] = underWay;
      const positions = [oldest()?.position, first].filter((position) => position !== undefined);
      return positions.length === 0 ? undefined : putAt({ position: Math.min(...positions) });
    },
  };
}
