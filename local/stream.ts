// The Stream on one machine: an append-only log in LMDB, read by the delivery loop from its checkpoint on.
import type { Database, RootDatabase } from 'lmdb';
import { StreamUnavailable, type Stream } from '../core/ports.ts';
import { durably } from './lmdb.ts';

/** A record of the log; positions ascend, with gaps allowed. */
export interface LogRecord { position: number; data: string }

export interface Log extends Stream {
  /** At most `limit` records, and about `maxChars` characters, after the checkpoint. */
  read(limit: number, maxChars: number): LogRecord[];
  /** Forgets the records up to a position: they have been delivered. */
  checkpoint(position: number): Promise<void>;
  /** The oldest record that has not been delivered. */
  oldest(): LogRecord | undefined;
}

const CHECKPOINT = 'checkpoint';

export function lmdbLog(environment: RootDatabase): Log {
  const records: Database<string, number> = environment.openDB({ name: 'records', encoding: 'string' });
  const positions: Database<number, string> = environment.openDB({ name: 'positions', encoding: 'msgpack' });
  const delivered = () => positions.get(CHECKPOINT) ?? 0;
  const [last] = records.getKeys({ reverse: true, limit: 1 });
  let next = Math.max(last ?? 0, delivered()) + 1;

  const after = function* (limit: number): Iterable<LogRecord> {
    for (const { key, value } of records.getRange({ start: delivered() + 1, limit })) yield { position: key, data: value };
  };
  const oldest = () => [...after(1)][0];

  return {
    async put(data) {
      if (data.length === 0) return;
      try {
        await durably(environment, Promise.all(data.map((record) => records.put(next++, record))));
      } catch (error) {
        throw new StreamUnavailable(`the log takes no records: ${(error as Error).message}`, { cause: error });
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
      const keys = [...records.getKeys({ end: position + 1 })];
      await durably(environment, environment.transaction(() => {
        void positions.put(CHECKPOINT, position);
        for (const key of keys) void records.remove(key);
      }));
    },
    oldest,
  };
}
