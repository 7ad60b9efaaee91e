import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { cachedKeys, findKey, isKey, listKeys, newKey, removeKey, storeKey, type Scope } from '../../core/keys.ts';
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
  assert.deepEqual(key, { id: key.id, scope: 'read', label: 'dashboard', prefix: text.slice(0, 'ff_read_abcd'.length), site: 'shop', created_at: NOW });
  assert.match(key.id, /^[0-9A-Za-z]{12}$/);
  assert.deepEqual(await findKey(registry, `Bearer ${text}`), key);
});

test('an admin key belongs to no site', async () => {
  const registry = new MemoryStore();
  const text = newKey('admin');
  const key = await storeKey(registry, text, { scope: 'admin', label: 'first start' }, NOW);
  assert.ok(!('site' in key));
  assert.deepEqual(await findKey(registry, `Bearer ${text}`), key);
  assert.deepEqual(await listKeys(registry), [{ ...key, last_used_on: null }]);
});

test('of the text only the SHA-256 is stored', async () => {
  const { registry, text } = await stored();
  const everything = JSON.stringify(registry.all());
  // Its first four characters are, to tell keys apart.
  const secret = text.slice('ff_read_abcd'.length);
  for (let i = 0; i + 8 <= secret.length; i++) assert.ok(!everything.includes(secret.slice(i, i + 8)), 'a part of the secret is stored');
  assert.ok(everything.includes(createHash('sha256').update(text).digest('hex')));
});

test('what is found or listed does not tell the digest either', async () => {
  const { registry, text } = await stored();
  for (const key of [await findKey(registry, `Bearer ${text}`), ...await listKeys(registry, 'shop')]) {
    assert.deepEqual(Object.keys(key!).sort(), ['created_at', 'id', 'label', ...('last_used_on' in key! ? ['last_used_on'] : []), 'prefix', 'scope', 'site']);
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
  assert.deepEqual(await listKeys(registry, 'shop'), keys.map((key) => ({ ...key, last_used_on: null })));
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

/** Keys through a cache of 30 seconds, and a clock to set. */
async function cached() {
  const { registry, text, key } = await stored();
  const time = { now: Date.parse('2026-11-20T23:59:00Z') };
  const errors: unknown[] = [];
  const keys = cachedKeys(registry, () => time.now, 30_000, (error) => { errors.push(error); });
  return { registry, text, key, time, errors, keys, find: () => keys.find(`Bearer ${text}`) };
}

test('a key that is asked for again is not read again, and a revoked one is refused when 30 seconds are over', async () => {
  const { registry, key, time, find } = await cached();
  assert.deepEqual(await find(), key);
  const before = registry.reads;
  time.now += 29_999;
  assert.deepEqual(await find(), key);
  assert.equal(registry.reads, before);
  await removeKey(registry, 'shop', key.id);
  assert.deepEqual(await find(), key);
  time.now += 1;
  assert.equal(await find(), undefined);
});

test('a text that is no key yet is found as soon as it is one', async () => {
  const { registry, keys } = await cached();
  const text = newKey('write');
  assert.equal(await keys.find(`Bearer ${text}`), undefined);
  await storeKey(registry, text, { scope: 'write', label: '', site: 'shop' }, NOW);
  assert.ok(await keys.find(`Bearer ${text}`));
});

test('a key is listed with the day it was last used on, which is written once a day', async () => {
  const { registry, key, time, find } = await cached();
  const lastUse = async () => (await listKeys(registry, 'shop')).map(({ last_used_on }) => last_used_on);
  assert.deepEqual(await lastUse(), [null]);
  let writes = 0;
  const put = registry.put.bind(registry);
  registry.put = (items) => { writes++; return put(items); };
  await find();
  await find();
  assert.deepEqual([await lastUse(), writes], [['2026-11-20'], 1]);
  time.now += 60_000;
  await find();
  assert.deepEqual([await lastUse(), writes], [['2026-11-21'], 2]);
  await removeKey(registry, 'shop', key.id);
  assert.deepEqual(registry.all(), []);
});

test('a day of use that cannot be noted is told, and the key works', async () => {
  const { registry, key, errors, find } = await cached();
  registry.put = () => Promise.reject(new Error('the disk is full'));
  assert.deepEqual(await find(), key);
  assert.match(String(errors), /the disk is full/);
});

test('admin keys are listed and revoked like those of a site', async () => {
  const registry = new MemoryStore();
  const [old, made] = [newKey('admin'), newKey('admin')];
  const { id } = await storeKey(registry, old, { scope: 'admin', label: 'old' }, NOW);
  await storeKey(registry, made, { scope: 'admin', label: 'new' }, NOW);
  assert.equal(await removeKey(registry, undefined, id), true);
  assert.deepEqual((await listKeys(registry)).map(({ label }) => label), ['new']);
  assert.equal(await findKey(registry, `Bearer ${old}`), undefined);
});
