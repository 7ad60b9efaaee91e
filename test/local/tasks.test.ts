import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { openEnvironment } from '../../local/lmdb.ts';
import { MAX_ATTEMPTS } from '../../core/rollup.ts';
import { lmdbTasks } from '../../local/tasks.ts';
import { temporaryFolder } from '../process.ts';

function openTasks(t: TestContext) {
  const folder = join(temporaryFolder(), 'store');
  const time = { now: 1_000_000 };
  let environment = openEnvironment(folder);
  t.after(() => environment.close());
  const open = () => lmdbTasks(environment, () => time.now);
  return { time, open, reopen: async () => { await environment.close(); environment = openEnvironment(folder); return open(); } };
}

test('An hour announced again while its tasks are made is told again', async (t) => {
  const tasks = openTasks(t).open();
  await tasks.announce(['2026-01-01T00', '2026-01-01T01']);
  const told = tasks.announced();
  assert.deepEqual(told.map(({ hour }) => hour), ['2026-01-01T00', '2026-01-01T01']);
  await tasks.announce(['2026-01-01T01']);
  await tasks.taken(told);
  assert.deepEqual(tasks.announced(), [{ hour: '2026-01-01T01', recompute: false }]);
});

test('Announcements and tasks are there for the next process', async (t) => {
  const { open, reopen } = openTasks(t);
  const tasks = open();
  await tasks.announce(['2026-01-01T00']);
  await tasks.send([{ kind: 'day', day: '2026-01-01' }]);
  const again = await reopen();
  assert.deepEqual(again.announced(), [{ hour: '2026-01-01T00', recompute: false }]);
  assert.deepEqual(again.all().map(({ task }) => task), [{ kind: 'day', day: '2026-01-01', recompute: false }]);
});

test('The newest goes first, and hours before their day', async (t) => {
  const tasks = openTasks(t).open();
  await tasks.send([{ kind: 'day', day: '2026-01-01' }]);
  await tasks.send([
    { kind: 'hour', hour: '2025-12-31T23' }, { kind: 'hour', hour: '2026-01-01T05' }, { kind: 'hour', hour: '2026-01-01T17' },
    { kind: 'day', day: '2026-01-01' },
  ]);
  assert.equal(tasks.all().length, 4);
  for (const key of ['hour#2026-01-01T17', 'hour#2026-01-01T05']) {
    const next = tasks.next()!;
    assert.equal(next.key, key);
    await tasks.done(next);
  }
  assert.equal(tasks.next()!.key, 'day#2026-01-01');
});

test('What recomputes goes after all that does not, until it is sent as what does not', async (t) => {
  const tasks = openTasks(t).open();
  await tasks.send([{ kind: 'hour', hour: '2026-03-01T00', recompute: true }, { kind: 'day', day: '2026-02-01', recompute: true }, { kind: 'day', day: '2026-01-01' }]);
  assert.equal(tasks.next()!.key, 'day#2026-01-01');
  await tasks.send([{ kind: 'day', day: '2026-02-01' }, { kind: 'day', day: '2026-01-01', recompute: true }]);
  for (const key of ['day#2026-02-01', 'day#2026-01-01', 'hour#2026-03-01T00']) {
    const next = tasks.next()!;
    assert.equal(next.key, key);
    await tasks.done(next);
  }
});

test('An hour announced for both is one that was not only delivered once more', async (t) => {
  const tasks = openTasks(t).open();
  await tasks.announce(['2026-01-01T00', '2026-01-01T01'], true);
  await tasks.announce(['2026-01-01T01']);
  await tasks.announce(['2026-01-01T01'], true);
  assert.deepEqual(tasks.announced(), [{ hour: '2026-01-01T00', recompute: true }, { hour: '2026-01-01T01', recompute: false }]);
});

test('A task sent again while it runs is not done with the run', async (t) => {
  const tasks = openTasks(t).open();
  await tasks.send([{ kind: 'day', day: '2026-01-01' }]);
  const running = tasks.next()!;
  await tasks.send([{ kind: 'day', day: '2026-01-01' }]);
  await tasks.done(running);
  assert.equal(tasks.all().length, 1);
  await tasks.failed(running, new Error('late'));
  assert.equal(tasks.next()!.attempts, 0);
});

test('A task that fails waits longer each time, lets others pass, and is parked after five attempts', async (t) => {
  const { time, open } = openTasks(t);
  const tasks = open();
  await tasks.send([{ kind: 'hour', hour: '2026-01-01T00' }, { kind: 'hour', hour: '2026-01-01T01' }]);
  const waits: number[] = [];
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const waiting = tasks.next()!;
    assert.equal(waiting.key, 'hour#2026-01-01T01');
    await tasks.failed(waiting, new Error('broken'));
    assert.equal(tasks.next()!.key, 'hour#2026-01-01T00');
    const { notBefore } = tasks.all().find(({ key }) => key === waiting.key)!;
    waits.push(notBefore - time.now);
    time.now = notBefore;
  }
  assert.deepEqual(waits, [5_000, 10_000, 20_000, 40_000, 80_000]);
  time.now += 1e9;
  assert.equal(tasks.next()!.key, 'hour#2026-01-01T00');
  const parked = tasks.all().find(({ key }) => key === 'hour#2026-01-01T01')!;
  assert.deepEqual([parked.parked, parked.attempts, parked.error], [true, 5, 'broken']);
  assert.deepEqual(await tasks.parked(), [{ task: { kind: 'hour', hour: '2026-01-01T01', recompute: false }, attempts: 5, error: 'broken' }]);
  await tasks.send([{ kind: 'hour', hour: '2026-01-01T01' }]);
  assert.equal(tasks.all().find(({ key }) => key === 'hour#2026-01-01T01')!.parked, undefined);
  assert.deepEqual(await tasks.parked(), []);
});
