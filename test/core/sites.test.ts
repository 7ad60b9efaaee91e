import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Problem } from '../../core/problem.ts';
import { UNKNOWN_SITE, cachedSites, checkSite, isSiteId, listSites, readSite, writeSite } from '../../core/sites.ts';
import { MemoryStore, NOW, siteOf } from '../memory.ts';

for (const id of ['a', '7', 'shop', 'shop-2', 'a-', `a${'b'.repeat(62)}`]) test(`${id} is the id of a site`, () => { assert.ok(isSiteId(id)); });
for (const id of ['', 'Shop', '-shop', '_unknown', 'shop.example', 'shop_2', 'shop 2', 'shöp', 'shop\n', `a${'b'.repeat(63)}`, '__proto__', '../x', 5, null, undefined, ['shop']]) {
  test(`${JSON.stringify(id) ?? 'undefined'} is none`, () => { assert.ok(!isSiteId(id)); });
}
test('what stands in place of an unknown site\'s id is no id', () => { assert.ok(!isSiteId(UNKNOWN_SITE)); });

const BODY = { name: 'My shop', timezone: 'Europe/Berlin', currency: 'EUR' };

test('a new site: hosts and origins are optional', () => {
  assert.deepEqual(checkSite('shop', BODY, undefined, '2026-11-20T10:00:00.000Z'), {
    id: 'shop', ...BODY, hosts: [], origins: [], rate_limit: { per_second: 10, burst: 50 }, created_at: '2026-11-20T10:00:00.000Z', updated_at: '2026-11-20T10:00:00.000Z',
  });
});

test('a changed site keeps when it was made, and nothing else', () => {
  const existing = siteOf({ name: 'Old', hosts: ['old.example'] });
  assert.deepEqual(checkSite('shop', { ...BODY, origins: ['https://shop.example'] }, existing, '2026-11-20T10:00:00.000Z'), {
    id: 'shop', ...BODY, hosts: [], origins: ['https://shop.example'], rate_limit: { per_second: 10, burst: 50 }, created_at: existing.created_at, updated_at: '2026-11-20T10:00:00.000Z',
  });
});

function wrongFields(body: unknown): string[] | 'accepted' {
  try {
    checkSite('shop', body, undefined, '2026-11-20T10:00:00.000Z');
    return 'accepted';
  } catch (error) {
    assert.ok(error instanceof Problem);
    assert.equal(error.status, 422);
    for (const { parameter, accepts } of error.errors) {
      assert.ok(error.detail.includes(`${parameter} `) && error.detail.includes(accepts), error.detail);
    }
    return error.errors.map(({ parameter }) => parameter);
  }
}

const hosts = (count: number) => Array.from({ length: count }, (_, i) => `h${i}.example`);
const CHECKED: [name: string, body: unknown, expected: string[] | 'accepted'][] = [
  ['a name of one character', { ...BODY, name: 'x' }, 'accepted'],
  ['a name of 100 characters', { ...BODY, name: 'x'.repeat(100) }, 'accepted'],
  ['a name of 101 characters', { ...BODY, name: 'x'.repeat(101) }, ['name']],
  ['an empty name', { ...BODY, name: '' }, ['name']],
  ['a name of blanks', { ...BODY, name: '  ' }, ['name']],
  ['a name that is a number', { ...BODY, name: 5 }, ['name']],
  ['a zone of half an hour', { ...BODY, timezone: 'Asia/Kolkata' }, 'accepted'],
  ['UTC', { ...BODY, timezone: 'UTC' }, 'accepted'],
  ['a zone that does not exist', { ...BODY, timezone: 'Europe/Atlantis' }, ['timezone']],
  ['an offset in place of a zone', { ...BODY, timezone: '+01:00' }, ['timezone']],
  ['a zone that is null', { ...BODY, timezone: null }, ['timezone']],
  ['a currency in small letters', { ...BODY, currency: 'eur' }, ['currency']],
  ['a currency that does not exist', { ...BODY, currency: 'QQQ' }, ['currency']],
  ['a currency that is a list', { ...BODY, currency: ['EUR'] }, ['currency']],
  ['100 hosts', { ...BODY, hosts: hosts(100) }, 'accepted'],
  ['101 hosts', { ...BODY, hosts: hosts(101) }, ['hosts']],
  ['localhost and an address as hosts', { ...BODY, hosts: ['localhost', '127.0.0.1'] }, 'accepted'],
  ['a host in punycode', { ...BODY, hosts: ['xn--mnchen-3ya.example'] }, 'accepted'],
  ['a host of 253 characters', { ...BODY, hosts: [`${'a.'.repeat(126)}a`] }, 'accepted'],
  ['a host of 255 characters', { ...BODY, hosts: [`${'a.'.repeat(127)}a`] }, ['hosts']],
  ['a host in capitals', { ...BODY, hosts: ['Shop.example'] }, ['hosts']],
  ['a host with a scheme', { ...BODY, hosts: ['https://shop.example'] }, ['hosts']],
  ['a host with a port', { ...BODY, hosts: ['shop.example:8443'] }, ['hosts']],
  ['a host with a path', { ...BODY, hosts: ['shop.example/'] }, ['hosts']],
  ['a host with a dot too many', { ...BODY, hosts: ['.shop.example'] }, ['hosts']],
  ['a host with a star', { ...BODY, hosts: ['*.shop.example'] }, ['hosts']],
  ['an empty host', { ...BODY, hosts: [''] }, ['hosts']],
  ['a host that is a number', { ...BODY, hosts: [5] }, ['hosts']],
  ['a host in place of the list', { ...BODY, hosts: 'shop.example' }, ['hosts']],
  ['a host of very many parts', { ...BODY, hosts: ['a.'.repeat(100_000)] }, ['hosts']],
  ['an origin with a port', { ...BODY, origins: ['http://localhost:3000', 'https://shop.example'] }, 'accepted'],
  ['an origin with a slash', { ...BODY, origins: ['https://shop.example/'] }, ['origins']],
  ['an origin with the scheme\'s own port', { ...BODY, origins: ['https://shop.example:443'] }, ['origins']],
  ['an origin without scheme', { ...BODY, origins: ['shop.example'] }, ['origins']],
  ['every origin', { ...BODY, origins: ['*'] }, ['origins']],
  ['a rate limit', { ...BODY, rate_limit: { per_second: 1000, burst: 10_000 } }, 'accepted'],
  ['a rate limit of nothing', { ...BODY, rate_limit: { per_second: 0, burst: 50 } }, ['rate_limit']],
  ['a rate limit above the highest', { ...BODY, rate_limit: { per_second: 1001, burst: 50 } }, ['rate_limit']],
  ['half a rate limit', { ...BODY, rate_limit: { per_second: 10 } }, ['rate_limit']],
  ['a rate limit of halves', { ...BODY, rate_limit: { per_second: 1.5, burst: 50 } }, ['rate_limit']],
  ['a rate limit with more', { ...BODY, rate_limit: { per_second: 10, burst: 50, a_day: 1000 } }, ['rate_limit']],
  ['a rate limit that is a number', { ...BODY, rate_limit: 10 }, ['rate_limit']],
  ['no origin', { ...BODY, origins: ['null'] }, ['origins']],
  ['an origin that is none of the web', { ...BODY, origins: ['ftp://shop.example'] }, ['origins']],
  ['a field that does not exist', { ...BODY, colour: 'red' }, ['colour']],
  ['__proto__ as a field', JSON.parse('{"name":"x","timezone":"UTC","currency":"EUR","__proto__":{}}'), ['__proto__']],
  ['everything wrong at once', { id: 'x', name: '', timezone: 'x', currency: 'x', hosts: 5, origins: {} }, ['id', 'name', 'timezone', 'currency', 'hosts', 'origins']],
  ['nothing given', {}, ['name', 'timezone', 'currency']],
];
for (const [name, body, expected] of CHECKED) test(`${name}: ${typeof expected === 'string' ? expected : `refused for ${expected.join(', ')}`}`, () => { assert.deepEqual(wrongFields(body), expected); });

for (const body of [null, undefined, 5, 'shop', [], [BODY]]) {
  test(`a body that is ${JSON.stringify(body) ?? 'missing'} is refused`, () => { assert.deepEqual(wrongFields(body), []); });
}

test('a site is read as it was written, and listed in order of id', async () => {
  const registry = new MemoryStore();
  for (const id of ['b', 'a', 'c', 'a-2', 'a2']) await writeSite(registry, siteOf({ id, name: `Name of ${id}`, hosts: ['x.example'] }));
  assert.deepEqual(await readSite(registry, 'a'), siteOf({ id: 'a', name: 'Name of a', hosts: ['x.example'] }));
  assert.equal(await readSite(registry, 'd'), undefined);
  assert.deepEqual((await listSites(registry, '', 100)).map(({ id }) => id), ['a', 'a-2', 'a2', 'b', 'c']);
  assert.deepEqual(await listSites(registry, 'a', 2), [{ id: 'a-2', name: 'Name of a-2' }, { id: 'a2', name: 'Name of a2' }]);
  assert.deepEqual((await listSites(registry, 'a-2', 2)).map(({ id }) => id), ['a2', 'b']);
  assert.deepEqual(await listSites(registry, 'c', 2), []);
});

async function cache(maxAge = 60_000) {
  const registry = new MemoryStore();
  await writeSite(registry, siteOf());
  const time = { now: NOW };
  const sites = cachedSites(registry, () => time.now, maxAge);
  /** Ids found, and how many reads of the registry that took. */
  const read = async (...ids: string[]) => {
    const before = registry.reads;
    const found = await sites.read(ids);
    return { found: [...found.keys()], reads: registry.reads - before, names: [...found.values()].map(({ name }) => name) };
  };
  return { registry, time, read, forget: () => { sites.forget(); } };
}

test('the cache: a site is read once, within its age', async () => {
  const { time, read } = await cache();
  assert.deepEqual(await read('shop', 'shop'), { found: ['shop'], reads: 1, names: ['Shop'] });
  time.now += 59_999;
  assert.deepEqual(await read('shop'), { found: ['shop'], reads: 0, names: ['Shop'] });
});

test('the cache: at its age a site is read again, and a change seen', async () => {
  const { registry, time, read } = await cache();
  await read('shop');
  await writeSite(registry, siteOf({ name: 'New name' }));
  assert.deepEqual((await read('shop')).names, ['Shop']);
  time.now += 60_000;
  assert.deepEqual(await read('shop'), { found: ['shop'], reads: 1, names: ['New name'] });
});

test('the cache: an id without a site is remembered too, and a new site seen at that age', async () => {
  const { registry, time, read } = await cache();
  assert.deepEqual(await read('new', 'shop'), { found: ['shop'], reads: 2, names: ['Shop'] });
  assert.deepEqual(await read('new'), { found: [], reads: 0, names: [] });
  await writeSite(registry, siteOf({ id: 'new', name: 'New' }));
  assert.deepEqual((await read('new')).found, []);
  time.now += 60_000;
  assert.deepEqual(await read('new'), { found: ['new'], reads: 1, names: ['New'] });
  assert.equal((await read('new')).reads, 0);
});

test('the cache: what was forgotten is read again, whether or not there was a site', async () => {
  const { registry, read, forget } = await cache(Infinity);
  await read('shop', 'new');
  await writeSite(registry, siteOf({ name: 'New name' }));
  await writeSite(registry, siteOf({ id: 'new', name: 'New' }));
  assert.deepEqual(await read('shop', 'new'), { found: ['shop'], reads: 0, names: ['Shop'] });
  forget();
  assert.deepEqual(await read('shop', 'new'), { found: ['shop', 'new'], reads: 2, names: ['New name', 'New'] });
});

test('the cache: a site that is gone is gone at its age', async () => {
  const { registry, time, read } = await cache();
  await read('shop');
  await registry.remove([{ pk: 'site#shop', sk: 'settings' }]);
  time.now += 60_000;
  assert.deepEqual((await read('shop')).found, []);
  assert.equal((await read('shop')).reads, 0);
});

test('the cache: what cannot be an id is not looked for', async () => {
  const { read } = await cache();
  assert.deepEqual(await read('', UNKNOWN_SITE, '__proto__', 'SHOP', 'x'.repeat(10_000_000), '\u0000'), { found: [], reads: 0, names: [] });
});

test('the cache: a flood of made-up ids pushes out no site', async () => {
  const { registry, read } = await cache();
  await read('shop');
  registry.get = async () => { registry.reads++; return undefined; };
  // More than both caches hold together, in batches as they arrive.
  for (let i = 0; i < 210_000; i += 10_000) await read(...Array.from({ length: 10_000 }, (_, n) => `made-up-${i + n}`));
  assert.deepEqual(await read('shop'), { found: ['shop'], reads: 0, names: ['Shop'] });
});

test('the cache: a registry that cannot be read is an error, not a missing site', async () => {
  const { registry, time, read } = await cache();
  await read('shop');
  registry.get = () => Promise.reject(new Error('unreachable'));
  assert.deepEqual((await read('shop')).found, ['shop']);
  time.now += 60_000;
  await assert.rejects(read('shop'), /unreachable/);
  await assert.rejects(read('new'), /unreachable/);
});
