// Counting by difference, and in slices of sites, against counting whole and at once: whatever is added to an hour, all give the
// same run, and write the same items.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { beaconEnvelope } from '../../core/collect.ts';
import type { Pays } from '../../core/difference.ts';
import { hourAfter, type Hour } from '../../core/hour.ts';
import { isSame } from '../../core/items.ts';
import { loaderOf } from '../../core/load.ts';
import type { HourTask, Lake, Statement, Store, StoreItem, Task } from '../../core/ports.ts';
import { readCommits, removeOldRuns, runTask, tasksFor, type RollupPorts, type Slicing } from '../../core/rollup.ts';
import { EXACT } from '../../core/sketch.ts';
import { duckdbLake } from '../../local/lake.ts';
import { chanceOf, type Chance } from '../chance.ts';
import { MemoryStore } from '../memory.ts';
import { openPipeline, type Pipeline } from '../pipeline.ts';
import { BROWSER, temporaryFolder } from '../process.ts';

const ALWAYS: Pays = { from: 0, added: 1 };

/** A rollup of its own over the pipeline's rows: by difference where that can be, or never; in slices of sites, or never. */
async function openRollup(t: TestContext, { lakeFolder, clock }: Pipeline, difference?: Pays, exact_visitors = EXACT, slicing?: Slicing) {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'lake'));
  mkdirSync(join(lakeFolder, 'events'), { recursive: true });
  symlinkSync(join(lakeFolder, 'events'), join(folder, 'lake', 'events'), 'junction');
  const lake = await duckdbLake(join(folder, 'lake'), { enginePath: join(folder, 'engine.duckdb'), temporary: join(folder, 'temporary'), memory: '1GB', threads: 1 });
  t.after(() => lake.close());
  const [registry, metrics] = [new MemoryStore(), new MemoryStore()];
  const statements: Statement[] = [];
  /** Of each query that was carried out in slices, how many. */
  const slices: number[] = [];
  const written = new Set<string>();
  const noted: Lake = {
    ...lake,
    unload(query, prefix) {
      statements.push(query.statement);
      if (query.slices) slices.push(query.slices.length);
      return lake.unload('exact_visitors' in query.parameters ? { ...query, parameters: { ...query.parameters, exact_visitors } } : query, prefix);
    },
  };
  const put = async (items: readonly StoreItem[]) => {
    for (const { pk, sk } of items) written.add(`${pk} ${sk}`);
    await metrics.put(items);
  };
  const load = loaderOf({ lake, metrics: { get: metrics.get.bind(metrics), put } });
  const ports: RollupPorts = { lake: noted, registry, load, sitesAtOnce: 10_000, ...(difference && { difference }), ...(slicing && { slicing }), clock, tasks: { send: async () => undefined, parked: async () => [] } };

  return {
    folder: join(folder, 'lake'), lake, registry, metrics, ports, slices,
    /** Carries out the hours that are due, and their days; resolves to what was asked, and which items were written. */
    async rollUp(hours: readonly Hour[], more: Partial<HourTask> = {}) {
      statements.length = 0;
      written.clear();
      const days = new Set<string>();
      const send: RollupPorts['tasks']['send'] = async (tasks) => { for (const task of tasks) if (task.kind === 'day') days.add(task.day); };
      const tasks = { ...ports.tasks, send };
      const due = await tasksFor(hours.map((hour) => ({ hour, recompute: false })), registry);
      for (const task of due) await runTask({ ...task, ...more } as Task, { ...ports, tasks });
      for (const day of [...days].sort()) await runTask({ kind: 'day', day }, { ...ports, tasks });
      return { statements: [...statements], written: [...written].sort() };
    },
    /** The rows of an hour's committed run, as lines in an order of their own. */
    async rowsOf(hour: Hour): Promise<string[]> {
      const run = (await readCommits(registry, hour, hour)).get(hour)?.run;
      const lines: string[] = [];
      const plain = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);
      const parts = run === undefined ? [] : readdirSync(join(folder, 'lake', 'hours', `run=${run}`));
      for (const part of parts) for await (const row of lake.rows(`hours/run=${run}/${part}`)) lines.push(JSON.stringify(row, plain));
      return lines.sort();
    },
  };
}

type Rollup = Awaited<ReturnType<typeof openRollup>>;

/** Where two rollups differ, said in words. */
async function differences(one: Rollup, other: Rollup, hours: readonly Hour[]): Promise<string[]> {
  const found: string[] = [];
  for (const hour of hours) {
    const [rows, others] = [await one.rowsOf(hour), await other.rowsOf(hour)];
    const [known, unknown] = [new Set(rows), new Set(others)];
    found.push(...rows.filter((row) => !unknown.has(row)).map((row) => `${hour} has ${row}`), ...others.filter((row) => !known.has(row)).map((row) => `${hour} has not ${row}`));
  }
  const items = new Map(other.metrics.all().map((item) => [`${item.pk} ${item.sk}`, item]));
  for (const item of one.metrics.all()) if (!isSame(item, items.get(`${item.pk} ${item.sk}`))) found.push(`${item.pk} ${item.sk} differs`);
  if (items.size !== one.metrics.all().length) found.push(`${one.metrics.all().length} items are not ${items.size}`);
  return found;
}

// ---- What happens

const HOUR: Hour = '2026-03-10T18';
const HOURS = [hourAfter(HOUR, -1), HOUR, hourAfter(HOUR)];
// In India midnight is at half past six, in the hour in the middle.
const ZONES = ['UTC', 'Asia/Kolkata', 'America/New_York'];
const MINUTE = 60_000;
const START = Date.parse(`${HOURS[0]}:00:00Z`);
const CRAWLER = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)';
const NAMES = ['page_view', 'page_view', 'page_view', 'view_item', 'add_to_cart', 'begin_checkout', 'purchase', 'refund', 'sign_up'];
const CAME = ['', '?utm_source=news&utm_medium=email', '?gclid=1', '?utm_campaign=a&utm_source=b'];

/** An event of a small world, so that visits grow, pages meet, and ids come again. */
function eventOf(chance: Chance, isCommon: boolean): Record<string, unknown> {
  const name = chance.of(NAMES);
  const isCommerce = name !== 'page_view' && name !== 'sign_up';
  return {
    name,
    ...(chance.happens(0.8) && { url: `https://shop.example/${chance.of(['', 'a', 'b', 'c'])}${chance.of(CAME)}` }),
    ...(chance.happens(0.9) && { visitor: isCommon ? 'common' : `v${chance.upTo(11)}` }),
    ...(chance.happens(0.3) && { id: `e${chance.upTo(30)}` }),
    ...(isCommerce && { value: chance.of([5, 7.5, 20]), currency: chance.of(['EUR', 'EUR', 'USD']) }),
    ...(name === 'purchase' && chance.happens(0.6) && { transaction_id: `t${chance.upTo(8)}` }),
    ...(isCommerce && chance.happens(0.6) && { items: Array.from({ length: 1 + chance.upTo(1) }, () => ({ id: `p${chance.upTo(3)}`, price: 5, quantity: 1 + chance.upTo(2) })) }),
    // Refused.
    ...(chance.happens(0.05) && { value: 'a lot' }),
  };
}

/** Records of requests to all sites, each of which one happens at a time of its own; as many for each chunk. */
function chunksOf(chance: Chance, sites: readonly string[], chunks: number, each: number): string[][] {
  let requests = 0;
  const records = (from: number, to: number, count: number) => Array.from({ length: count }, () => {
    // Moments meet as well.
    const at = from + chance.upTo((to - from) / MINUTE - 1) * MINUTE + chance.of([0, 0, 1]);
    const userAgent = chance.happens(0.07) ? CRAWLER : BROWSER;
    const events = Array.from({ length: 1 + chance.upTo(2) }, () => eventOf(chance, chance.happens(0.1)));
    return JSON.stringify(beaconEnvelope({ id: `r${requests++}`, at, userAgent }, JSON.stringify({ site: chance.of(sites), events })));
  });
  const span = HOURS.length * 60 * MINUTE;
  const result = Array.from({ length: chunks }, (_, i) => {
    const now = START + Math.ceil(((i + 1) * span) / chunks / MINUTE) * MINUTE;
    // Most of it just now, some late.
    return [...records(Math.max(START, now - 20 * MINUTE), now, Math.ceil(each * 0.8)), ...records(START, now, Math.floor(each * 0.2))];
  });
  // Some are delivered twice, in one chunk or in different ones.
  for (const record of result.flat()) if (chance.happens(0.05)) chance.of(result).push(record);
  return result;
}

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
      await pipeline.log.put(records);
      const hours = new Set<Hour>();
      await pipeline.deliver({ announce: async (announced) => { for (const hour of announced) hours.add(hour); } });
      const [one, other] = [await byDifference.rollUp([...hours].sort()), await whole.rollUp([...hours].sort())];
      assert.deepEqual(await differences(byDifference, whole, HOURS), [], `chunk ${i}`);
      assert.deepEqual(one.written, other.written, `chunk ${i}`);
      asked.push(...one.statements);
    }
    const times = (name: Statement) => asked.filter((statement) => statement === name).length;
    // Whole only what had not been counted before.
    t.diagnostic(`hours: ${times('grown')} times by difference, ${times('changes')} times whole; days: ${times('day_items')}, ${times('days')}`);
    assert.equal(times('changes'), HOURS.length);
    assert.ok(times('grown') > 10 && times('day_items') > 10);
    assert.equal(times('touched'), times('grown'));
  });
}

// ---- In slices of sites

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
      await pipeline.log.put(records);
      const hours = new Set<Hour>();
      await pipeline.deliver({ announce: async (announced) => { for (const hour of announced) hours.add(hour); } });
      const [one, other] = [await sliced.rollUp([...hours].sort()), await whole.rollUp([...hours].sort())];
      assert.deepEqual(await differences(sliced, whole, HOURS), [], `chunk ${i}`);
      assert.deepEqual(one.written, other.written, `chunk ${i}`);
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
    await pipeline.log.put(sites.map((site) => request(site, 0, [view('ann')])));
    await pipeline.deliver({ announce: async () => undefined });
    const [one, other] = [await sliced.rollUp([HOUR]), await whole.rollUp([HOUR])];
    assert.deepEqual(await differences(sliced, whole, HOURS), []);
    assert.deepEqual(one.written, other.written);
  }
  assert.deepEqual(sliced.slices, [5, 5, 5, 2, 2, 2]);
});

// ---- One hour, to which something is added

const AT = Date.parse(`${HOUR}:20:00Z`);
let requests = 0;

/** A request with events of the hour, at a minute after the one in which it began. */
function request(site: string, minute: number, events: object[], userAgent = BROWSER): string {
  return JSON.stringify(beaconEnvelope({ id: `q${requests++}`, at: AT + minute * MINUTE, userAgent }, JSON.stringify({ site, events })));
}

const view = (visitor: string, more: object = {}) => ({ name: 'page_view', url: 'https://shop.example/', visitor, ...more });

/** A pipeline with a site, and its rollups by difference and whole. */
async function openHour(t: TestContext, difference: Pays = ALWAYS) {
  const pipeline = await openPipeline(t, '2026-03-10T21:00:00Z');
  await pipeline.site('shop');
  const byDifference = await openRollup(t, pipeline, difference);
  const whole = await openRollup(t, pipeline);
  return {
    pipeline, byDifference, whole,
    deliver: async (...records: string[]) => {
      await pipeline.log.put(records);
      await pipeline.deliver({ announce: async () => undefined });
    },
    /** Rolls up both, and finds no difference; resolves to how the one by difference did it. */
    rollUp: async (more?: Partial<HourTask>): Promise<'whole' | 'by difference' | 'not at all'> => {
      const { statements, written } = await byDifference.rollUp([HOUR], more);
      const other = await whole.rollUp([HOUR]);
      assert.deepEqual(await differences(byDifference, whole, HOURS), []);
      assert.deepEqual(written, other.written);
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
