import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { hoursBetween } from '../../core/hour.ts';
import type { HourTask, Task } from '../../core/ports.ts';
import { advanceReprocess, beginReprocess, cancelReprocess, estimate, listJobs, type ReprocessPorts } from '../../core/reprocess.ts';
import { MemoryStore, NOW, PACE } from '../memory.ts';
import type { deliver } from '../../local/deliver.ts';
import { openPipeline, type Pipeline } from '../pipeline.ts';
import { temporaryFolder } from '../process.ts';

const DAY = { from: '2026-03-09', to: '2026-03-09' };
const HOURS = { from: '2026-03-09T00', to: '2026-03-09T23' };
const view = (path: string, visitor: string, time: string, more: object = {}) => ({ name: 'page_view', url: `https://shop.example${path}`, visitor, time: `2026-03-09T${time}Z`, ...more });

/** Number of rows in the lake's events, and of raw files. */
function filesIn(pipeline: Pipeline, folder: string): string[] {
  return readdirSync(join(pipeline.lakeFolder, folder), { recursive: true, encoding: 'utf8' }).filter((name) => /\.(parquet|gz)$/.test(name));
}

test('Where the rollup was wrong, a job makes the numbers right, writes only what differs, and what was never there vanishes', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  for (const id of ['one', 'two']) await pipeline.site(id);
  await pipeline.sendBatch('one', [view('/a', 'ann', '09:50:00'), view('/b', 'ann', '10:15:00')]);
  await pipeline.sendBatch('two', [view('/a', 'bob', '10:00:00')]);
  await pipeline.deliver();
  // Wrong: a visit ends after ten minutes.
  const unload = pipeline.lake.unload.bind(pipeline.lake);
  pipeline.lake.unload = (query, prefix) => unload(query.statement === 'steps' ? { ...query, parameters: { ...query.parameters, visit_gap_ms: 600_000 } } : query, prefix);
  await pipeline.rollup();
  assert.deepEqual(await pipeline.breakdown('one', { ...DAY, dimension: 'entry_page' }), { '/a': { visits: 1 }, '/b': { visits: 1 } });
  pipeline.lake.unload = unload;

  pipeline.written.length = 0;
  const job = await pipeline.reprocess({ ...HOURS, replay: false });
  assert.deepEqual([job.hours, job.hours_done, job.hours_failed], [2, 2, []]);
  assert.deepEqual(pipeline.written.map(({ pk, sk }) => `${pk} ${sk}`), ['one H#2026-03-09T10', 'one D#2026-03-09', 'one B#2026-03-09']);
  assert.deepEqual(await pipeline.breakdown('one', { ...DAY, dimension: 'entry_page' }), { '/a': { visits: 1 } });
  assert.deepEqual(await pipeline.stats('one', { ...DAY, metrics: 'visits,engaged_visits,visit_seconds' }), { visits: 1, engaged_visits: 1, visit_seconds: 1500 });

  pipeline.written.length = 0;
  assert.equal((await pipeline.reprocess({ ...HOURS, replay: false })).hours_done, 2);
  assert.deepEqual(pipeline.written, []);
});

test('A mistake behind the rows of an hour is mended, too, and so is an item that got lost', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  for (const id of ['one', 'two']) await pipeline.site(id);
  for (const id of ['one', 'two']) await pipeline.sendBatch(id, [view('/1', 'ann', '09:50:00'), view('/2', 'ann', '09:51:00'), view('/2', 'ann', '09:52:00')]);
  await pipeline.deliver();
  // Wrong: of a day's values only the first is kept.
  const unload = pipeline.lake.unload.bind(pipeline.lake);
  pipeline.lake.unload = (query, prefix) => unload(query.statement === 'days' ? { ...query, parameters: { ...query.parameters, top: 1 } } : query, prefix);
  await pipeline.rollup();
  pipeline.lake.unload = unload;
  await pipeline.metrics.remove([{ pk: 'two', sk: 'H#2026-03-09T09' }]);
  const pages = async (site: string) => Object.keys(await pipeline.breakdown(site, { ...DAY, dimension: 'page' }));
  assert.deepEqual(await pages('one'), ['/2', '(other)']);

  pipeline.written.length = 0;
  await pipeline.reprocess({ ...HOURS, replay: false });
  assert.deepEqual(await pages('one'), ['/2', '/1']);
  assert.deepEqual(pipeline.written.map(({ pk, sk }) => `${pk} ${sk}`).sort(), ['one B#2026-03-09', 'two B#2026-03-09', 'two H#2026-03-09T09']);
});

/** The delivery loop of a copy of the project in which texts of a file were replaced: a version with a bug. */
async function deliverWith(file: string, bugs: Readonly<Record<string, string>>): Promise<typeof deliver> {
  const copy = temporaryFolder();
  const project = join(import.meta.dirname, '..', '..');
  for (const part of ['core', 'local', 'package.json']) cpSync(join(project, part), join(copy, part), { recursive: true });
  symlinkSync(join(project, 'node_modules'), join(copy, 'node_modules'), 'junction');
  let text = readFileSync(join(copy, file), 'utf8');
  for (const [right, wrong] of Object.entries(bugs)) {
    assert.ok(text.includes(right), `${file} has ${right}`);
    text = text.replace(right, wrong);
  }
  writeFileSync(join(copy, file), text);
  const module = await import(pathToFileURL(join(copy, 'local', 'deliver.ts')).href) as { deliver: typeof deliver };
  return module.deliver;
}

test('A bug in a step of the transform is mended by a replay: yesterday\'s rows and numbers become right, none counted twice', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-09T12:30:00Z');
  await pipeline.site('shop');
  const wrong = await deliverWith('core/deliver/source.ts', { "google: ['google', 'search']": "google: ['goggle', 'social']", 'twitter: [': 'twittre: [' });
  await pipeline.send('shop', [
    { name: 'page_view', url: 'https://shop.example/a', referrer: 'https://www.google.com/' },
    { name: 'purchase', value: 12.5, transaction_id: 'order-1', items: [{ id: 'tea', price: 12.5 }] },
  ]);
  await wrong(pipeline.deliverPorts);
  pipeline.at('2026-03-09T23:50:00Z');
  await pipeline.send('shop', [{ name: 'page_view', url: 'https://shop.example/b', referrer: 'https://twitter.com/' }]);
  await wrong(pipeline.deliverPorts);
  await pipeline.rollup();
  const bySource = { ...DAY, dimension: 'source', metrics: 'visits,events,revenue' };
  assert.deepEqual(await pipeline.breakdown('shop', bySource), { goggle: { visits: 1, events: 2, revenue: 12.5 }, 'twitter.com': { visits: 1, events: 1, revenue: 0 } });

  pipeline.at('2026-03-10T10:00:00Z');
  const job = await pipeline.reprocess({ ...HOURS, replay: true });
  assert.deepEqual([job.state, job.records_replayed, job.hours_failed], ['done', 2, []]);
  assert.deepEqual(await pipeline.breakdown('shop', bySource), { google: { visits: 1, events: 2, revenue: 12.5 }, twitter: { visits: 1, events: 1, revenue: 0 } });
  assert.deepEqual(await pipeline.breakdown('shop', { ...DAY, dimension: 'channel', metrics: 'visits' }), { 'Organic Search': { visits: 1 }, 'Organic Social': { visits: 1 } });
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'events,pageviews,visitors,visits,purchases,revenue' }), { events: 3, pageviews: 2, visitors: 1, visits: 2, purchases: 1, revenue: 12.5 });
  assert.deepEqual(await pipeline.breakdown('shop', { ...DAY, dimension: 'product', metrics: 'items,revenue' }), { tea: { items: 1, revenue: 12.5 } });
  // The wrong rows are still there, beside the right ones.
  assert.equal(filesIn(pipeline, 'events/dt=2026-03-09').length, 4);
});

test('A replay reaches what arrived late, tells what is no envelope, and keeps no record twice', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-09T12:30:00Z');
  await pipeline.site('shop');
  const purchase = { name: 'purchase', value: 10, transaction_id: 'order-1', items: [{ id: 'tea', price: 5, quantity: 2 }] };
  // Wrong: everybody is in France.
  pipeline.deliverPorts.countryOf = () => 'FR';
  await pipeline.send('shop', [{ name: 'page_view', url: 'https://shop.example/a' }, purchase]);
  await pipeline.deliver();
  // A record of a later hour, that arrives today, and one that is no envelope.
  pipeline.at('2026-03-10T09:00:00Z');
  await pipeline.sendBatch('shop', [view('/late', 'cid', '13:00:00', { ip: '192.0.2.9' })]);
  await pipeline.log.put(['nonsense']);
  await pipeline.deliver();
  await pipeline.rollup();
  const asked = { dimension: 'country', metrics: 'visits,events,pageviews,purchases,revenue' };
  assert.deepEqual(await pipeline.breakdown('shop', { ...DAY, ...asked }), { FR: { visits: 2, events: 3, pageviews: 2, purchases: 1, revenue: 10 } });
  const raw = filesIn(pipeline, 'raw');

  pipeline.deliverPorts.countryOf = (ip) => (ip === '192.0.2.9' ? 'IT' : 'DE');
  pipeline.at('2026-03-10T10:00:00Z');
  const job = await pipeline.reprocess({ ...HOURS, replay: true });
  assert.deepEqual([job.records_replayed, job.records_skipped, job.hours_done], [2, 1, 2]);
  assert.deepEqual(await pipeline.breakdown('shop', { ...DAY, ...asked }), {
    DE: { visits: 1, events: 2, pageviews: 1, purchases: 1, revenue: 10 }, IT: { visits: 1, events: 1, pageviews: 1, purchases: 0, revenue: 0 },
  });
  assert.deepEqual(await pipeline.breakdown('shop', { ...DAY, dimension: 'product', metrics: 'items,revenue' }), { tea: { items: 2, revenue: 10 } });
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'events,visitors,visits' }), { events: 3, visitors: 2, visits: 2 });
  assert.deepEqual(filesIn(pipeline, 'raw'), raw);
  // Another replay changes nothing more.
  pipeline.written.length = 0;
  await pipeline.reprocess({ ...HOURS, replay: true });
  assert.deepEqual(pipeline.written, []);
});

test('A replay does not bring back an older version of an event, nor what is outside of its hours', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-09T12:30:00Z');
  await pipeline.site('shop');
  const purchase = (value: number) => pipeline.send('shop', [{ name: 'purchase', value, transaction_id: 'order-1' }]);
  await purchase(10);
  await pipeline.deliver();
  pipeline.at('2026-03-09T12:40:00Z');
  await purchase(7);
  await pipeline.deliver();
  pipeline.at('2026-03-09T13:30:00Z');
  await pipeline.send('shop', [{ name: 'page_view' }]);
  await pipeline.deliver();
  // The raw record of the second version has been lost.
  const second = filesIn(pipeline, 'raw').sort()[1]!;
  writeFileSync(join(pipeline.lakeFolder, 'raw', second), readFileSync(join(pipeline.lakeFolder, 'raw', filesIn(pipeline, 'raw').sort()[0]!)));
  const job = await pipeline.reprocess({ from: '2026-03-09T12', to: '2026-03-09T12', replay: true });
  assert.equal(job.records_replayed, 2);
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'purchases,revenue' }), { purchases: 1, revenue: 7 });
});

test('A job that dies between any two of its steps goes on with the next call, and one that is the same is the same job', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-09T12:30:00Z');
  await pipeline.site('shop');
  for (const minute of ['31', '32', '33']) {
    pipeline.at(`2026-03-09T12:${minute}:00Z`);
    await pipeline.send('shop', [{ name: 'page_view', url: 'https://shop.example/a' }]);
    await pipeline.deliver();
  }
  await pipeline.rollup();
  const job = await beginReprocess({ ...HOURS, to: '2026-03-09T12', replay: true }, pipeline.reprocessPorts);
  assert.deepEqual(await beginReprocess({ ...HOURS, to: '2026-03-09T12', replay: true }, pipeline.reprocessPorts), job);
  let fails = 0;
  const failing = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => async (...args: A): Promise<R> => {
    const result = await call(...args);
    // Every fifth call dies after what it did, as a process that is killed: of each step there are less.
    if (++fails % 5 === 1) throw new Error('killed');
    return result;
  };
  const ports: ReprocessPorts = {
    ...pipeline.reprocessPorts,
    registry: { ...pipeline.registry, put: failing((items) => pipeline.registry.put(items)) },
    stream: { put: failing((records) => pipeline.log.put(records)) },
    tasks: { ...pipeline.tasks, send: failing((tasks) => pipeline.tasks.send(tasks)) },
  };
  for (let round = 0; round < 40 && (await listJobs(pipeline.registry))[0]!.state !== 'done'; round++) {
    await advanceReprocess(ports).catch((error: unknown) => { assert.match(String(error), /killed/); });
    await pipeline.deliver();
    await pipeline.rollup();
  }
  const [done] = await listJobs(pipeline.registry);
  assert.ok(fails > 6);
  assert.equal(done!.state, 'done');
  assert.deepEqual(done!.hours_failed, []);
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'events,visits' }), { events: 3, visits: 1 });
});

test('A poisoned hour fails by itself: the job does the others and names it', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  await pipeline.sendBatch('shop', [view('/a', 'ann', '03:00:00'), view('/b', 'bob', '08:00:00')]);
  await pipeline.deliver();
  await pipeline.rollup();
  const [poisoned] = filesIn(pipeline, 'events/dt=2026-03-09/hr=03');
  truncateSync(join(pipeline.lakeFolder, 'events/dt=2026-03-09/hr=03', poisoned!), 20);
  await beginReprocess({ ...HOURS, replay: false }, pipeline.reprocessPorts);
  const job = async () => (await listJobs(pipeline.registry))[0]!;
  for (let round = 0; round < 20 && (await job()).state !== 'done'; round++) {
    await advanceReprocess(pipeline.reprocessPorts);
    await pipeline.rollup();
    pipeline.at(new Date(pipeline.clock() + 100_000).toISOString());
  }
  const { state, hours_done, hours_failed } = await job();
  assert.deepEqual([state, hours_done, hours_failed], ['done', 1, ['2026-03-09T03']]);
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'pageviews' }), { pageviews: 2 });
});

test('A file of records that cannot be read is named, and keeps none of the others', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-09T12:30:00Z');
  await pipeline.site('shop');
  for (const hour of ['09', '10', '11']) {
    pipeline.at(`2026-03-09T${hour}:30:00Z`);
    await pipeline.send('shop', [{ name: 'page_view' }]);
    await pipeline.deliver();
  }
  const [, damaged] = filesIn(pipeline, 'raw').sort();
  truncateSync(join(pipeline.lakeFolder, 'raw', damaged!), 20);
  const job = await pipeline.reprocess({ ...HOURS, to: '2026-03-09T11', replay: true });
  assert.deepEqual([job.records_replayed, job.files_failed], [2, [`raw/${damaged}`]]);
  assert.deepEqual(await pipeline.stats('shop', { ...DAY, metrics: 'events' }), { events: 3 });
});

test('A job waits for the days its hours changed, and names those that fail', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  await pipeline.sendBatch('shop', [view('/a', 'ann', '09:50:00')]);
  await pipeline.deliver();
  await pipeline.rollup();
  const unload = pipeline.lake.unload.bind(pipeline.lake);
  pipeline.lake.unload = (query, prefix) => (query.statement === 'days' ? Promise.reject(new Error('not today')) : unload(query, prefix));
  await beginReprocess({ ...HOURS, replay: false }, pipeline.reprocessPorts);
  const states: string[] = [];
  for (let round = 0; round < 8; round++) {
    await advanceReprocess(pipeline.reprocessPorts);
    await pipeline.rollup();
    // A clock that is set back holds up nothing.
    pipeline.at(new Date(pipeline.clock() + (round === 0 ? -10_000 : 100_000)).toISOString());
    states.push((await listJobs(pipeline.registry))[0]!.state);
  }
  const [job] = await listJobs(pipeline.registry);
  assert.deepEqual(states.slice(0, 5), Array(5).fill('rolling'));
  assert.deepEqual([job!.state, job!.hours_done, job!.hours_failed, job!.days_failed], ['done', 1, [], ['2026-03-09']]);
});

test('A job that is begun by several at once is one, is over when it is cancelled, and can be begun again', async () => {
  const { registry, ports, sent } = await monthsPorts();
  const range = { from: '2025-01-01T00', to: '2025-01-01T09', replay: false };
  const jobs = await Promise.all([1, 2, 3].map(() => beginReprocess(range, ports)));
  assert.equal((await listJobs(registry)).length, 1);
  assert.equal(new Set(jobs.map(({ id }) => id)).size, 1);
  await beginReprocess({ ...range, replay: true }, ports);
  assert.equal((await listJobs(registry)).length, 2);

  assert.equal((await cancelReprocess(jobs[0]!.id, registry))!.state, 'rolling');
  await advanceReprocess(ports);
  assert.deepEqual([(await listJobs(registry)).find(({ id }) => id === jobs[0]!.id)!.state, sent.length], ['cancelled', 0]);
  assert.equal(await cancelReprocess(jobs[0]!.id, registry), undefined);
  assert.equal(await cancelReprocess('nothing', registry), undefined);
  assert.equal((await beginReprocess(range, ports)).state, 'rolling');
});

/** Three months of hours that were rolled up once, and a queue that only takes. */
async function monthsPorts() {
  const registry = new MemoryStore();
  const hours = hoursBetween('2025-01-01T00', '2025-03-31T23');
  await registry.put(hours.map((hour) => ({ pk: 'hours', sk: hour, run: 'r', committedAt: 1, checkedAt: 1, pending: [], summary: {} })));
  const sent: Task[] = [];
  const time = { now: NOW };
  const lake = { sizeOf: async () => 10, rawParts: async () => [] } as unknown as ReprocessPorts['lake'];
  const ports: ReprocessPorts = {
    registry, lake, stream: { put: async () => undefined }, clock: () => time.now, deliveredThrough: () => time.now, rawKeptMs: 30 * 86_400_000, pace: PACE,
    tasks: { send: async (tasks) => { sent.push(...tasks); }, parked: async () => [] },
  };
  return { registry, ports, sent, time, hours };
}

test('Of three months no more than a hundred hours are under way at once, newest first, all of them behind what is new', async () => {
  const { registry, ports, sent, time, hours } = await monthsPorts();
  await beginReprocess({ from: hours[0]!, to: hours.at(-1)!, replay: false }, ports);
  let done = 0;
  for (let call = 0; call < 200; call++) {
    time.now += 1000;
    await advanceReprocess(ports);
    assert.ok(sent.length - done <= 100);
    if (sent.length === done) break;
    // Some of them get done.
    const some = sent.slice(done, done + 60) as HourTask[];
    await registry.put(some.map(({ hour, whole }) => ({ pk: 'hours', sk: hour, run: 'r', whole, pending: [] })));
    done += some.length;
  }
  assert.deepEqual(sent, hours.toReversed().map((hour) => ({ kind: 'hour', hour, recompute: true, whole: (sent[0] as HourTask).whole })));
  const [job] = await listJobs(registry);
  assert.deepEqual([job!.state, job!.hours, job!.hours_done], ['done', 2160, 2160]);
});

test('Hours without rows or numbers are passed over', async () => {
  const { registry, ports, sent, time } = await monthsPorts();
  ports.lake.sizeOf = async ({ hr }) => (hr === '07' ? 10 : 0);
  await beginReprocess({ from: '2024-12-31T00', to: '2025-01-01T02', replay: false }, ports);
  time.now += 1000;
  await advanceReprocess(ports);
  assert.deepEqual(sent.map((task) => task.kind === 'hour' && task.hour), ['2025-01-01T02', '2025-01-01T01', '2025-01-01T00', '2024-12-31T07']);
  assert.equal((await listJobs(registry))[0]!.hours, 4);
});

test('An estimate tells the hours, the bytes their queries read, each with the hour before, and the records to replay', async () => {
  const { ports } = await monthsPorts();
  ports.lake.sizeOf = async ({ hr }) => Number(hr);
  ports.lake.rawParts = async (hour) => (hour === '2026-11-20T09' ? [{ name: 'a', bytes: 5 }, { name: 'b', bytes: 6 }] : []);
  // 09 and 10 with 08 and 09 before them: 9 + 8 + 10 + 9.
  assert.deepEqual(await estimate({ from: '2026-11-20T09', to: '2026-11-20T10', replay: false }, ports), { hours: 2, bytes: 36, raw_bytes: 0 });
  assert.deepEqual(await estimate({ from: '2026-11-20T09', to: '2026-11-20T10', replay: true }, ports), { hours: 2, bytes: 36, raw_bytes: 11 });
  // Records of an hour may have arrived ten minutes before it, but no earlier.
  assert.equal((await estimate({ from: '2026-11-20T10', to: '2026-11-20T10', replay: true }, ports)).raw_bytes, 11);
});

test('A replay sends no more before the last has been delivered', async () => {
  const { ports, time } = await monthsPorts();
  let records = 0;
  let delivered = 0;
  ports.stream.put = async (more) => { records += more.length; };
  ports.deliveredThrough = () => delivered;
  const at = time.now - 1000;
  ports.lake.rawParts = async (hour) => (hour === '2026-11-20T10' ? ['a', 'b', 'c'].map((name) => ({ name, bytes: 1 })) : []);
  ports.lake.records = async function* () {
    for (let i = 0; i < 15_000; i++) yield JSON.stringify({ v: 1, via: 'beacon', id: `${i}`, at, body: '{"site":"shop","events":[]}' });
  };
  await beginReprocess({ from: '2026-11-20T10', to: '2026-11-20T10', replay: true }, ports);
  await advanceReprocess(ports);
  assert.equal(records, 30_000);
  await advanceReprocess(ports);
  assert.equal(records, 30_000);
  delivered = time.now;
  await advanceReprocess(ports);
  assert.equal(records, 45_000);
  assert.equal((await listJobs(ports.registry))[0]!.state, 'replaying');
  await advanceReprocess(ports);
  assert.equal((await listJobs(ports.registry))[0]!.state, 'rolling');
});

test('A replay ends where it was begun: what arrives after that has been through the right transform', async () => {
  const { ports, time } = await monthsPorts();
  const sent: string[] = [];
  ports.stream.put = async (records) => { sent.push(...records); };
  const record = (at: number) => JSON.stringify({ v: 1, via: 'beacon', id: `${at}`, at, body: '{"site":"shop","events":[]}' });
  const files = new Map([['a', [record(NOW - 1000), 'nonsense']]]);
  ports.lake.rawParts = async (hour) => (hour === '2026-11-20T10' ? [...files.keys()].map((name) => ({ name, bytes: 1 })) : []);
  ports.lake.records = async function* (part) { yield* files.get(part)!; };
  await beginReprocess({ from: '2026-11-20T10', to: '2026-11-20T10', replay: true }, ports);
  for (let i = 0; i < 3; i++) {
    // There is more with each step.
    time.now += 1000;
    files.set(`b${i}`, [record(time.now)]);
    await advanceReprocess(ports);
  }
  assert.deepEqual(sent, [`{"replay":true,${record(NOW - 1000).slice(1)}`]);
  const [job] = await listJobs(ports.registry);
  assert.deepEqual([job!.state, job!.records_replayed, job!.records_skipped], ['rolling', 1, 1]);
});
