// Keys of the API: `ff_<read|write|admin>_<43 base62>`, shown once, stored as SHA-256. Registry keys:
// `key#<sha256>` / `key` to find one, `site#<id>` / `key#<id>` to list a site's, `admin` / `key#<id>` for admin keys.
import { hash, randomBytes } from 'node:crypto';
import type { Store, StoreItem } from './ports.ts';

export type Scope = 'read' | 'write' | 'admin';

/** A key as it is stored: everything but the secret. */
export interface Key {
  id: string;
  scope: Scope;
  label: string;
  /** The one site of a read or write key; absent on an admin key, which belongs to the installation. */
  site?: string;
  created_at: string;
}

const KEY = /^ff_(read|write|admin)_[0-9A-Za-z]{43}$/;
const KEY_ID = /^[0-9A-Za-z]{12}$/;
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

/** Stores a key by its digest; the text itself is never kept. */
export async function storeKey(registry: Store, text: string, { scope, label, site }: { scope: Scope; label: string; site?: string }, now: string): Promise<Key> {
  const key: Key = { id: base62(randomBytes(9), 12), scope, label, created_at: now, ...(site !== undefined && { site }) };
  const sha256 = digest(text);
  await registry.put([
    { pk: `key#${sha256}`, sk: 'key', ...key },
    { pk: listing(site), sk: `key#${key.id}`, sha256, ...key },
  ]);
  return key;
}

/** The key an `Authorization: Bearer …` header names, or undefined when there is none such. */
export async function findKey(registry: Store, authorization: string | undefined): Promise<Key | undefined> {
  const text = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  if (text === undefined || !isKey(text)) return undefined;
  const item = await registry.get(`key#${digest(text)}`, 'key');
  return item && keyOf(item);
}

/** The keys of a site (the admin keys where absent), in order of id. */
export async function listKeys(registry: Store, site?: string): Promise<Key[]> {
  return (await registry.range(listing(site), 'key#', 'key#~')).map(keyOf);
}

/** Revokes a key; says whether there was one. */
export async function removeKey(registry: Store, site: string, id: string): Promise<boolean> {
  const item = KEY_ID.test(id) ? await registry.get(listing(site), `key#${id}`) : undefined;
  if (!item) return false;
  await registry.remove([{ pk: `key#${item.sha256 as string}`, sk: 'key' }, { pk: item.pk, sk: item.sk }]);
  return true;
}

function keyOf(item: StoreItem): Key {
  const { id, scope, label, site, created_at } = item as unknown as Key;
  return { id, scope, label, created_at, ...(site !== undefined && { site }) };
}
