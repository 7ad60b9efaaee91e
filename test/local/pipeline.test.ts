// The stages together on real engines, where they have to stand what goes wrong between them.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { readCommits, removeOldRuns } from '../../core/rollup.ts';
import { deliver, removeRecordsBefore } from '../../local/deliver.ts';
import { openPipeline } from '../pipeline.ts';

const view = (path: string, visitor: string, more: object = {}) => ({ name: 'page_view', url: `https://shop.example${path}`, visitor, ...more });
const DAY = { from: '2026-03-10', to: '2026-03-10' };

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name)).sort();
}

test('Rows lie in the partition of their hour, the raw record beside them, and what is no envelope whole under failed', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  await pipeline.send('shop', [view('/a', 'ann')]);
  await pipeline.sendBatch('shop', [view('/b', 'ann', { time: '2026-03-09T23:59:59Z' })]);
  await pipeline.log.put(['no envelope "at all"']);
  await pipeline.deliver();
  const files = filesUnder(pipeline.lakeFolder).map((file) => file.slice(pipeline.lakeFolder.length + 1).replaceAll('\\', '/'));
  assert.deepEqual(files.map((file) => file.replace(/[^/]*$/, '')), [
    'events/dt=2026-03-09/hr=23/', 'events/dt=2026-03-10/hr=12/', 'failed/dt=2026-03-10/hr=12/', 'raw/dt=2026-03-10/hr=12/',
  ]);
  const read = (part: string) => readFileSync(join(pipeline.lakeFolder, files.find((file) => file.startsWith(part))!));
  const raw = gunzipSync(read('raw')).toString().trimEnd().split('\n');
  assert.equal(raw.length, 3);
  assert.equal(raw[2], 'no envelope "at all"');
  const failed = JSON.parse(read('failed').toString()) as { record: string; error: string };
  assert.equal(failed.record, 'no envelope "at all"');
  assert.match(failed.error, /not JSON/);
  assert.match(pipeline.reports.join(), /^1 records could not become rows/);
});

test('A crash between the file and the checkpoint delivers twice and counts once', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  await pipeline.send('shop', [view('/a', 'ann'), { ...view('/a', 'ann'), name: 'purchase', value: 5, items: [{ id: 'x', price: 5 }] }]);
  const down = { ...pipeline.tasks, announce: () => Promise.reject(new Error('crash')) };
  await assert.rejects(pipeline.deliver(down), /crash/);
  await pipeline.deliver();
  assert.equal(filesUnder(join(pipeline.lakeFolder, 'events')).length, 2);
  await pipeline.rollup();
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'events,pageviews,visitors,visits,purchases,revenue' }), { events: 2, pageviews: 1, visitors: 1, visits: 1, purchases: 1, revenue: 5 });
  assert.deepEqual(await pipeline.breakdown('shop', { ...DAY, dimension: 'product', metrics: 'items,revenue' }), { x: { items: 1, revenue: 5 } });
});

/** Five events in a record each, delivered in rounds of two records. */
async function openInRounds(t: TestContext) {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  for (let i = 0; i < 5; i++) await pipeline.send('shop', [view(`/${i}`, 'ann')]);
  let rounds = 0;
  const inRounds = (tasks = pipeline.tasks) => deliver({ ...pipeline.deliverPorts, tasks }, async () => { rounds++; }, { records: 2, chars: 1_000_000 });
  return { pipeline, inRounds, rounds: () => rounds };
}

test('What does not fit into a round is delivered by the next ones, in the order of the log', async (t) => {
  const { pipeline, inRounds, rounds } = await openInRounds(t);
  await inRounds();
  assert.equal(rounds(), 3);
  assert.equal(pipeline.log.oldest(), undefined);
  const raw = filesUnder(join(pipeline.lakeFolder, 'raw')).sort().map((file) => gunzipSync(readFileSync(file)).toString().trimEnd().split('\n'));
  assert.deepEqual(raw.map((records) => records.map((record) => /shop\.example\/(\d)/.exec(record)![1])), [['0', '1'], ['2', '3'], ['4']]);
  await pipeline.rollup();
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'events' }), { events: 5 });
});

test('Where a round does not get into the lake the next does not go past it, and what both held is delivered again and counted once', async (t) => {
  const { pipeline, inRounds, rounds } = await openInRounds(t);
  const first = pipeline.log.oldest();
  let failed = false;
  const announce = async (hours: readonly string[]) => {
    if (hours.length === 0 || failed) return pipeline.tasks.announce(hours);
    failed = true;
    // The next round has been transformed by then.
    await pause(50);
    throw new Error('crash');
  };
  await assert.rejects(inRounds({ ...pipeline.tasks, announce }), /crash/);
  assert.equal(rounds(), 0);
  assert.deepEqual(pipeline.log.oldest(), first);
  await inRounds({ ...pipeline.tasks, announce });
  assert.equal(rounds(), 3);
  assert.equal(pipeline.log.oldest(), undefined);
  await pipeline.rollup();
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'events' }), { events: 5 });
});

test('A damaged Parquet file holds up its own hour only, is named, and is right again when mended', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  await pipeline.sendBatch('shop', [view('/a', 'ann', { time: '2026-03-10T03:00:00Z' }), view('/b', 'bob', { time: '2026-03-10T08:00:00Z' })]);
  await pipeline.deliver();
  const [damaged] = filesUnder(join(pipeline.lakeFolder, 'events/dt=2026-03-10/hr=03'));
  const whole = readFileSync(damaged!);
  writeFileSync(damaged!, whole.subarray(0, whole.length / 2));
  await pipeline.rollup();
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'pageviews' }), { pageviews: 1 });
  const told = pipeline.reports.filter((line) => line.includes('failed'));
  assert.equal(told.length, 1);
  assert.match(told[0]!, /^hour#2026-03-10T03 failed \(attempt 1\): .*hr=03/);

  writeFileSync(damaged!, whole);
  pipeline.at('2026-03-10T12:31:00Z');
  await pipeline.rollup();
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'pageviews' }), { pageviews: 2 });
});

test('Only the sites that changed are written', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  for (const id of ['a', 'b', 'c']) await pipeline.site(id);
  for (const id of ['a', 'b', 'c']) await pipeline.send(id, [view('/', 'ann')]);
  await pipeline.deliver();
  await pipeline.rollup();
  assert.equal(pipeline.written.length, 9);
  pipeline.written.length = 0;
  await pipeline.send('b', [view('/', 'bob')]);
  await pipeline.deliver();
  await pipeline.rollup();
  assert.deepEqual(pipeline.written.map(({ pk, sk }) => `${pk} ${sk}`), ['b H#2026-03-10T12', 'b D#2026-03-10', 'b B#2026-03-10']);
  pipeline.written.length = 0;
  await pipeline.tasks.announce(['2026-03-10T12']);
  await pipeline.rollup();
  assert.deepEqual(pipeline.written, []);
});

test('A late event changes its own hour and the visits of the hour after it, by itself', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  await pipeline.sendBatch('shop', [view('/later', 'ann', { id: '2', time: '2026-03-09T10:10:00Z' })]);
  await pipeline.deliver();
  await pipeline.rollup();
  const ask = () => pipeline.stats('shop', { from: '2026-03-09', to: '2026-03-09', metrics: 'visits,pageviews,engaged_visits,visit_seconds' });
  assert.deepEqual(await ask(), { visits: 1, pageviews: 1, engaged_visits: 0, visit_seconds: 0 });
  await pipeline.sendBatch('shop', [view('/first', 'ann', { id: '1', time: '2026-03-09T09:50:00Z' })]);
  await pipeline.deliver();
  await pipeline.rollup();
  assert.deepEqual(await ask(), { visits: 1, pageviews: 2, engaged_visits: 1, visit_seconds: 1200 });
  const hours = await pipeline.timeseries('shop', { from: '2026-03-09', to: '2026-03-09', interval: 'hour', metrics: 'visits,pageviews' });
  assert.deepEqual([hours['2026-03-09T09:00:00+00:00'], hours['2026-03-09T10:00:00+00:00']], [{ visits: 1, pageviews: 1 }, { visits: 0, pageviews: 1 }]);
  assert.deepEqual(await pipeline.breakdown('shop', { from: '2026-03-09', to: '2026-03-09', dimension: 'entry_page' }), { '/first': { visits: 1 } });
  assert.deepEqual(await pipeline.breakdown('shop', { from: '2026-03-09', to: '2026-03-09', dimension: 'exit_page' }), { '/later': { exits: 1 } });
});

test('A visit is what its first event says it is, thirty minutes continue it, and a millisecond more begins another', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  const google = { referrer: 'https://www.google.com/' };
  await pipeline.sendBatch('shop', [
    view('/', 'ann', { time: '2026-03-10T08:50:00.000Z', ...google }),
    { ...view('/buy', 'ann', { time: '2026-03-10T09:20:00.000Z' }), name: 'purchase', value: 12.5, currency: 'EUR', transaction_id: 'a' },
    view('/', 'bob', { time: '2026-03-10T08:50:00.000Z', ...google }),
    { ...view('/buy', 'bob', { time: '2026-03-10T09:20:00.001Z' }), name: 'purchase', value: 7, currency: 'EUR', transaction_id: 'b' },
  ]);
  await pipeline.deliver();
  await pipeline.rollup();
  assert.deepEqual(await pipeline.breakdown('shop', { ...DAY, dimension: 'source', metrics: 'visits,engaged_visits,visit_seconds,purchases,revenue' }), {
    google: { visits: 2, engaged_visits: 1, visit_seconds: 1800, purchases: 1, revenue: 12.5 },
    '(direct)': { visits: 1, engaged_visits: 0, visit_seconds: 0, purchases: 1, revenue: 7 },
  });
});

test('Of an event sent again the last version of its hour counts, with that version\'s items only', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  const purchase = (value: number, items: object[]) => [{ name: 'purchase', transaction_id: 'a', visitor: 'ann', value, items }];
  await pipeline.send('shop', purchase(30, [{ id: 'x', price: 10 }, { id: 'y', price: 20 }]));
  await pipeline.deliver();
  await pipeline.send('shop', purchase(10, [{ id: 'x', price: 10 }]));
  await pipeline.deliver();
  await pipeline.rollup();
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'purchases,revenue,events' }), { purchases: 1, revenue: 10, events: 1 });
  assert.deepEqual(await pipeline.breakdown('shop', { ...DAY, dimension: 'product', metrics: 'items,revenue' }), { x: { items: 1, revenue: 10 } });
});

test('An event that an hour has already does not count in the next; one that was refused there does', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T11:50:00Z');
  await pipeline.site('shop');
  const purchase = (id: string, currency: string) => ({ name: 'purchase', transaction_id: id, visitor: 'ann', value: 10, currency });
  await pipeline.send('shop', [purchase('refused', 'euro'), purchase('taken', 'EUR')]);
  await pipeline.deliver();
  pipeline.at('2026-03-10T12:10:00Z');
  await pipeline.send('shop', [purchase('refused', 'EUR'), purchase('taken', 'EUR')]);
  await pipeline.deliver();
  await pipeline.rollup();
  const hours = await pipeline.timeseries('shop', { ...DAY, interval: 'hour', metrics: 'purchases,rejected' });
  assert.deepEqual(hours['2026-03-10T11:00:00+00:00'], { purchases: 1, rejected: 1 });
  assert.deepEqual(hours['2026-03-10T12:00:00+00:00'], { purchases: 1, rejected: 0 });
});

test('Absurd values of one merchant fail the hour for nobody', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  for (const id of ['absurd', 'shop']) await pipeline.site(id);
  for (let i = 0; i < 100; i++) await pipeline.send('absurd', Array.from({ length: 100 }, () => ({ name: 'purchase', value: 1e9, visitor: 'x' })));
  await pipeline.send('shop', [{ name: 'purchase', value: 0.1, visitor: 'x' }, { name: 'purchase', value: 0.2, visitor: 'x' }]);
  await pipeline.deliver();
  await pipeline.rollup();
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'revenue' }), { revenue: 0.3 });
  // 10,000 × 10^9 does not fit 64 bits of millionths; the sum stops at 9 × 10^12.
  assert.deepEqual(await pipeline.stats('absurd', { ...DAY, metrics: 'revenue,purchases' }), { revenue: 9e12, purchases: 10_000 });
});

test('Of events of the same moment the one sent first begins the visit', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  // Eight visitors: a first event chosen by chance would be right for all of them once in 256 times.
  for (const visitor of 'abcdefgh') {
    await pipeline.send('shop', [view('/', visitor, { referrer: 'https://www.google.com/' }), { ...view('/p/1', visitor), name: 'view_item' }]);
  }
  await pipeline.deliver();
  await pipeline.rollup();
  assert.deepEqual(await pipeline.breakdown('shop', { ...DAY, dimension: 'source', metrics: 'events,visits' }), { google: { events: 16, visits: 8 } });
  assert.deepEqual(await pipeline.breakdown('shop', { ...DAY, dimension: 'exit_page' }), { '/p/1': { exits: 8 } });
});

test('Records as they came go when their time is over, also those that could not become rows, and superseded runs when no query reads them any more', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  for (const [time, visitor] of [['2026-03-10T12:30:00Z', 'ann'], ['2026-03-11T12:30:00Z', 'bob']] as const) {
    pipeline.at(time);
    await pipeline.send('shop', [view('/', visitor)]);
    await pipeline.log.put(['no envelope']);
    await pipeline.deliver();
    await pipeline.rollup();
  }
  await removeRecordsBefore('2026-03-11', pipeline.lakeFolder);
  for (const kept of ['raw', 'failed']) assert.deepEqual(readdirSync(join(pipeline.lakeFolder, kept)), ['dt=2026-03-11'], kept);
  await removeRecordsBefore('2026-03-11', join(pipeline.lakeFolder, 'not', 'there'));

  await pipeline.sendBatch('shop', [view('/late', 'cid', { time: '2026-03-10T12:40:00Z' })]);
  await pipeline.deliver();
  await pipeline.rollup();
  const runs = () => readdirSync(join(pipeline.lakeFolder, 'hours')).length;
  assert.equal(runs(), 3);
  const old = { lake: pipeline.lake, registry: pipeline.registry, clock: () => pipeline.clock() + 60_000 };
  await removeOldRuns(old, 120_000);
  assert.equal(runs(), 3);
  await removeOldRuns(old, 30_000);
  assert.equal(runs(), 2);
  assert.deepEqual(await pipeline.stats('shop', { from: '2026-03-10', to: '2026-03-11', metrics: 'pageviews' }), { pageviews: 3 });
});

test('What a rollup no longer finds vanishes from the numbers', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  for (const id of ['gone', 'stays']) {
    await pipeline.site(id);
    await pipeline.send(id, [view('/', 'ann')]);
    await pipeline.deliver();
  }
  await pipeline.rollup();
  const [first] = filesUnder(join(pipeline.lakeFolder, 'events'));
  rmSync(first!);
  await pipeline.tasks.announce(['2026-03-10T12']);
  await pipeline.rollup();
  assert.deepEqual(await pipeline.stats('gone', { ...DAY, metrics: 'pageviews,visitors' }), { pageviews: 0, visitors: 0 });
  assert.deepEqual(await pipeline.breakdown('gone', { ...DAY, dimension: 'page' }), {});
  assert.equal((await pipeline.timeseries('gone', { ...DAY, interval: 'hour', metrics: 'pageviews' }))['2026-03-10T12:00:00+00:00']!.pageviews, 0);
  assert.deepEqual(await pipeline.stats('stays', { ...DAY, metrics: 'pageviews,visitors' }), { pageviews: 1, visitors: 1 });
});

for (const [when, nth] of [['before its first item', 1], ['between the hour\'s items and the day\'s', 2]] as const) {
  test(`A rollup that dies ${when} is made good by its retry`, async (t) => {
    const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
    await pipeline.site('shop');
    await pipeline.send('shop', [view('/', 'ann')]);
    await pipeline.deliver();
    const put = pipeline.metrics.put.bind(pipeline.metrics);
    let puts = 0;
    pipeline.metrics.put = (items) => (++puts === nth ? Promise.reject(new Error('the store is gone')) : put(items));
    await pipeline.rollup();
    assert.equal(pipeline.reports.length, 1);
    pipeline.at('2026-03-10T12:31:00Z');
    await pipeline.rollup();
    assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'pageviews' }), { pageviews: 1 });
    assert.deepEqual(pipeline.tasks.all(), []);
  });
}

test('Of a day\'s values the hundred most active are kept and the rest is (other), so that each dimension adds up to the day', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  // 120 pages, of campaigns and products of their own, in two hours; the last ten of them twice.
  const events = Array.from({ length: 130 }, (_, i) => {
    const n = String(i < 120 ? i : i - 10).padStart(3, '0');
    const time = `2026-03-10T${i % 2 === 0 ? '08' : '09'}:00:00Z`;
    return { name: 'purchase', id: `e${i}`, time, visitor: `v${i}`, url: `https://shop.example/${n}?utm_source=c${n}`, value: 10, items: [{ id: `p${n}`, price: 10 }] };
  });
  await pipeline.sendBatch('shop', events);
  await pipeline.deliver();
  await pipeline.rollup();
  const kept = Array.from({ length: 100 }, (_, i) => String(i < 90 ? i : i + 20).padStart(3, '0'));
  for (const [dimension, name, metric] of [['page', (n: string) => `/${n}`, 'events'], ['source', (n: string) => `c${n}`, 'visits'], ['product', (n: string) => `p${n}`, 'items'], ['entry_page', undefined, 'visits']] as const) {
    const values = await pipeline.breakdown('shop', { ...DAY, dimension, metrics: metric, limit: '100' });
    const expected = name && Object.fromEntries([...kept.map((n, i) => [name(n), { [metric]: i < 90 ? 1 : 2 }] as const), ['(other)', { [metric]: 20 }]]);
    assert.deepEqual(values, expected ?? {}, dimension);
  }
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'events,visits,revenue' }), { events: 130, visits: 130, revenue: 1300 });
  const { '(other)': rest } = await pipeline.breakdown('shop', { ...DAY, dimension: 'source', metrics: 'visits,purchases,revenue' });
  assert.deepEqual(rest, { visits: 20, purchases: 20, revenue: 200 });
});

test('A copy that did not count does, when the version in the hour before turns out to be a refused one', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T09:10:00Z');
  await pipeline.site('shop');
  const copy = (url: string) => pipeline.send('shop', [{ name: 'page_view', url, visitor: 'ann', id: 'e0' }]);
  await copy('https://shop.example/');
  pipeline.at('2026-03-10T10:10:00Z');
  await copy('https://shop.example/');
  await pipeline.deliver();
  // The hour of the second copy has been rolled up, and nothing of it counted.
  await pipeline.rollup();
  pipeline.at('2026-03-10T09:20:00Z');
  await copy('no address');
  pipeline.at('2026-03-10T10:20:00Z');
  await pipeline.deliver();
  await pipeline.rollup();
  const hours = await pipeline.timeseries('shop', { ...DAY, interval: 'hour', metrics: 'pageviews,rejected' });
  assert.deepEqual([hours['2026-03-10T09:00:00+00:00'], hours['2026-03-10T10:00:00+00:00']], [{ pageviews: 0, rejected: 1 }, { pageviews: 1, rejected: 0 }]);
});

test('Revenue is exact to a millionth', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  for (const value of [123_456_789.123456, 0.000001]) await pipeline.send('shop', [{ name: 'purchase', value }]);
  await pipeline.deliver();
  await pipeline.rollup();
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'revenue,average_order_value' }), { revenue: 123_456_789.123457, average_order_value: 61_728_394.5617 });
});

test('A visit that began before the hour before counts for its first event there, and how many events that concerns is told', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  const came = (time: string, source: string) => view(`/?utm_source=${source}`, 'ann', { time: `2026-03-10T${time}:00Z` });
  await pipeline.sendBatch('shop', [
    came('08:50', 'first'), came('09:15', 'second'), came('09:40', 'third'), came('10:05', 'fourth'), came('10:30', 'fifth'),
    // From here on it began less than two hours before, and is known to.
    ...['11:05', '11:20', '12:10'].map((time) => view('/', 'bob', { time: `2026-03-10T${time}:00Z` })),
  ]);
  await pipeline.deliver();
  await pipeline.rollup();
  assert.deepEqual(await pipeline.breakdown('shop', { ...DAY, dimension: 'source', metrics: 'visits,events,engaged_visits,visit_seconds' }), {
    first: { visits: 1, events: 3, engaged_visits: 1, visit_seconds: 3000 },
    // Seen from ten o'clock the visit begins at 9:15.
    second: { visits: 0, events: 2, engaged_visits: 0, visit_seconds: 3000 },
    '(direct)': { visits: 2, events: 3, engaged_visits: 1, visit_seconds: 900 },
  });
  const told = [...await readCommits(pipeline.registry, '2026-03-10T08', '2026-03-10T12')].map(([hour, { summary }]) => [hour.slice(11), summary?.events, summary?.long_visit_events]);
  assert.deepEqual(told, [['08', 1, 0], ['09', 2, 0], ['10', 2, 2], ['11', 2, 0], ['12', 1, 0]]);
});
