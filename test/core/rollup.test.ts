// A rollup that dies, wherever it dies, and what its retry makes of it; on real engines.
import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Lake, Store, Task, Tasks } from '../../core/ports.ts';
import { readCommits, removeOldRuns, runTask, tasksFor } from '../../core/rollup.ts';
import { rollupRound } from '../../local/rollup.ts';
import { MemoryStore } from '../memory.ts';
import { openPipeline, type Pipeline } from '../pipeline.ts';

type When = 'before' | 'half-way through' | 'after';

/** Ports whose call number `nth` of those that change something throws: before it does it, in its middle, or after. */
function dyingPorts({ lake, registry, metrics, tasks }: Pipeline, nth: number, when: When) {
  let calls = 0;
  const state = { died: '' };
  const dies = (name: string) => (++calls === nth ? Boolean(state.died = name) : false);
  const dying = <A extends unknown[], R>(name: string, call: (...args: A) => Promise<R>, half?: (...args: A) => Promise<R>) => async (...args: A): Promise<R> => {
    if (!dies(name)) return call(...args);
    if (when === 'half-way through') await half?.(...args);
    if (when === 'after') await call(...args);
    throw new Error(`died ${when} ${name}`);
  };
  const dyingStore = (name: string, store: Store): Store => ({
    ...store,
    put: dying(`${name}.put`, store.put.bind(store), (items) => store.put(items.slice(0, Math.ceil(items.length / 2)))),
    remove: dying(`${name}.remove`, store.remove.bind(store)),
  });
  const dyingLake: Lake = { ...lake, unload: dying('lake.unload', lake.unload.bind(lake)), remove: dying('lake.remove', lake.remove.bind(lake)) };
  const dyingTasks: Tasks = { ...tasks, send: dying('tasks.send', tasks.send.bind(tasks)) };
  return { state, lake: dyingLake, registry: dyingStore('registry', registry), metrics: dyingStore('metrics', metrics), tasks: { ...tasks, ...dyingTasks } };
}

const hours = (pipeline: Pipeline) => join(pipeline.lakeFolder, 'hours');
const view = (path: string, visitor: string, time: string) => ({ name: 'page_view', url: `https://shop.example${path}`, visitor, id: `${path}${visitor}`, time });

/** Rolls up until nothing waits, whatever back-off tasks have. */
async function rollUpAll(pipeline: Pipeline, clock: { now: number }): Promise<void> {
  for (let round = 0; round < 20; round++) {
    await pipeline.rollup();
    if (pipeline.tasks.all().length === 0) return;
    pipeline.at(new Date(clock.now += 300_000).toISOString());
  }
  assert.fail(`tasks still wait: ${JSON.stringify(pipeline.tasks.all())}`);
}

test('A rollup that dies at any point is made good by its retry, also for a site that vanished meanwhile', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  const clock = { now: Date.parse('2026-03-10T12:30:00Z') };
  for (const id of ['stays', 'grows', 'vanishes']) await pipeline.site(id);
  const steps: string[] = [];
  let day = Date.UTC(2020, 0, 1);
  for (const when of ['before', 'half-way through', 'after'] as const) {
    for (let nth = 1; nth < 100; nth++) {
      // Of the others the half is nothing, which is the same as before.
      if (when === 'half-way through' && !(steps[nth - 1] ?? '.put').endsWith('.put')) continue;
      // Each time on a day of its own, so that nothing is left from the time before.
      day += 3 * 86_400_000;
      const date = new Date(day).toISOString().slice(0, 10);
      const time = (minute: string) => `${date}T10:${minute}:00Z`;
      await pipeline.sendBatch('stays', [view('/a', 'ann', time('01'))]);
      await pipeline.sendBatch('grows', [view('/a', 'bob', time('01'))]);
      await pipeline.deliver();
      await rollUpAll(pipeline, clock);
      await pipeline.sendBatch('grows', [view('/b', 'bob', time('20')), view('/c', 'cid', time('50'))]);
      await pipeline.deliver();
      await pipeline.sendBatch('vanishes', [view('/v', 'dan', time('30'))]);
      await pipeline.deliver();

      const { state, ...ports } = dyingPorts(pipeline, nth, when);
      // What dies outside of a task ends the round, and the next round begins anew.
      await rollupRound({ ...ports, clock: pipeline.clock, report: () => undefined, budgetMs: 60_000, deliveredThrough: pipeline.clock }).catch(() => undefined);
      if (state.died === '') {
        assert.ok(nth > 15, `a rollup of an hour and its day has more steps than ${nth}`);
        break;
      }
      if (when === 'before') steps.push(state.died);
      const partition = join(pipeline.lakeFolder, 'events', `dt=${date}`, 'hr=10');
      rmSync(join(partition, readdirSync(partition).sort().at(-1)!));
      await pipeline.tasks.announce([`${date}T10`]);
      await rollUpAll(pipeline, clock);

      const range = { from: date, to: date };
      const at = `${when} step ${nth}, ${state.died}`;
      const ask = async (site: string) => [
        await pipeline.stats(site, { ...range, metrics: 'visitors,visits,pageviews,visit_seconds' }),
        await pipeline.breakdown(site, { ...range, dimension: 'page', metrics: 'pageviews' }),
        (await pipeline.timeseries(site, { ...range, interval: 'hour', metrics: 'pageviews' }))[`${date}T10:00:00+00:00`],
      ];
      assert.deepEqual(await ask('stays'), [{ visitors: 1, visits: 1, pageviews: 1, visit_seconds: 0 }, { '/a': { pageviews: 1 } }, { pageviews: 1 }], at);
      assert.deepEqual(await ask('grows'), [
        { visitors: 2, visits: 2, pageviews: 3, visit_seconds: 1140 }, { '/a': { pageviews: 1 }, '/b': { pageviews: 1 }, '/c': { pageviews: 1 } }, { pageviews: 3 },
      ], at);
      assert.deepEqual(await ask('vanishes'), [{ visitors: 0, visits: 0, pageviews: 0, visit_seconds: 0 }, {}, { pageviews: 0 }], at);
    }
  }
  // It did die in each kind of step.
  assert.deepEqual([...new Set(steps)].sort(), ['lake.remove', 'lake.unload', 'metrics.put', 'registry.put', 'registry.remove', 'tasks.send']);

  // And nothing is left behind but what is committed.
  await removeOldRuns({ ...pipeline, clock: () => pipeline.clock() + 1000 }, 0);
  const committed = [...(await readCommits(pipeline.registry, '2020', '2030')).values()].map(({ run }) => `run=${run}`);
  assert.deepEqual(readdirSync(hours(pipeline)).sort(), committed.sort());
  for (const files of ['steps', 'items']) assert.deepEqual(readdirSync(join(pipeline.lakeFolder, files)), [], files);
  assert.deepEqual(await pipeline.registry.range('owed', '', '~'), []);
  assert.deepEqual(await pipeline.registry.range('removable', '', '~'), []);
});

test('A day whose task was parked takes up what it missed when one of its hours is announced, however much later', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  const clock = { now: Date.parse('2026-03-10T12:30:00Z') };
  await pipeline.site('shop');
  await pipeline.sendBatch('shop', [view('/a', 'ann', '2026-03-10T03:00:00Z')]);
  await pipeline.deliver();
  const unload = pipeline.lake.unload.bind(pipeline.lake);
  pipeline.lake.unload = (query, prefix) => (query.statement === 'days' ? Promise.reject(new Error('no days today')) : unload(query, prefix));
  for (let attempt = 0; attempt < 6; attempt++) {
    await pipeline.rollup();
    pipeline.at(new Date(clock.now += 600_000).toISOString());
  }
  assert.deepEqual((await pipeline.tasks.parked()).map(({ task, error }) => ({ ...task, error })), [{ kind: 'day', day: '2026-03-10', recompute: false, error: 'no days today' }]);
  pipeline.lake.unload = unload;

  // The hour is superseded meanwhile by a run in which the first event's site no longer differs, and old runs are removed.
  await pipeline.site('other');
  await pipeline.sendBatch('other', [view('/b', 'bob', '2026-03-10T03:30:00Z')]);
  await pipeline.deliver();
  await pipeline.tasks.taken(pipeline.tasks.announced());
  await removeOldRuns({ ...pipeline, clock: () => pipeline.clock() + 1000 }, 0);
  await pipeline.tasks.announce(['2026-03-10T03']);
  await rollUpAll(pipeline, clock);
  for (const [site, page] of [['shop', '/a'], ['other', '/b']] as const) {
    assert.deepEqual(await pipeline.breakdown(site, { from: '2026-03-10', to: '2026-03-10', dimension: 'page', metrics: 'pageviews' }), { [page]: { pageviews: 1 } });
  }
  assert.deepEqual(await pipeline.tasks.parked(), []);
});

test('An hour that a day\'s task died over is queued again by its own retry where nothing differs any more', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  await pipeline.sendBatch('shop', [view('/a', 'ann', '2026-03-10T03:00:00Z')]);
  await pipeline.deliver();
  // The day's task is lost altogether.
  const send = pipeline.tasks.send.bind(pipeline.tasks);
  pipeline.tasks.send = (tasks) => send(tasks.filter(({ kind }) => kind === 'hour'));
  await pipeline.rollup();
  pipeline.tasks.send = send;
  assert.deepEqual(await pipeline.stats('shop', { from: '2026-03-10', to: '2026-03-10', metrics: 'pageviews' }), { pageviews: 0 });
  await pipeline.tasks.announce(['2026-03-10T03']);
  await pipeline.rollup();
  assert.deepEqual(await pipeline.stats('shop', { from: '2026-03-10', to: '2026-03-10', metrics: 'pageviews' }), { pageviews: 1 });
});

test('A day of many sites is made in slices, of which no site is left out', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  const ids = ['0', 'a', 'a-b', 'b', 'z'.repeat(40)];
  for (const id of ids) {
    await pipeline.site(id);
    await pipeline.sendBatch(id, [view(`/${id}`, 'ann', '2026-03-10T03:00:00Z')]);
  }
  await pipeline.send('nowhere', [{ name: 'page_view' }]);
  await pipeline.deliver();
  const unload = pipeline.lake.unload.bind(pipeline.lake);
  let queries = 0;
  pipeline.lake.unload = (query, prefix) => {
    if (query.statement === 'days') queries++;
    return unload(query.statement === 'slices' ? { ...query, parameters: { ...query.parameters, sites: 2 } } : query, prefix);
  };
  await pipeline.rollup();
  assert.equal(queries, 3);
  const written = pipeline.written.filter(({ sk }) => sk === 'D#2026-03-10').map(({ pk }) => pk);
  assert.deepEqual(written.sort(), [...ids, '_unknown'].sort());
  for (const id of ids) assert.deepEqual(await pipeline.breakdown(id, { from: '2026-03-10', to: '2026-03-10', dimension: 'page', metrics: 'pageviews' }), { [`/${id}`]: { pageviews: 1 } });
});

test('A run is removed only when it is old, and neither committed, nor pending, nor owed to a day', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  const rollUp = async (visitor: string) => {
    await pipeline.sendBatch('shop', [view('/a', visitor, '2026-03-10T03:00:00Z')]);
    await pipeline.deliver();
    await pipeline.rollup();
  };
  await rollUp('ann');
  pipeline.at('2026-03-10T13:30:00Z');
  const [first] = readdirSync(hours(pipeline));
  await removeOldRuns(pipeline, 60_000);
  assert.deepEqual(readdirSync(hours(pipeline)), [first]);
  await rollUp('bob');
  const both = readdirSync(hours(pipeline));
  assert.equal(both.length, 2);
  // The first began long ago, but has been superseded just now.
  await removeOldRuns(pipeline, 60_000);
  assert.deepEqual(readdirSync(hours(pipeline)), both);
  pipeline.at('2026-03-10T14:30:00Z');
  await removeOldRuns(pipeline, 60_000);
  assert.deepEqual(readdirSync(hours(pipeline)), both.filter((run) => run !== first));
});

test('An announced hour makes the next one due if that has been rolled up, and recomputes only if all that made it due does', async () => {
  const registry = new MemoryStore();
  await registry.put([{ pk: 'hours', sk: '2026-01-01T02', run: 'r', checkedAt: 1, pending: [] }, { pk: 'hours', sk: '2026-01-01T05', pending: ['r'] }]);
  const due = async (announced: Record<string, boolean>) =>
    (await tasksFor(Object.entries(announced).map(([hour, recompute]) => ({ hour: `2026-01-01T${hour}`, recompute })), registry))
      .map((task) => `${task.kind === 'hour' ? task.hour.slice(-2) : ''} ${task.recompute}`);
  assert.deepEqual(await due({ '01': false, '04': false }), ['01 false', '02 false', '04 false']);
  assert.deepEqual(await due({ '01': true }), ['01 true', '02 true']);
  assert.deepEqual(await due({ '01': true, '02': false }), ['01 true', '02 false']);
  assert.deepEqual(await due({ '01': false, '02': true }), ['01 false', '02 false']);
});

test('A day that runs beside an hour leaves what the hour has noted but not committed, and takes it up when the hour has', async (t) => {
  const pipeline = await openPipeline(t, '2026-03-10T12:30:00Z');
  await pipeline.site('shop');
  await pipeline.sendBatch('shop', [view('/a', 'ann', '2026-03-10T03:00:00Z')]);
  await pipeline.deliver();
  await pipeline.rollup();
  await pipeline.sendBatch('shop', [view('/b', 'bob', '2026-03-10T03:30:00Z')]);
  await pipeline.deliver();
  // As on AWS, where tasks run at the same time: the day comes in between the hour's note for it and the hour's commit.
  const put = pipeline.registry.put.bind(pipeline.registry);
  const day = { kind: 'day', day: '2026-03-10' } as const;
  let between: number | undefined;
  pipeline.registry.put = async (items) => {
    await put(items);
    if (between !== undefined || !items.some(({ pk }) => pk === 'owed')) return;
    between = 0;
    between = await runTask(day, pipeline);
  };
  const sent: Task[] = [];
  await runTask({ kind: 'hour', hour: '2026-03-10T03' }, { ...pipeline, tasks: { ...pipeline.tasks, send: async (tasks) => { sent.push(...tasks); } } });
  assert.equal(between, 0);
  assert.deepEqual(sent.map(({ kind }) => kind), ['day']);
  assert.equal(await runTask(day, pipeline), 2);
  assert.deepEqual(await pipeline.stats('shop', { from: '2026-03-10', to: '2026-03-10', metrics: 'pageviews' }), { pageviews: 2 });
  assert.deepEqual(await pipeline.registry.range('owed', '', '~'), []);
});
