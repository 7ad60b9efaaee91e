import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { openEnvironment } from '../../local/lmdb.ts';
import { MAX_ATTEMPTS, lmdbTasks } from '../../local/tasks.ts';
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
  assert.deepEqual(told, ['2026-01-01T00', '2026-01-01T01']);
  await tasks.announce(['2026-01-01T01']);
  await tasks.taken(told);
  assert.deepEqual(tasks.announced(), ['2026-01-01T01']);
});

test('Announcements and tasks are there for the next process', async (t) => {
  const { open, reopen } = openTasks(t);
  const tasks = open();
  await tasks.announce(['2026-01-01T00']);
  await tasks.send([{ kind: 'day', day: '2026-01-01', runs: ['r1'] }]);
  const again = await reopen();
  assert.deepEqual(again.announced(), ['2026-01-01T00']);
  assert.deepEqual(again.all().map(({ task }) => task), [{ kind: 'day', day: '2026-01-01', runs: ['r1'] }]);
});

test('The newest goes first, hours before their day, and a day that waits takes up the runs of the next', async (t) => {
  const tasks = openTasks(t).open();
  await tasks.send([{ kind: 'day', day: '2026-01-01', runs: ['r1'] }]);
  await tasks.send([
    { kind: 'hour', hour: '2025-12-31T23' }, { kind: 'hour', hour: '2026-01-01T05' }, { kind: 'hour', hour: '2026-01-01T17' },
    { kind: 'day', day: '2026-01-01', runs: ['r2', 'r1'] },
  ]);
  assert.equal(tasks.all().length, 4);
  for (const key of ['hour#2026-01-01T17', 'hour#2026-01-01T05']) {
    const next = tasks.next()!;
    assert.equal(next.key, key);
    await tasks.done(next);
  }
  assert.deepEqual(tasks.next()!.task, { kind: 'day', day: '2026-01-01', runs: ['r1', 'r2'] });
});

test('A task sent again while it runs is not done with the run', async (t) => {
  const tasks = openTasks(t).open();
  await tasks.send([{ kind: 'day', day: '2026-01-01', runs: ['r1'] }]);
  const running = tasks.next()!;
  await tasks.send([{ kind: 'day', day: '2026-01-01', runs: ['r2'] }]);
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
  await tasks.send([{ kind: 'hour', hour: '2026-01-01T01' }]);
  assert.equal(tasks.all().find(({ key }) => key === 'hour#2026-01-01T01')!.parked, undefined);
});
