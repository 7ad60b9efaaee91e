// The random salts of cookieless visitors, one for each local day. Created once by whoever comes first, and gone
// with the raw records: from then on nobody, we included, can tell whose visit a row was. Registry: `salts` / day.
import { randomBytes } from 'node:crypto';
import QuickLRU from 'quick-lru';
import { DAY_MS } from './hour.ts';
import type { Clock, Store } from './ports.ts';
import type { LocalDay } from './zone.ts';

export interface Salts {
  /** The salts of these local days, made where there are none yet. */
  read(days: Iterable<LocalDay>): Promise<Map<LocalDay, string>>;
}

/** Salts of the registry. @param keptMs how long a salt outlives its day, or its making where that is later */
export function storedSalts(registry: Store, clock: Clock, keptMs: number): Salts {
  const known = new QuickLRU<LocalDay, string>({ maxSize: 1000 });
  async function salt(day: LocalDay): Promise<string> {
    let value = known.get(day);
    if (value === undefined) {
      const expires = Math.max(Date.parse(`${day}T00:00:00Z`) + 2 * DAY_MS, clock()) + keptMs;
      const made = randomBytes(16).toString('base64url');
      // Only one maker's put succeeds; everybody else takes what stands there.
      const created = await registry.create({ pk: 'salts', sk: day, salt: made, expires: Math.ceil(expires / 1000) });
      value = created ? made : (await registry.get('salts', day))!.salt as string;
      known.set(day, value);
    }
    return value;
  }
  return {
    async read(days) {
      const distinct = [...new Set(days)];
      const values = await Promise.all(distinct.map(salt));
      return new Map(distinct.map((day, i) => [day, values[i]!]));
    },
  };
}

/** Removes the salts that have expired. */
export async function removeExpiredSalts(registry: Store, clock: Clock): Promise<void> {
  const expired = (await registry.range('salts', '', '~')).filter((item) => Number(item.expires) * 1000 <= clock());
  await registry.remove(expired);
}
