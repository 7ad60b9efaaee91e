// Keys of the API: `ff_<read|write|admin>_<43 base62>`, shown once, stored as SHA-256. Registry keys:
// `key#<sha256>` / `key` to find one, `site#<id>` / `key#<id>` to list a site's, `admin` / `key#<id>` for admin keys,
// `used#<site>` / `<id>` (`used#admin`) the day a key was last used.
import { hash, randomBytes } from 'node:crypto';
import QuickLRU from 'quick-lru';
import type { Clock, Store, StoreItem } from './ports.ts';

export type Scope = 'read' | 'write' | 'admin';

/** A key as it is stored: everything but the secret. */
export interface Key {
  id: string;
  scope: Scope;
  label: string;
  /** The text's beginning, by which people tell keys apart; absent where it was not noted yet. */
  prefix?: string;
  /** The one site of a read or write key; absent on an admin key, which belongs to the installation. */
  site?: string;
  created_at: string;
}

/** A key as it is listed. */
export interface ListedKey extends Key {
  /** The last day (of UTC) on which it was used; null where it never was. */
  last_used_on: string | null;
}

export const KEY = /^ff_(read|write|admin)_[0-9A-Za-z]{43}$/;
export const KEY_ID = /^[0-9A-Za-z]{12}$/;
/** How much of the secret a prefix shows: 4 of 43 digits leave 232 bits. */
const PREFIX_DIGITS = 4;
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** A number of random bytes as base62 digits. */
function base62(bytes: Uint8Array, digits: number): string {
  let n = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  let text = '';
  for (let i = 0; i < digits; i++) {
    text = BASE62[Number(n % 62n)]! + text;
    n /= 62n;
  }
  return text;
}

/** A new key's text: 256 random bits as 43 base62 digits. */
export function newKey(scope: Scope): string {
  return `ff_${scope}_${base62(randomBytes(32), 43)}`;
}

/** Whether the text has the form of a key (of that scope, where given). */
export function isKey(text: string, scope?: Scope): boolean {
  const match = KEY.exec(text);
  return match !== null && (scope === undefined || match[1] === scope);
}

function digest(text: string): string {
  return hash('sha256', text, 'hex');
}

function listing(site: string | undefined): string {
  return site === undefined ? 'admin' : `site#${site}`;
}

/** The registry key of when a site's keys (the admin keys) were used: what a function may write that only reads otherwise. */
function usage(site: string | undefined): string {
  return `used#${site ?? 'admin'}`;
}

/** Stores a key by its digest; the text itself is never kept. */
export async function storeKey(registry: Store, text: string, { scope, label, site }: { scope: Scope; label: string; site?: string }, now: string): Promise<Key> {
  const prefix = text.slice(0, `ff_${scope}_`.length + PREFIX_DIGITS);
  const key: Key = { id: base62(randomBytes(9), 12), scope, label, prefix, created_at: now, ...(site !== undefined && { site }) };
  const sha256 = digest(text);
  await registry.put([
    { pk: `key#${sha256}`, sk: 'key', ...key },
    { pk: listing(site), sk: `key#${key.id}`, sha256, ...key },
  ]);
  return key;
}

/** The digest of the key an `Authorization: Bearer …` header names; undefined where it names none. */
function digestIn(authorization: string | undefined): string | undefined {
  const text = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  return text !== undefined && isKey(text) ? digest(text) : undefined;
}

/** The key an `Authorization: Bearer …` header names, or undefined when there is none such. */
export async function findKey(registry: Store, authorization: string | undefined): Promise<Key | undefined> {
  const sha256 = digestIn(authorization);
  const item = sha256 === undefined ? undefined : await registry.get(`key#${sha256}`, 'key');
  return item && keyOf(item);
}

/** Finds keys, and notes the days on which they are used. */
export interface Keys {
  /** The key an `Authorization` header names, as `findKey`. */
  find(authorization: string | undefined): Promise<Key | undefined>;
}

/**
 * Keys of the registry, remembered for `maxAgeMs`: a revoked one is refused after so long at the latest. What is not a
 * key is not remembered, so a new key works at once. A text is looked up by its SHA-256 and compared with nothing, so
 * the time an answer takes tells nothing of the keys there are: what it may depend on is a digest nobody can aim at.
 * @param onError what is told when a day of use cannot be noted; the request goes on
 */
export function cachedKeys(registry: Store, clock: Clock, maxAgeMs: number, onError: (error: unknown) => void): Keys {
  const known = new QuickLRU<string, { key: Key; at: number }>({ maxSize: 10_000 });
  const used = new QuickLRU<string, string>({ maxSize: 10_000 });

  async function read(authorization: string | undefined): Promise<Key | undefined> {
    const sha256 = digestIn(authorization);
    if (sha256 === undefined) return undefined;
    const at = clock();
    const entry = known.get(sha256);
    if (entry && at - entry.at < maxAgeMs) return entry.key;
    const key = await findKey(registry, authorization);
    if (key) known.set(sha256, { key, at });
    else known.delete(sha256);
    return key;
  }

  async function noteUse({ id, site }: Key): Promise<void> {
    const day = new Date(clock()).toISOString().slice(0, 10);
    if (used.get(id) === day) return;
    used.set(id, day);
    try {
      await registry.put([{ pk: usage(site), sk: id, day }]);
    } catch (error) {
      onError(error);
    }
  }

  return {
    async find(authorization) {
      const key = await read(authorization);
      if (key) await noteUse(key);
      return key;
    },
  };
}

/** The keys of a site (the admin keys where absent), in order of id. */
export async function listKeys(registry: Store, site?: string): Promise<ListedKey[]> {
  const [items, uses] = await Promise.all([registry.range(listing(site), 'key#', 'key#~'), registry.range(usage(site), '0', '~')]);
  const days = new Map(uses.map(({ sk, day }) => [sk, day as string]));
  return items.map(keyOf).map((key) => ({ ...key, last_used_on: days.get(key.id) ?? null }));
}

/** Revokes a key of a site (an admin key where absent); says whether there was one. */
export async function removeKey(registry: Store, site: string | undefined, id: string): Promise<boolean> {
  const item = KEY_ID.test(id) ? await registry.get(listing(site), `key#${id}`) : undefined;
  if (!item) return false;
  await registry.remove([{ pk: `key#${item.sha256 as string}`, sk: 'key' }, { pk: item.pk, sk: item.sk }, { pk: usage(site), sk: id }]);
  return true;
}

function keyOf(item: StoreItem): Key {
  const { id, scope, label, prefix, site, created_at } = item as unknown as Key;
  return { id, scope, label, created_at, ...(prefix !== undefined && { prefix }), ...(site !== undefined && { site }) };
}
