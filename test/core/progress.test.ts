import assert from 'node:assert/strict';
import { test } from 'node:test';
import { notCounted, readProgress, writeProgress } from '../../core/progress.ts';
import { MemoryStore } from '../memory.ts';

const PROGRESS = { completeThrough: 5, parkedHours: ['2026-11-18T18', '2026-11-19T10', '2026-11-20T18'], parkedDays: ['2026-11-17', '2026-11-20'] };

test('Progress is read as it was written, and is nothing before', async () => {
  const registry = new MemoryStore();
  assert.deepEqual(await readProgress(registry), { completeThrough: undefined, parkedHours: [], parkedDays: [] });
  await writeProgress(registry, PROGRESS);
  assert.deepEqual(await readProgress(registry), PROGRESS);
});

for (const [from, to, time_zone, missing] of [
  ['2026-11-19', '2026-11-19', 'UTC', ['2026-11-19T10']],
  ['2026-11-18', '2026-11-20', 'UTC', ['2026-11-18T18', '2026-11-19T10', '2026-11-20T18', '2026-11-20']],
  ['2026-11-17', '2026-11-17', 'UTC', ['2026-11-17']],
  // Midnight is 18:30 of the day before, in the middle of an hour: it belongs to both days.
  ['2026-11-19', '2026-11-19', 'Asia/Kolkata', ['2026-11-18T18', '2026-11-19T10']],
  ['2026-11-18', '2026-11-18', 'Asia/Kolkata', ['2026-11-18T18']],
  ['2026-11-21', '2026-11-22', 'Asia/Kolkata', ['2026-11-20T18']],
  ['2026-11-21', '2026-11-22', 'UTC', []],
] as const) {
  test(`Of ${from} to ${to} in ${time_zone} ${missing.join(' and ') || 'nothing'} could not be counted`, () => {
    assert.deepEqual(notCounted({ from, to, time_zone }, PROGRESS), missing);
  });
}
