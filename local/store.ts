// The Store on one machine: a database of an LMDB environment, by [pk, sk].
import type { Database, RootDatabase } from 'lmdb';
import type { Store, StoreItem } from '../core/ports.ts';
import { durably } from './lmdb.ts';

type Value = Omit<StoreItem, 'pk' | 'sk'>;

function itemOf(pk: string, sk: string, value: Value): StoreItem {
  return { ...value, pk, sk };
}

/** What writes a store. */
export type StoreWrites = Pick<Store, 'put' | 'create' | 'remove'>;

/** A store of an environment that is only read here: another process writes, and what that has told is seen at once. */
export function storeWrittenElsewhere(environment: RootDatabase, name: string, writes: StoreWrites): Store {
  const seen = async <T>(written: Promise<T>): Promise<T> => {
    const result = await written;
    environment.resetReadTxn();
    return result;
  };
  return {
    ...lmdbStore(environment, name),
    put: (items) => seen(writes.put(items)), create: (item) => seen(writes.create(item)), remove: (keys) => seen(writes.remove(keys)),
  };
}

export function lmdbStore(environment: RootDatabase, name: string): Store {
  const database: Database<Value, [string, string]> = environment.openDB({ name, encoding: 'msgpack' });
  return {
    async get(pk, sk) {
      const value = database.get([pk, sk]);
      return value && itemOf(pk, sk, value);
    },
    async range(pk, from, to, limit) {
      const entries = database.getRange({ start: [pk, from], end: [pk, to], inclusiveEnd: true, ...(limit !== undefined && { limit }) });
      return [...entries.map(({ key, value }) => itemOf(pk, key[1], value))];
    },
    async put(items) {
      await durably(environment, items.map(({ pk, sk, ...value }) => database.put([pk, sk], value)));
    },
    async create({ pk, sk, ...value }) {
      const created = database.ifNoExists([pk, sk], () => { void database.put([pk, sk], value); });
      await durably(environment, [created]);
      return created;
    },
    async remove(keys) {
      await durably(environment, keys.map(({ pk, sk }) => database.remove([pk, sk])));
    },
  };
}
