// The functions in the order an event travels, each called as AWS calls it, on the adapters of AWS: from records of the
// stream to answers of the API. What comes out has to be what the one-machine pipeline makes of the same events.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import type { FirehoseTransformationResult } from 'aws-lambda';
import { mockClient } from 'aws-sdk-client-mock';
import { beaconEnvelope, packBatch } from '../../core/collect.ts';
import { newKey, storeKey } from '../../core/keys.ts';
import { isSame } from '../../core/items.ts';
import type { Load } from '../../core/load.ts';
import type { Parked } from '../../core/ports.ts';
import { readHealth } from '../../core/progress.ts';
import { storedSalts } from '../../core/salts.ts';
import { cachedSites, checkSite, readSite, writeSite } from '../../core/sites.ts';
import { athenaLake, s3Lake } from '../../lambdas/aws/lake.ts';
import { lambdaLoader } from '../../lambdas/aws/loader.ts';
import { s3Notices } from '../../lambdas/aws/notices.ts';
import { readStatements } from '../../lambdas/aws/statements.ts';
import { dynamoStore } from '../../lambdas/aws/store.ts';
import { sqsTasks } from '../../lambdas/aws/tasks.ts';
import { loadHandler } from '../../lambdas/load.ts';
import { rollupHandler } from '../../lambdas/rollup.ts';
import { scheduleHandler } from '../../lambdas/schedule.ts';
import { serveHandler } from '../../lambdas/serve.ts';
import { transformHandler } from '../../lambdas/transform.ts';
import { createTable, startDynalite, type Dynalite } from '../dynalite.ts';
import { openPipeline } from '../pipeline.ts';
import { fakeLake } from './aws/athena.ts';
import { apiEvent, contextOf, firehoseEvent, noting, rowsOf, s3Notice, schedulerEvent, sqsEvent } from './aws-events.ts';
import { checked } from '../answers.ts';
import { httpPorts } from '../memory.ts';
import { fakeQueues } from './queues.ts';

const NOW = '2026-03-10T12:30:00Z';
const AGENT = 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0';
const MINUTE = 60_000;

let dynalite: Dynalite;
before(async () => { dynalite = await startDynalite(); });
after(async () => { await dynalite.stop(); });

/** The service on AWS, as far as it is ours: the functions, and what AWS does between them. */
async function openService(t: TestContext) {
  const lake = await fakeLake(t);
  const { sqs, queues, send, delays } = fakeQueues();
  const [registryTable, metricsTable] = [await createTable(dynalite.client), await createTable(dynalite.client)];
  const registry = dynamoStore(dynalite.client, registryTable, { consistent: true });
  const metrics = dynamoStore(dynalite.client, metricsTable, { consistent: true });
  const time = { now: Date.parse(NOW) };
  const clock = () => time.now;
  const observer = noting();
  /** What happens while a query runs. */
  const hooks = { pause: async (): Promise<void> => undefined };
  let objects = 0;

  const transform = transformHandler({
    sites: cachedSites(registry, clock, 0), salts: storedSalts(registry, clock, 86_400_000), countryOf: () => undefined, clock, observer,
    aside: { put: async (records) => { assert.deepEqual(records, []); } },
  });
  const load = loadHandler({ lake: s3Lake(lake.s3, lake.bucket), metrics, observer });
  const lambda = new LambdaClient({ region: 'us-east-1' });
  mockClient(lambda).on(InvokeCommand).callsFake(async ({ Payload }: { Payload: string }) => (
    { Payload: Buffer.from(JSON.stringify(await load(JSON.parse(Payload) as Load, contextOf()))) }
  ));
  const tasks = sqsTasks(sqs, 'tasks', registry);
  const statements = await readStatements(join(import.meta.dirname, '..', '..', 'sql'));
  const rollup = rollupHandler({
    lakeWithin: (remainingMs, onQuery) => athenaLake({ ...lake, statements, remainingMs, onQuery, pause: () => hooks.pause() }),
    registry, tasks, load: lambdaLoader(lambda, 'load', { atOnce: 2 }), clock, observer,
  });
  const schedule = scheduleHandler({
    notices: s3Notices(sqs, 'notices', { deadline: MINUTE, clock, report: (line) => { assert.fail(line); } }),
    registry, tasks, lake: s3Lake(lake.s3, lake.bucket), deliveredThrough: async () => clock() - MINUTE, clock, observer,
  });
  const serve = checked('serve', serveHandler({ registry, metrics, clock, health: () => readHealth(registry, clock()), ...httpPorts(registry, clock) }));

  /** What a delivery stream does with an answer of the transform: an object for each partition, and a notice of it. */
  async function deliver({ records }: FirehoseTransformationResult, name: string): Promise<void> {
    const byPartition = new Map<string, string[]>();
    for (const { result, data, metadata } of records) {
      if (result !== 'Ok') continue;
      const { dt, hr } = metadata!.partitionKeys;
      byPartition.set(`dt=${dt}/hr=${hr}`, [...(byPartition.get(`dt=${dt}/hr=${hr}`) ?? []), ...rowsOf(data)]);
    }
    for (const [partition, rows] of byPartition) {
      const key = `events/${partition}/${name}-${++objects}.parquet`;
      await lake.putRows(key, rows);
      send('notices', JSON.stringify(s3Notice([key])));
    }
  }

  return {
    registry, metrics, tasks, queues, lake, observer, time, delays, hooks,
    async deliver(records: readonly string[], name = 'live') {
      time.now += 1;
      await deliver(await transform(firehoseEvent(records), contextOf()), name);
    },
    async schedule() {
      time.now += 1;
      await schedule(schedulerEvent(), contextOf());
    },
    /** Gives out the tasks until there are none, as the queue would: of a group one at a time, its oldest. */
    async rollUp() {
      for (let i = 0; i < 1000; i++) {
        const [next] = queues.get('tasks') ?? [];
        if (!next) return;
        time.now += 1;
        const { batchItemFailures } = await rollup(sqsEvent([next.body], ++next.received), contextOf());
        if (batchItemFailures.length === 0 || next.received === 5) queues.set('tasks', queues.get('tasks')!.filter(({ id }) => id !== next.id));
      }
      assert.fail('tasks still wait');
    },
    async read(site: string, route: string, query: string) {
      const key = newKey('read');
      await storeKey(registry, key, { scope: 'read', label: '', site }, '');
      const { statusCode, body } = await serve(apiEvent({ route: `GET /v1/sites/{site}/${route}`, path: { site }, query, key }), contextOf());
      assert.equal(statusCode, 200, body);
      return JSON.parse(body!) as { complete_through: string | null; results: unknown[]; warnings: { code: string }[] };
    },
  };
}

const SITES: [id: string, timezone: string][] = [['shop', 'Europe/Berlin'], ['book', 'Asia/Kathmandu'], ['quiet', 'UTC']];

/** Events of both sites, over three hours: visits that end and go on, a repeated event, a purchase, a refused one, a bot. */
function batches(): { site: string; events: object[] }[] {
  const url = (path: string) => `https://shop.example${path}`;
  const at = (time: string) => `2026-03-10T${time}Z`;
  return [
    { site: 'shop', events: [
      { name: 'page_view', id: '1', visitor: 'ann', url: url('/'), referrer: 'https://www.google.com/', time: at('09:50:00') },
      { name: 'view_item', id: '2', visitor: 'ann', url: url('/p/1'), time: at('09:58:00'), items: [{ id: 'p1', price: 20 }] },
      { name: 'purchase', transaction_id: 't1', visitor: 'ann', url: url('/done'), value: 40, currency: 'EUR', items: [{ id: 'p1', price: 20, quantity: 2 }], time: at('10:05:00') },
      { name: 'page_view', id: '3', visitor: 'bob', url: url('/p/2?utm_source=news&utm_medium=email'), time: at('10:10:00') },
      { name: 'page_view', id: '4', url: url('/server'), time: at('10:20:00') },
    ] },
    { site: 'book', events: [
      { name: 'page_view', id: '1', visitor: 'cid', url: url('/late'), time: at('18:10:00').replace('10T', '09T') },
      { name: 'page_view', id: '2', visitor: 'cid', url: url('/later'), time: at('18:20:00').replace('10T', '09T') },
    ] },
    // What was sent before comes again, an hour later as well, with something new.
    { site: 'shop', events: [
      { name: 'page_view', id: '3', visitor: 'bob', url: url('/p/2?utm_source=news&utm_medium=email'), time: at('10:10:00') },
      { name: 'purchase', transaction_id: 't1', visitor: 'ann', url: url('/done'), value: 40, currency: 'EUR', time: at('11:01:00') },
      { name: 'refund', id: '5', visitor: 'bob', value: 10, currency: 'EUR', time: at('11:02:00') },
    ] },
  ];
}

const beacon = (site: string, events: object[], id: string, at: number) =>
  `${JSON.stringify(beaconEnvelope({ id, at, ip: '192.0.2.1', userAgent: AGENT }, JSON.stringify({ site, events })))}\n`;

test('Events come out of the API as they do on one machine, item by item, in every zone', async (t) => {
  const service = await openService(t);
  const pipeline = await openPipeline(t, NOW);
  for (const [id, timezone] of SITES) {
    await pipeline.site(id, timezone);
    await writeSite(service.registry, checkSite(id, { name: id, timezone, currency: 'EUR' }, undefined, NOW));
  }
  for (const [i, { site, events }] of batches().entries()) {
    await pipeline.sendBatch(site, events);
    const { envelopes } = packBatch((await readSite(service.registry, site))!, JSON.stringify({ events }), { id: `b${i}`, at: service.time.now });
    await service.deliver([...envelopes.map((envelope) => `${JSON.stringify(envelope)}\n`), 'no envelope\n']);
    await pipeline.deliver();
    // On AWS one rollup after each delivery, on one machine one at the end: what is left is the same.
    await service.schedule();
    await service.rollUp();
  }
  const browser = [{ name: 'page_view', url: 'https://shop.example/now', visitor: 'eve', id: '9' }, { name: 'Bad' }];
  await pipeline.send('shop', browser);
  await service.deliver([beacon('shop', browser, 'x', service.time.now)]);
  await pipeline.deliver();
  await pipeline.rollup();
  await service.schedule();
  await service.rollUp();
  await service.schedule();

  for (const [site] of SITES) {
    const [expected, items] = await Promise.all([pipeline.metrics.range(site, '', '~'), service.metrics.range(site, '', '~')]);
    assert.deepEqual(items.map(({ sk }) => sk), expected.map(({ sk }) => sk));
    for (const [i, item] of items.entries()) assert.ok(isSame(item, expected[i]), `${site} ${item.sk}`);
  }
  const { results } = await service.read('shop', 'stats', 'from=2026-03-10&to=2026-03-10&metrics=visitors,visits,pageviews,purchases,revenue,refunds,rejected');
  // Bob came back for his refund after 52 minutes, and the copy of Ann's purchase is not an event.
  assert.deepEqual(results, [{ metrics: { visitors: 3, visits: 4, pageviews: 4, purchases: 1, revenue: 30, refunds: 1, rejected: 1 }, partial: true }]);
  // Complete to where the lake was before the last notices were read.
  const { complete_through } = await service.read('shop', 'breakdown', 'from=2026-03-10&to=2026-03-10&dimension=source&metrics=visits');
  assert.equal(complete_through, new Date(service.time.now - MINUTE).toISOString());
  assert.deepEqual(service.queues.get('notices'), []);
  assert.deepEqual(await service.registry.range('owed', '', '~'), []);
  // Nothing is left of what was only on the way.
  assert.deepEqual(service.lake.keys('items/'), []);
  assert.deepEqual(service.lake.keys('steps/'), []);
});

test('A task that fails waits longer each time, is parked with what it said after the fifth, and begins anew when its hour is announced again', async (t) => {
  const service = await openService(t);
  await writeSite(service.registry, checkSite('shop', { name: 'shop', timezone: 'UTC', currency: 'EUR' }, undefined, NOW));
  await service.deliver([beacon('shop', [{ name: 'page_view', visitor: 'ann' }], 'x', service.time.now)]);
  service.lake.faults.endings.push(...Array.from({ length: 5 }, () => ({ state: 'FAILED' as const, reason: 'GENERIC_INTERNAL_ERROR' })));
  await service.schedule();
  await service.rollUp();
  // Each attempt first takes the message away for a minute longer than it can last: 15 minutes and one.
  assert.deepEqual(service.delays, [960, 15, 960, 60, 960, 240, 960, 960, 960]);
  const [parked, ...others] = await service.tasks.parked();
  assert.deepEqual([parked!.task, parked!.attempts, others], [{ kind: 'hour', hour: '2026-03-10T12', recompute: false }, 5, []]);
  assert.match(parked!.error, /GENERIC_INTERNAL_ERROR/);
  await service.schedule();
  // It is told, and holds up nothing.
  const during = await service.read('shop', 'stats', 'from=2026-03-10&to=2026-03-10&metrics=pageviews');
  assert.deepEqual([during.warnings.map(({ code }) => code), during.results], [['not_counted'], [{ metrics: { pageviews: 0 }, partial: true }]]);
  assert.equal(during.complete_through, new Date(service.time.now - MINUTE).toISOString());

  await service.deliver([beacon('shop', [{ name: 'page_view', visitor: 'bob' }], 'y', service.time.now)]);
  await service.schedule();
  assert.deepEqual(await service.tasks.parked(), []);
  await service.rollUp();
  await service.schedule();
  const after = await service.read('shop', 'stats', 'from=2026-03-10&to=2026-03-10&metrics=pageviews');
  assert.deepEqual([after.warnings, after.results], [[], [{ metrics: { pageviews: 2 }, partial: true }]]);
  // Nothing is left of the queries that failed.
  assert.equal(new Set(service.lake.keys('hours/').map((key) => key.split('/')[1])).size, 1);
});

test('An attempt that dies without a word is parked all the same, and one that succeeds at last is not', async (t) => {
  const service = await openService(t);
  await writeSite(service.registry, checkSite('shop', { name: 'shop', timezone: 'UTC', currency: 'EUR' }, undefined, NOW));
  await service.deliver([beacon('shop', [{ name: 'page_view', visitor: 'ann' }], 'x', service.time.now)]);
  await service.schedule();
  service.queues.get('tasks')![0]!.received = 4;
  const meanwhile: Parked[] = [];
  service.hooks.pause = async () => { meanwhile.push(...await service.tasks.parked()); };
  await service.rollUp();
  assert.deepEqual(meanwhile[0], { task: { kind: 'hour', hour: '2026-03-10T12', recompute: false }, attempts: 5, error: 'the last attempt did not end' });
  assert.deepEqual(await service.tasks.parked(), []);
});

test('A replay makes its hour due behind what is live, and counts nothing twice', async (t) => {
  const service = await openService(t);
  await writeSite(service.registry, checkSite('shop', { name: 'shop', timezone: 'UTC', currency: 'EUR' }, undefined, NOW));
  const record = beacon('shop', [{ name: 'page_view', visitor: 'ann' }], 'x', service.time.now);
  await service.deliver([record]);
  await service.schedule();
  await service.rollUp();
  await service.deliver([`{"replay":true,${record.slice(1)}`], 'replay');
  await service.schedule();
  assert.deepEqual(service.queues.get('tasks')!.map(({ body }) => JSON.parse(body) as unknown), [{ kind: 'hour', hour: '2026-03-10T12', recompute: true }]);
  await service.rollUp();
  assert.deepEqual((await service.read('shop', 'stats', 'from=2026-03-10&to=2026-03-10&metrics=pageviews')).results, [{ metrics: { pageviews: 1 }, partial: true }]);
});
