import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Parked, Task } from '../../core/ports.ts';
import { compact } from '../../core/rollup.ts';
import { schedule } from '../../core/schedule.ts';
import { MemoryStore } from '../memory.ts';

const START = Date.parse('2026-11-20T10:00:00Z');
const MINUTE = 60_000;

function open() {
  const registry = new MemoryStore();
  const time = { now: START };
  const sent: Task[] = [];
  const parked: Parked[] = [];
  const ports = {
    registry, clock: () => time.now,
    tasks: { send: async (tasks: readonly Task[]) => { sent.push(...tasks); }, parked: async () => parked },
  };
  return {
    registry, sent, parked, time,
    /** A schedule so many minutes after the start; the lake is complete to five minutes before it. */
    at: async (minute: number, hours: string[] = [], { drained = true, recompute = false } = {}) => {
      time.now = START + minute * MINUTE;
      const announced = hours.map((hour) => ({ hour: `2026-11-20T${hour}`, recompute }));
      const { completeThrough } = await schedule({ announced, drained, through: time.now - 5 * MINUTE }, ports);
      return completeThrough === undefined ? undefined : (completeThrough - START) / MINUTE;
    },
    /** An hour's task that began at a minute, and what it left for a day to take up. */
    rolled: async (hour: string, minute: number, owes: boolean) => {
      const run = `${compact(START + minute * MINUTE)}-abc`;
      await registry.put([{ pk: 'hours', sk: `2026-11-20T${hour}`, checkedAt: START + minute * MINUTE, run, committedAt: START + minute * MINUTE, pending: [] }]);
      if (owes) await registry.put([{ pk: 'owed', sk: `2026-11-20#${run}`, run, hour: `2026-11-20T${hour}`, whole: false }]);
      return async () => registry.remove([{ pk: 'owed', sk: `2026-11-20#${run}` }]);
    },
  };
}

test('Announced hours become tasks, and the numbers are complete only when those and the days they changed are done', async () => {
  const { at, rolled, sent } = open();
  assert.equal(await at(0, ['08', '09']), undefined);
  assert.deepEqual(sent.map((task) => task.kind === 'hour' && task.hour), ['2026-11-20T08', '2026-11-20T09']);
  await rolled('08', 1, false);
  assert.equal(await at(5), undefined);
  const dayDone = await rolled('09', 6, true);
  assert.equal(await at(10), undefined);
  await dayDone();
  // Complete to where the lake was when the hours were announced; what came after was nothing, so further at once.
  assert.equal(await at(15), 5 + 5);
  assert.equal(await at(20), 15);
});

test('Where nothing is announced the numbers are as complete as the lake', async () => {
  const { at } = open();
  assert.equal(await at(0), -5);
  assert.equal(await at(5), 0);
});

test('An hour that was looked at before it was announced has to be looked at again', async () => {
  const { at, rolled } = open();
  await rolled('09', -1, false);
  await at(0, ['09']);
  assert.equal(await at(5), undefined);
  await rolled('09', 6, false);
  assert.equal(await at(10), 0 + 5);
});

test('Under steady load the numbers follow, whatever days still owe of later runs', async () => {
  const { at, rolled } = open();
  let through: number | undefined;
  const owed: (() => Promise<void>)[] = [];
  for (let minute = 0; minute <= 60; minute += 5) {
    through = await at(minute, ['10']);
    owed.push(await rolled('10', minute + 1, true));
    // The day's task is late: it takes up only what is older than ten minutes.
    if (owed.length > 2) await owed.shift()!();
  }
  assert.ok(through !== undefined && through >= 60 - 25, `complete to minute ${through}`);
});

test('As long as announcements were left unread nothing new is complete, and those that were read are not forgotten', async () => {
  const { at, rolled } = open();
  await at(0);
  assert.equal(await at(5, ['08'], { drained: false }), -5);
  assert.equal(await at(10, ['09'], { drained: false }), -5);
  assert.equal(await at(15), -5);
  await rolled('09', 16, false);
  assert.equal(await at(20), -5);
  await rolled('08', 21, false);
  assert.equal(await at(25), 20);
});

test('What is parked holds up nothing and is told; what is counted anew is not missing', async () => {
  const { at, parked, registry, rolled } = open();
  await at(0, ['07', '08']);
  await at(5, ['03'], { recompute: true });
  await rolled('08', 6, false);
  parked.push({ task: { kind: 'hour', hour: '2026-11-20T07', recompute: false }, attempts: 5, error: 'x' }, { task: { kind: 'day', day: '2026-11-19', recompute: true }, attempts: 5, error: 'x' });
  assert.equal(await at(10), 5);
  assert.deepEqual((await registry.get('status', 'progress')), { pk: 'status', sk: 'progress', at: START + 5 * MINUTE, hours: ['2026-11-20T07'], days: [] });
});

test('Ten years of hours due at once fit into an item', async () => {
  const { registry, time } = open();
  const from = Date.parse('2016-01-01T00:00:00Z');
  const announced = Array.from({ length: 87_672 }, (_, i) => ({ hour: new Date(from + i * 3_600_000).toISOString().slice(0, 13), recompute: false }));
  await schedule({ announced, drained: true, through: START }, { registry, clock: () => time.now, tasks: { send: async () => undefined, parked: async () => [] } });
  const item = (await registry.get('status', 'marks'))!;
  const { length } = item.gzip as Uint8Array;
  assert.ok(length > 1000 && length < 350_000, `${length} bytes`);
});
