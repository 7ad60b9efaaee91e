import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readProgress } from '../../core/progress.ts';
import { openPipeline } from '../pipeline.ts';

test('The numbers are complete as long as nothing waits but what is counted anew', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  await pipeline.send('shop', [{ name: 'page_view' }]);
  await pipeline.deliver();
  await pipeline.rollup();
  const complete = async () => (await readProgress(pipeline.registry)).completeThrough;
  assert.equal(await complete(), pipeline.clock());

  const unload = pipeline.lake.unload.bind(pipeline.lake);
  pipeline.lake.unload = () => Promise.reject(new Error('not now'));
  await pipeline.tasks.send([{ kind: 'hour', hour: '2026-03-10T12', recompute: true }]);
  await pipeline.rollup();
  assert.equal(await complete(), pipeline.clock());
  assert.equal(pipeline.tasks.all().length, 1);

  const before = await complete();
  await pipeline.tasks.announce(['2026-03-10T12']);
  await pipeline.rollup();
  assert.equal(await complete(), before);
  pipeline.lake.unload = unload;
  pipeline.at('2026-03-10T12:40:00Z');
  await pipeline.rollup();
  assert.equal(await complete(), pipeline.clock());
});

test('What is parked is told as not counted, until it has been', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  await pipeline.sendBatch('shop', [{ name: 'page_view', time: '2026-03-10T03:00:00Z' }, { name: 'page_view', time: '2026-03-10T08:00:00Z' }]);
  await pipeline.deliver();
  const unload = pipeline.lake.unload.bind(pipeline.lake);
  pipeline.lake.unload = (query, prefix) => (query.parameters.hr === '03' ? Promise.reject(new Error('poisoned')) : unload(query, prefix));
  for (let minute = 31; minute < 40; minute++) {
    pipeline.at(`2026-03-10T12:${minute}:00Z`);
    await pipeline.rollup();
  }
  // It holds up nothing, but is not forgotten.
  assert.deepEqual(await readProgress(pipeline.registry), { completeThrough: pipeline.clock(), parkedHours: ['2026-03-10T03'], parkedDays: [] });
  pipeline.lake.unload = unload;
  await pipeline.tasks.announce(['2026-03-10T03']);
  await pipeline.rollup();
  assert.deepEqual(await readProgress(pipeline.registry), { completeThrough: pipeline.clock(), parkedHours: [], parkedDays: [] });
});

test('An hour that runs and its day are counted in one round, however long they take; of the past as much as there is time for', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:10:00Z');
  await pipeline.site('shop');
  await pipeline.send('shop', [{ name: 'page_view', url: 'https://shop.example/now' }]);
  await pipeline.sendBatch('shop', [{ name: 'page_view', time: '2026-03-10T03:00:00Z' }, { name: 'page_view', time: '2026-03-10T08:00:00Z' }]);
  await pipeline.deliver();
  const unload = pipeline.lake.unload.bind(pipeline.lake);
  // Two minutes a query: every task takes longer than the round's budget.
  pipeline.lake.unload = (query, prefix) => {
    pipeline.at(new Date(pipeline.clock() + 120_000).toISOString());
    return unload(query, prefix);
  };
  await pipeline.rollup();
  const day = { from: '2026-03-10', to: '2026-03-10' };
  assert.deepEqual((await pipeline.breakdown('shop', { ...day, dimension: 'page', metrics: 'pageviews' }))['/now'], { pageviews: 1 });
  assert.deepEqual(pipeline.tasks.all().map(({ key }) => key), ['hour#2026-03-10T03']);
  await pipeline.rollup();
  assert.deepEqual(pipeline.tasks.all(), []);
  assert.deepEqual(await pipeline.stats('shop', { ...day, metrics: 'pageviews' }), { pageviews: 3 });
});
