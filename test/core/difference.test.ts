// Counting by difference against counting whole: whatever is added to an hour, both give the same run, and write the same items.
import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { LARGE_DAY_EVENTS, type Pays } from '../../core/difference.ts';
import { hourAfter } from '../../core/hour.ts';
import type { HourTask, Statement, Store } from '../../core/ports.ts';
import { readCommits, removeOldRuns, runTask, type RollupPorts } from '../../core/rollup.ts';
import { chanceOf } from '../chance.ts';
import { openPipeline } from '../pipeline.ts';
import { ALWAYS, CRAWLER, HOUR, HOURS, ZONES, chunksOf, deliver, differences, openRollup, request, rollUpBoth, view, type Rollup } from '../rollups.ts';

const SEEDS = process.env.CI ? [1, 2, 3, 4, 5, 6] : [1];
for (const seed of SEEDS) {
  test(`Whatever is added to hours, counted by difference they are what they are counted whole (seed ${seed})`, async (t) => {
    const chance = chanceOf(seed);
    const pipeline = await openPipeline(t, '2026-03-10T21:00:00Z');
    const sites = Array.from({ length: 9 }, (_, i) => `s${i}`);
    for (const [i, id] of sites.entries()) await pipeline.site(id, ZONES[i % ZONES.length]);
    // Sketches are exact for less visitors than many a quarter has here.
    const byDifference = await openRollup(t, pipeline, ALWAYS, 6);
    const whole = await openRollup(t, pipeline, undefined, 6);
    const asked: Statement[] = [];
    for (const [i, records] of chunksOf(chance, sites, 9, 60).entries()) {
      asked.push(...await rollUpBoth(byDifference, whole, await deliver(pipeline, records), { where: `chunk ${i}` }));
    }
    const times = (name: Statement) => asked.filter((statement) => statement === name).length;
    // Whole only what had not been counted before.
    t.diagnostic(`hours: ${times('grown')} times by difference, ${times('changes')} times whole; days: ${times('day_items')}, ${times('days')}`);
    assert.equal(times('changes'), HOURS.length);
    assert.ok(times('grown') > 10 && times('day_items') > 10);
    assert.equal(times('touched'), times('grown'));
  });
}

// ---- One hour, to which something is added

/** A pipeline with a site, and its rollups by difference and whole. */
async function openHour(t: TestContext, difference: Pays = ALWAYS) {
  const pipeline = await openPipeline(t, '2026-03-10T21:00:00Z');
  await pipeline.site('shop');
  const byDifference = await openRollup(t, pipeline, difference);
  const whole = await openRollup(t, pipeline);
  return {
    pipeline, byDifference, whole,
    deliver: (...records: string[]) => deliver(pipeline, records),
    /** Rolls up both, and finds no difference; resolves to how the one by difference did it. */
    rollUp: async (more?: Partial<HourTask>): Promise<'whole' | 'by difference' | 'not at all'> => {
      const statements = await rollUpBoth(byDifference, whole, [HOUR], { more });
      if (statements.includes('changes')) return 'whole';
      return statements.includes('grown') ? 'by difference' : 'not at all';
    },
  };
}

test('A sketch is exact until it has 128 visitors, and registers from then on, by difference as well', async (t) => {
  const { byDifference, deliver, rollUp } = await openHour(t);
  const told: [visitors: number, entries: number, fingerprints: boolean][] = [];
  let visitors = 0;
  for (const more of [100, 28, 1, 1, 70]) {
    const people = Array.from({ length: more }, () => view(`v${visitors++}`));
    await deliver(request('shop', 0, people));
    assert.equal(await rollUp(), visitors === 100 ? 'whole' : 'by difference');
    const [row] = (await byDifference.rowsOf(HOUR)).map((line) => JSON.parse(line) as { dimension: string; sketch: number[] }).filter(({ dimension }) => dimension === '');
    told.push([visitors, row!.sketch.length, row!.sketch.every((entry) => entry % 2 ** 18 >= 64)]);
  }
  assert.deepEqual(told.slice(0, 2), [[100, 100, true], [128, 128, true]]);
  for (const [number, entries, fingerprints] of told.slice(2)) {
    assert.equal(fingerprints, false);
    assert.ok(entries <= number && entries > number - 15, `${entries} registers of ${number} visitors`);
  }
});

test('An hour is counted whole where it has not been counted, is to be recomputed, or its items are wanted', async (t) => {
  const { deliver, rollUp } = await openHour(t);
  await deliver(request('shop', 0, [view('ann')]));
  assert.equal(await rollUp(), 'whole');
  await deliver(request('shop', 1, [view('bob')]));
  assert.equal(await rollUp(), 'by difference');
  for (const more of [{ recompute: true }, { whole: 'job' }]) {
    await deliver(request('shop', 2, [view('cid')]));
    assert.equal(await rollUp(more), 'whole');
    await deliver(request('shop', 3, [view('cid')]));
    assert.equal(await rollUp(), 'by difference');
  }
});

test('An hour is counted whole where a file is gone that its run was counted from', async (t) => {
  const { pipeline, deliver, rollUp } = await openHour(t);
  for (const visitor of ['ann', 'bob']) await deliver(request('shop', 0, [view(visitor)]));
  await rollUp();
  const partition = join(pipeline.lakeFolder, 'events', 'dt=2026-03-10', 'hr=18');
  rmSync(join(partition, readdirSync(partition).sort()[0]!));
  await deliver(request('shop', 1, [view('cid')]));
  assert.equal(await rollUp(), 'whole');
});

test('An hour is counted whole where other statements counted it, or nobody knows from what', async (t) => {
  const { byDifference: { registry }, deliver, rollUp } = await openHour(t);
  await deliver(request('shop', 0, [view('ann')]));
  await rollUp();
  const noted = async () => (await registry.range('files', '', '~')).at(-1)!;
  await registry.put([{ ...await noted(), by: 'others' }]);
  await deliver(request('shop', 1, [view('bob')]));
  assert.equal(await rollUp(), 'whole');
  await registry.remove([await noted()]);
  await deliver(request('shop', 2, [view('cid')]));
  assert.equal(await rollUp(), 'whole');
  await deliver(request('shop', 3, [view('dan')]));
  assert.equal(await rollUp(), 'by difference');
});

for (const [why, pays] of [['there is little of it', { from: 10_000_000, added: 1 }], ['much of it was added', { from: 0, added: 0.2 }]] as const) {
  test(`An hour is counted whole where ${why}`, async (t) => {
    const { deliver, rollUp } = await openHour(t, pays);
    for (const minute of [0, 1, 2]) {
      await deliver(request('shop', minute, [view('ann')]));
      assert.equal(await rollUp(), 'whole');
    }
  });
}

test('An hour to which nothing was added is not counted; one whose additions count for nothing keeps its run, and they are not looked at again', async (t) => {
  const { byDifference: { registry }, deliver, rollUp } = await openHour(t);
  const same = request('shop', 0, [view('ann')]);
  await deliver(same);
  await rollUp();
  assert.equal(await rollUp(), 'not at all');
  const [{ run } = {}] = (await readCommits(registry, HOUR, HOUR)).values();
  await deliver(same);
  assert.equal(await rollUp(), 'by difference');
  assert.equal(await rollUp(), 'not at all');
  assert.equal((await readCommits(registry, HOUR, HOUR)).get(HOUR)?.run, run);
});

test('An hour is counted whole where a site has a quarter of two local days, as it changed its zone', async (t) => {
  const { pipeline, deliver, rollUp } = await openHour(t);
  await deliver(request('shop', 0, [view('ann')]));
  await rollUp();
  await pipeline.site('shop', 'Asia/Tokyo');
  await deliver(request('shop', 1, [view('ann')]));
  assert.equal(await rollUp(), 'whole');
  // Also where who comes was not there before.
  await deliver(request('shop', 2, [view('bob')]));
  assert.equal(await rollUp(), 'whole');
  // Where nothing more comes of that quarter, nothing is in doubt.
  await deliver(request('shop', 30, [view('ann')]));
  assert.equal(await rollUp(), 'by difference');
});

for (const name of ['purchase', 'refund']) {
  test(`An hour is counted whole where the revenue of a ${name} is near the limit of what is stored, and its day has what is stored at most`, async (t) => {
    const { pipeline, byDifference, whole, deliver, rollUp } = await openHour(t);
    await pipeline.site('absurd');
    await deliver(request('shop', 0, [view('ann')]), request('absurd', 0, [view('ann')]));
    await rollUp();
    await deliver(request('shop', 0, [view('cid')]));
    assert.equal(await rollUp(), 'by difference');
    const sale = { name, value: 1e9, visitor: 'x' };
    const many = (minute: number) => Array.from({ length: 50 }, () => request('absurd', minute, Array.from({ length: 82 }, () => sale)));
    // 4,100 × 10^15 millionths come close; as many again are more than a sum may be.
    for (let i = 0; i < 2; i++) {
      await deliver(...many(1));
      assert.equal(await rollUp(), 'whole');
      await deliver(request('shop', 2, [view('bob')]));
      assert.equal(await rollUp(), 'whole');
    }
    // With another hour the day has more than a bigint holds.
    await deliver(...many(41));
    const after = hourAfter(HOUR);
    const { statements } = await byDifference.rollUp([after]);
    assert.ok(statements.includes('day_items'));
    await whole.rollUp([after]);
    assert.deepEqual(await differences(byDifference, whole, HOURS), []);
  });
}

/** What is added to what was there, each on a site of its own: records of requests to it. */
const GROWTHS: Record<string, (site: string) => [there: string[], added: string[]]> = {
  'goes on with a visit after exactly half an hour': (site) => [[request(site, 0, [view('ann')])], [request(site, 30, [view('ann')])]],
  'happens at the moment at which a visit began': (site) => [[request(site, 0, [view('ann')])], [request(site, 0, [view('ann')])]],
  // In the hour before; what follows in this one begins its visit then.
  'takes the place of what a visit began with': (site) => [
    [request(site, -21, [view('ann', { id: 'same' })]), request(site, -15, [view('ann')])], [request(site, -20.5, [view('bob', { id: 'same' })])],
  ],
  'comes once more by a crawler': (site) => [[request(site, 0, [view('ann', { id: 'same' })])], [request(site, 1, [view('ann', { id: 'same' })], CRAWLER)]],
  'comes once more and is refused': (site) => [[request(site, 0, [view('ann', { id: 'same' })])], [request(site, 1, [view('ann', { id: 'same', value: 'a lot' })])]],
  'has items, and is no deed that counts': (site) => [[request(site, 0, [view('ann')])], [request(site, 1, [{ name: 'sign_up', items: [{ id: 'p', price: 5 }] }])]],
  'has more values than a day has, and one called as the rest is': (site) => {
    const views = (from: string) => request(site, 0, Array.from({ length: 60 }, (_, n) => ({ name: 'page_view', url: `https://shop.example/${from}${n}?utm_source=${n % 20 === 0 ? '(other)' : from + n}` })));
    return [[views('a')], [views('b')]];
  },
  ...Object.fromEntries(['view_item', 'add_to_cart', 'begin_checkout', 'purchase', 'refund'].map((name) => [
    `makes ${name} of what was none`, (site: string) => [[request(site, 0, [{ name: 'sign_up', visitor: 'ann', id: 'same' }])], [request(site, 1, [{ name, visitor: 'ann', id: 'same' }])]],
  ])),
};

test('Whatever an added event does to what was there, by difference the hour and its day, site by site, are what they are counted whole', async (t) => {
  const { pipeline, byDifference, deliver, rollUp } = await openHour(t);
  byDifference.ports.sitesAtOnce = 1;
  const records = Object.values(GROWTHS).map((growth, i) => growth(`s${i}`));
  for (const i of records.keys()) await pipeline.site(`s${i}`);
  await deliver(...records.flatMap(([there]) => there));
  assert.equal(await rollUp(), 'whole');
  await deliver(...records.flatMap(([, added]) => added));
  assert.equal(await rollUp(), 'by difference');
});

test('A visitor who vanishes from a quarter is seen, also where nobody foresaw it: then the hour is counted whole', async (t) => {
  const { byDifference, deliver, rollUp } = await openHour(t);
  const copy = (visitor: string, minute: number) => request('shop', minute, [view(visitor, { id: 'same' })]);
  await deliver(copy('ann', 0), request('shop', 0, [view('cid')]));
  await rollUp();
  await deliver(copy('bob', 1));
  assert.equal(await rollUp(), 'by difference');
  const unload = byDifference.ports.lake.unload.bind(byDifference.ports.lake);
  byDifference.ports.lake.unload = (query, prefix) => unload(query.reads.copies ? { ...query, reads: { ...query.reads, copies: [] } } : query, prefix);
  await deliver(copy('dan', 2));
  assert.equal(await rollUp(), 'whole');
});

/** Ports whose call number `nth` of those that change something throws before it does; `died` is told which it was. */
function dyingPorts({ ports }: Rollup, nth: number, died: string[]): RollupPorts {
  let calls = 0;
  const dying = <A extends unknown[], R>(name: string, call: (...args: A) => Promise<R>) => async (...args: A): Promise<R> => {
    if (++calls !== nth) return call(...args);
    died.push(name);
    throw new Error(`died before ${name}`);
  };
  const { lake, registry, load } = ports;
  return {
    ...ports,
    lake: {
      ...lake,
      unload: (query, prefix) => dying(query.statement, lake.unload.bind(lake))(query, prefix),
      remove: dying('lake.remove', lake.remove.bind(lake)),
    },
    registry: Object.assign(Object.create(registry) as Store, { put: dying('put', registry.put.bind(registry)), remove: dying('remove', registry.remove.bind(registry)) }),
    load: dying('load', load),
  };
}

test('An hour by difference that dies at any point is made good by its retry', async (t) => {
  const { pipeline, byDifference, whole, deliver, rollUp } = await openHour(t);
  await deliver(request('shop', 0, [view('ann', { id: 'a' })]), request('shop', 0, [view('bob')]));
  await rollUp();
  const died: string[] = [];
  for (let nth = 1; ; nth++) {
    // A site of its own, which no later rollup makes good.
    await pipeline.site(`s${nth}`);
    await deliver(request('shop', nth % 30, [view('ann'), view(`v${nth}`, { id: 'a' })]), request(`s${nth}`, nth % 30, [view('bob')]));
    if (await runTask({ kind: 'hour', hour: HOUR }, dyingPorts(byDifference, nth, died)).then(() => true, () => false)) break;
    const { statements } = await byDifference.rollUp([HOUR]);
    assert.ok(!statements.includes('changes'), `counted whole after it died before call ${nth}, ${died.at(-1)}`);
  }
  for (const name of ['copies', 'affected', 'steps', 'hours', 'differences', 'grown', 'difference_changes', 'hour_items', 'summary', 'lake.remove', 'put', 'load']) {
    assert.ok(died.includes(name), `it never died before ${name}`);
  }
  await byDifference.rollUp([HOUR]);
  await whole.rollUp([HOUR]);
  assert.deepEqual(await differences(byDifference, whole, HOURS), []);

  // And nothing is left behind but what is committed, and what its day adds to.
  await removeOldRuns({ ...byDifference, clock: () => pipeline.clock() + 1000 }, 0);
  const [{ run } = {}] = (await readCommits(byDifference.registry, HOUR, HOUR)).values();
  const values = (await byDifference.registry.get('day_values', '2026-03-10'))!.run as string;
  const kept: Record<string, string[]> = { hours: [run!], changes: [run!], day_values: [values] };
  for (const files of readdirSync(byDifference.folder).filter((name) => name !== 'events')) {
    assert.deepEqual(readdirSync(join(byDifference.folder, files)), (kept[files] ?? []).map((name) => `run=${name}`), files);
  }
  assert.deepEqual((await byDifference.registry.range('files', '', '~')).map(({ sk }) => sk), [run]);

  // When the day is long over, what it added to is of no use any more.
  await removeOldRuns({ ...byDifference, clock: () => Date.parse('2026-03-14T00:00:00Z') }, 0);
  assert.deepEqual(readdirSync(join(byDifference.folder, 'day_values')), []);
});

test('What a run by difference wrote before it died is made good also where what is added since takes its difference back', async (t) => {
  const { byDifference, whole, deliver, rollUp } = await openHour(t);
  const { ports } = byDifference;
  const copy = (minute: number, name: string) => request('shop', minute, [{ name, visitor: 'ann', id: 'same' }]);
  await deliver(copy(0, 'sign_up'));
  await rollUp();
  await deliver(copy(1, 'view_item'));
  const load: RollupPorts['load'] = async (loads) => {
    await ports.load(loads);
    throw new Error('died after load');
  };
  await assert.rejects(runTask({ kind: 'hour', hour: HOUR }, { ...ports, load }), /^Error: died after load$/);
  await deliver(copy(2, 'sign_up'));
  const { statements } = await byDifference.rollUp([HOUR]);
  assert.ok(statements.includes('difference_changes') && !statements.includes('changes'));
  await whole.rollUp([HOUR]);
  assert.deepEqual(await differences(byDifference, whole, HOURS), []);
});

test('A day that adds up differences and dies at any point adds none twice', async (t) => {
  const { pipeline, byDifference, whole, deliver, rollUp } = await openHour(t);
  await deliver(request('shop', 0, [view('ann')]));
  await rollUp();
  await deliver(request('shop', 0, [view('bob')]));
  await rollUp();
  const died: string[] = [];
  for (let nth = 1; ; nth++) {
    await pipeline.site(`s${nth}`);
    await deliver(request('shop', nth % 30, [view('ann')]), request(`s${nth}`, nth % 30, [view('bob')]));
    await runTask({ kind: 'hour', hour: HOUR }, byDifference.ports);
    const day = { kind: 'day', day: '2026-03-10' } as const;
    if (await runTask(day, dyingPorts(byDifference, nth, died)).then(() => true, () => false)) break;
    // Another hour's run may be owed by then as well.
    if (nth % 2 === 0) {
      await deliver(request('shop', nth % 30, [view('cid')]));
      await runTask({ kind: 'hour', hour: HOUR }, byDifference.ports);
    }
    await runTask(day, byDifference.ports);
    await whole.rollUp([HOUR]);
    assert.deepEqual(await differences(byDifference, whole, HOURS), [], `died before call ${nth}, ${died.at(-1)}`);
  }
  assert.deepEqual([...new Set(died)].sort(), ['day_items', 'day_values', 'lake.remove', 'load', 'put', 'remove', 'slices']);
});

test('A day is added up anew where other statements had added it up, and where an hour of it was counted whole again', async (t) => {
  const { byDifference, deliver, rollUp } = await openHour(t);
  const { registry, ports } = byDifference;
  const added: number[] = [];
  const unload = ports.lake.unload.bind(ports.lake);
  ports.lake.unload = (query, prefix) => {
    if (query.statement === 'day_values') added.push((query.parameters.before as string[]).length);
    return unload(query, prefix);
  };
  const add = async (visitor: string, more?: Partial<HourTask>) => {
    await deliver(request('shop', 0, [view(visitor)]));
    await rollUp(more);
  };
  await add('ann');
  await add('bob');
  await add('cid');
  assert.deepEqual(added, [0, 1]);
  await add('dan', { recompute: true });
  await add('eve');
  assert.deepEqual(added, [0, 1, 0, 1]);
  await registry.put([{ ...(await registry.get('day_values', '2026-03-10'))!, by: 'others' }]);
  await add('fay');
  await add('gil');
  assert.deepEqual(added, [0, 1, 0, 1, 0, 1]);
});

test('A large day is added up first also where its hours were counted whole, and is what it is made at once', async (t) => {
  const { byDifference, whole, deliver, rollUp } = await openHour(t);
  const { registry, ports } = byDifference;
  await deliver(request('shop', 0, [view('ann'), view('bob')]));
  assert.equal(await rollUp(), 'whole');
  const asked: Statement[] = [];
  const unload = ports.lake.unload.bind(ports.lake);
  ports.lake.unload = (query, prefix) => {
    asked.push(query.statement);
    return unload(query, prefix);
  };
  const commit = (await registry.get('hours', HOUR))!;
  for (const events of [LARGE_DAY_EVENTS - 1, LARGE_DAY_EVENTS]) {
    await registry.put([
      { ...commit, summary: { ...(commit.summary as object), events } },
      { pk: 'owed', sk: `2026-03-10#${commit.run as string}`, run: commit.run, hour: HOUR, whole: false, adds: 'hours' },
    ]);
    await runTask({ kind: 'day', day: '2026-03-10' }, ports);
    assert.deepEqual(await differences(byDifference, whole, HOURS), [], `${events} events`);
  }
  assert.deepEqual(asked, ['slices', 'days', 'day_values', 'slices', 'day_items']);
});
