// Counting an hour in slices of its sites against counting it at once: both give the same run, and write the same items.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Pays } from '../../core/difference.ts';
import { EXACT } from '../../core/sketch.ts';
import { chanceOf } from '../chance.ts';
import { openPipeline } from '../pipeline.ts';
import { ALWAYS, ZONES, chunksOf, deliver, openRollup, request, rollUpBoth, view } from '../rollups.ts';

/** Ids that begin as others do, and go on with what sorts before or behind letters; of sites that are of uneven size. */
const IDS = ['a', 'a', 'a', 'a', 'a', 'a-', 'a--', 'a-b', 'a-b', 'a0', 'aa', 'ab', 'ab', 'ab-', 'b', '0', '0-', 'z'.repeat(63)];

for (const [seed, difference] of (process.env.CI ? [[1], [2], [3], [4, ALWAYS], [5, ALWAYS]] : [[1], [4, ALWAYS]]) as [number, Pays?][]) {
  test(`Whatever hours have, counted in slices of sites they are what they are counted at once${difference ? ', also where later it is by difference' : ''} (seed ${seed})`, async (t) => {
    const chance = chanceOf(seed);
    const pipeline = await openPipeline(t, '2026-03-10T21:00:00Z');
    // One becomes known only later: until then its events are those of `_unknown`, with the keys that they have from then on.
    const late = chance.of(['a-b', 'ab', '0']);
    for (const [i, id] of [...new Set(IDS)].entries()) if (id !== late) await pipeline.site(id, ZONES[i % ZONES.length]);
    const rows = 5 + chance.upTo(40);
    const sliced = await openRollup(t, pipeline, difference, 6, { from: 0, rows });
    const whole = await openRollup(t, pipeline, undefined, 6);
    const chunks = chunksOf(chance, IDS, 3, 60);
    for (const [i, records] of [...chunks, chunks[0]!].entries()) {
      if (i === 2) await pipeline.site(late);
      await rollUpBoth(sliced, whole, await deliver(pipeline, records), { where: `chunk ${i}` });
    }
    t.diagnostic(`slices of ${rows} rows: ${sliced.slices.join(', ')}`);
    assert.ok(Math.max(...sliced.slices) > 2);
  });
}

test('A site that vanished from an hour vanishes when that is counted in slices, whichever it would be in', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T21:00:00Z');
  for (const id of ['0', 'a', 'b', 'c', 'z']) await pipeline.site(id);
  const sliced = await openRollup(t, pipeline, undefined, EXACT, { from: 0, rows: 1 });
  const whole = await openRollup(t, pipeline);
  const partition = join(pipeline.lakeFolder, 'events', 'dt=2026-03-10', 'hr=18');
  for (const sites of [['0', 'a', 'b', 'c', 'z'], ['a', 'c']]) {
    rmSync(partition, { recursive: true, force: true });
    await rollUpBoth(sliced, whole, await deliver(pipeline, sites.map((site) => request(site, 0, [view('ann')]))));
  }
  assert.deepEqual(sliced.slices, [5, 5, 5, 2, 2, 2]);
});
