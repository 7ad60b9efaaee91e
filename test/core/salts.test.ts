import assert from 'node:assert/strict';
import { test } from 'node:test';
import { removeExpiredSalts, storedSalts } from '../../core/salts.ts';
import { MemoryStore, NOW } from '../memory.ts';

const DAY = 86_400_000;
const KEPT = 30 * DAY;
const clock = () => NOW;

test('a day has one salt, also for another process and later', async () => {
  const registry = new MemoryStore();
  const first = await storedSalts(registry, clock, KEPT).read(['2026-11-20']);
  const second = await storedSalts(registry, () => NOW + DAY, KEPT).read(['2026-11-20']);
  assert.deepEqual(second, first);
  assert.equal(registry.all().length, 1);
});

test('two makers race for a day: both get the one salt that was stored', async () => {
  const registry = new MemoryStore();
  const makers = Array.from({ length: 8 }, () => storedSalts(registry, clock, KEPT));
  // The store answers late and in another order, and nobody has read before anybody writes.
  const create = registry.create.bind(registry);
  let waiting = 0;
  registry.create = async (item) => {
    const turn = waiting++;
    for (let i = 0; i < 8 - turn; i++) await Promise.resolve();
    return create(item);
  };
  const salts = await Promise.all(makers.flatMap((maker) => [maker.read(['2026-11-20']), maker.read(['2026-11-20', '2026-11-21'])]));
  const values = new Set(salts.map((read) => read.get('2026-11-20')));
  assert.equal(values.size, 1);
  assert.equal(registry.all().length, 2);
  assert.ok(values.has(registry.all().find(({ sk }) => sk === '2026-11-20')!.salt as string));
});

test('salts are random, of at least 128 bits, and different for each day', async () => {
  const days = Array.from({ length: 30 }, (_, i) => `2026-11-${String(i + 1).padStart(2, '0')}`);
  const salts = await storedSalts(new MemoryStore(), clock, KEPT).read([...days, ...days]);
  assert.deepEqual([...salts.keys()], days);
  assert.equal(new Set(salts.values()).size, 30);
  for (const salt of salts.values()) assert.ok(Buffer.from(salt, 'base64url').length >= 16, salt);
});

test('no days, no salts, nothing written', async () => {
  const registry = new MemoryStore();
  assert.equal((await storedSalts(registry, clock, KEPT).read([])).size, 0);
  assert.equal(registry.all().length, 0);
});

test('a salt that is known is not read again', async () => {
  const registry = new MemoryStore();
  const salts = storedSalts(registry, clock, KEPT);
  await salts.read(['2026-11-20']);
  const before = registry.reads;
  await salts.read(['2026-11-20']);
  assert.equal(registry.reads, before);
});

// A local day ends up to 36 hours after its UTC midnight; a salt is kept so long after two days.
const EXPIRY: [name: string, day: string, madeAt: number, gone: number][] = [
  ['a salt outlives its day by what raw records are kept', '2026-11-20', NOW, Date.UTC(2026, 10, 22) + KEPT],
  ['a salt of a day long ago outlives its making so', '2020-01-01', NOW, Math.ceil((NOW + KEPT) / 1000) * 1000],
];
for (const [name, day, madeAt, gone] of EXPIRY) {
  test(name, async () => {
    const registry = new MemoryStore();
    await storedSalts(registry, () => madeAt, KEPT).read([day]);
    await removeExpiredSalts(registry, () => gone - 1);
    assert.equal(registry.all().length, 1);
    await removeExpiredSalts(registry, () => gone);
    assert.equal(registry.all().length, 0);
  });
}

test('only what has expired is removed, and nothing but salts', async () => {
  const registry = new MemoryStore();
  await registry.put([{ pk: 'site#shop', sk: 'settings', expires: 1 }]);
  await storedSalts(registry, () => NOW - 100 * DAY, KEPT).read(['2026-08-01']);
  await storedSalts(registry, clock, KEPT).read(['2026-11-20']);
  await removeExpiredSalts(registry, clock);
  assert.deepEqual(registry.all().map(({ sk }) => sk).sort(), ['2026-11-20', 'settings']);
});
