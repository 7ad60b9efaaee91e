import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { findKey, isKey, listKeys, newKey, removeKey, storeKey, type Scope } from '../../core/keys.ts';
import { MemoryStore } from '../memory.ts';

const NOW = '2026-11-20T10:17:30.250Z';
const SCOPES: Scope[] = ['read', 'write', 'admin'];

for (const scope of SCOPES) {
  test(`a ${scope} key has the form of one, and no other`, () => {
    const keys = Array.from({ length: 200 }, () => newKey(scope));
    for (const key of keys) {
      assert.match(key, new RegExp(`^ff_${scope}_[0-9A-Za-z]{43}$`));
      assert.ok(isKey(key) && isKey(key, scope));
      for (const other of SCOPES) if (other !== scope) assert.ok(!isKey(key, other));
    }
    assert.equal(new Set(keys).size, 200);
    // All 62 digits occur, at the front too: 256 bits fill 43 digits up to a half.
    assert.ok(new Set(keys.join('').replaceAll(`ff_${scope}_`, '')).size === 62);
  });
}

const NO_KEYS: [name: string, text: string][] = [
  ['nothing', ''], ['a word', 'key'], ['42 digits', `ff_read_${'a'.repeat(42)}`], ['44 digits', `ff_read_${'a'.repeat(44)}`], ['another scope', `ff_root_${'a'.repeat(43)}`],
  ['no scope', `ff_${'a'.repeat(43)}`], ['a hyphen in it', `ff_read_${'a'.repeat(42)}-`], ['a newline after it', `ff_read_${'a'.repeat(43)}\n`], ['capitals before it', `FF_READ_${'a'.repeat(43)}`],
];
for (const [name, text] of NO_KEYS) test(`no key: ${name}`, () => { assert.ok(!isKey(text)); });

async function stored(scope: Scope = 'read', site: string | undefined = 'shop') {
  const registry = new MemoryStore();
  const text = newKey(scope);
  const key = await storeKey(registry, text, { scope, label: 'dashboard', ...(site !== undefined && { site }) }, NOW);
  return { registry, text, key };
}

test('a stored key is found by its text', async () => {
  const { registry, text, key } = await stored();
  assert.deepEqual(key, { id: key.id, scope: 'read', label: 'dashboard', site: 'shop', created_at: NOW });
  assert.match(key.id, /^[0-9A-Za-z]{12}$/);
  assert.deepEqual(await findKey(registry, `Bearer ${text}`), key);
});

test('an admin key belongs to no site', async () => {
  const registry = new MemoryStore();
  const text = newKey('admin');
  const key = await storeKey(registry, text, { scope: 'admin', label: 'first start' }, NOW);
  assert.ok(!('site' in key));
  assert.deepEqual(await findKey(registry, `Bearer ${text}`), key);
  assert.deepEqual(await listKeys(registry), [key]);
});

test('of the text only the SHA-256 is stored', async () => {
  const { registry, text } = await stored();
  const everything = JSON.stringify(registry.all());
  const secret = text.slice('ff_read_'.length);
  for (let i = 0; i + 8 <= secret.length; i++) assert.ok(!everything.includes(secret.slice(i, i + 8)), 'a part of the secret is stored');
  assert.ok(everything.includes(createHash('sha256').update(text).digest('hex')));
});

test('what is found or listed does not tell the digest either', async () => {
  const { registry, text } = await stored();
  for (const key of [await findKey(registry, `Bearer ${text}`), ...await listKeys(registry, 'shop')]) {
    assert.deepEqual(Object.keys(key!).sort(), ['created_at', 'id', 'label', 'scope', 'site']);
  }
});

const HEADERS: [name: string, header: (text: string) => string | undefined, found: boolean][] = [
  ['Bearer and the key', (text) => `Bearer ${text}`, true],
  ['the scheme in small letters', (text) => `bearer ${text}`, true],
  ['blanks around the key', (text) => `Bearer   ${text}  `, true],
  ['no header', () => undefined, false],
  ['an empty header', () => '', false],
  ['the scheme alone', () => 'Bearer ', false],
  ['the key alone', (text) => text, false],
  ['another scheme', (text) => `Basic ${text}`, false],
  ['two keys', (text) => `Bearer ${text} ${text}`, false],
  ['something before it', (text) => `x Bearer ${text}`, false],
  ['a comma after it', (text) => `Bearer ${text},`, false],
  ['a newline after it', (text) => `Bearer ${text}\n`, false],
  ['another key', () => `Bearer ${newKey('read')}`, false],
  ['the key under another scope', (text) => `Bearer ${text.replace('read', 'admin')}`, false],
  ['the digest in place of the key', (text) => `Bearer ${createHash('sha256').update(text).digest('hex')}`, false],
  ['a name every object has', () => 'Bearer constructor', false],
  ['1 MB of blanks', () => `Bearer ${' '.repeat(1_000_000)}x`, false],
];
for (const [name, header, found] of HEADERS) {
  test(`Authorization: ${name}: ${found ? 'found' : 'not found'}`, async () => {
    const { registry, text, key } = await stored();
    assert.deepEqual(await findKey(registry, header(text)), found ? key : undefined);
  });
}

test('text without the form of a key is not looked for', async () => {
  const { registry } = await stored();
  const before = registry.reads;
  await findKey(registry, 'Bearer key');
  assert.equal(registry.reads, before);
});

test('a site\'s keys are listed, and no other site\'s', async () => {
  const registry = new MemoryStore();
  const make = (site: string, label: string) => storeKey(registry, newKey('read'), { scope: 'read', label, site }, NOW);
  const keys = [await make('shop', 'one'), await make('shop', 'two')].sort((a, b) => (a.id < b.id ? -1 : 1));
  await make('shop-2', 'three');
  assert.deepEqual(await listKeys(registry, 'shop'), keys);
  assert.deepEqual(await listKeys(registry, 'other'), []);
});

test('a revoked key is found no more, and nothing of it is left', async () => {
  const { registry, text, key } = await stored();
  assert.equal(await removeKey(registry, 'shop', key.id), true);
  assert.equal(await findKey(registry, `Bearer ${text}`), undefined);
  assert.deepEqual(await listKeys(registry, 'shop'), []);
  assert.deepEqual(registry.all(), []);
  assert.equal(await removeKey(registry, 'shop', key.id), false);
});

test('revoking one key leaves the others', async () => {
  const { registry, text } = await stored();
  const other = await storeKey(registry, newKey('write'), { scope: 'write', label: 'server', site: 'shop' }, NOW);
  assert.equal(await removeKey(registry, 'shop', other.id), true);
  assert.ok(await findKey(registry, `Bearer ${text}`));
});

test('a key of another site, and what is no id, cannot be revoked', async () => {
  const { registry, text, key } = await stored();
  for (const [site, id] of [['shop-2', key.id], ['shop', 'x'], ['shop', ''], ['shop', `${key.id}\n`], ['shop', '~'], ['admin', key.id]] as const) {
    assert.equal(await removeKey(registry, site, id), false);
  }
  assert.ok(await findKey(registry, `Bearer ${text}`));
});
