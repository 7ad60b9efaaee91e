import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dayItems, hourItem } from '../../core/items.ts';
import { SUM_NAMES, type MetricName, type Sums } from '../../core/metrics.ts';
import type { BreakdownQuery, TimeseriesQuery } from '../../core/query.ts';
import { breakdown, funnel, stats, timeseries } from '../../core/serve.ts';
import { MemoryStore } from '../memory.ts';

/** Registers of visitors who are all different, as the statements write them. */
const people = (first: number, count: number) => Array.from({ length: count }, (_, i) => (first + i) * 262_144 + 65);

type Values = Record<string, Record<string, Sums>>;

function dayOf(site: string, day: string, sums: Sums, registers: number[] = [], values: Values = {}) {
  const flat = Object.entries({ '': { '': sums }, ...values }).flatMap(([dimension, ofValue]) => Object.entries(ofValue).map(([value, its]) => ({ dimension, value, its })));
  return dayItems(day, 'run-1', {
    site_id: site, sketch: registers,
    sums: flat.map(({ dimension, value, its }) => [dimension, value, ...SUM_NAMES.map((name) => its[name] ?? 0)].join('\u001f')),
  });
}

function hourOf(site: string, hour: string, quarters: [minute: number, sums: Sums, registers?: number[]][]) {
  return hourItem(hour, 'run-1', {
    site_id: site,
    quarters: quarters.map(([minute, sums]) => [(Date.parse(`${hour}:00Z`) + minute * 60_000) / 900_000, ...SUM_NAMES.map((name) => sums[name] ?? 0)].join('\u001f')),
    sketches: quarters.map(([, , registers = []]) => registers),
  });
}

const BASE = { site: 'shop', from: '2026-11-18', to: '2026-11-20', time_zone: 'UTC', metrics: ['visitors', 'pageviews'] as MetricName[] };
const series = (more: Partial<TimeseriesQuery>): TimeseriesQuery => ({ ...BASE, interval: 'day', ...more });
const at = (text: string) => Date.parse(text);
const LATER = at('2027-01-01T00:00Z');

async function storeOf(...items: ReturnType<typeof hourOf>[]): Promise<MemoryStore> {
  const store = new MemoryStore();
  await store.put(items);
  return store;
}

/** The answer, after checking that it took one query of the store. */
async function once<T>(store: MemoryStore, read: Promise<T>): Promise<T> {
  const answer = await read;
  assert.equal(store.reads, 1, 'store queries');
  return answer;
}

test('stats: the days of the range are added up, visitors of two days count once', async () => {
  const store = await storeOf(
    ...dayOf('shop', '2026-11-17', { pageviews: 1000 }, people(500, 10)),
    ...dayOf('shop', '2026-11-18', { pageviews: 10, visits: 4, engaged_visits: 1, visit_ms: 90_000 }, people(0, 3)),
    ...dayOf('shop', '2026-11-20', { pageviews: 5, visits: 2, engaged_visits: 1, visit_ms: 30_000 }, people(2, 3)),
    ...dayOf('shop', '2026-11-21', { pageviews: 1000 }, people(600, 10)),
    ...dayOf('shop-2', '2026-11-18', { pageviews: 1000 }, people(700, 10)),
  );
  const query = { ...BASE, metrics: ['visitors', 'pageviews', 'visits', 'bounces', 'bounce_rate', 'visit_duration', 'views_per_visit', 'visit_seconds'] as MetricName[] };
  const answer = await once(store, stats(store, query, LATER));
  assert.deepEqual(answer, {
    query, complete_through: '2027-01-01T00:00:00.000Z', warnings: [],
    results: [{ metrics: { visitors: 5, pageviews: 15, visits: 6, bounces: 4, bounce_rate: 0.6667, visit_duration: 20, views_per_visit: 2.5, visit_seconds: 120 } }],
  });
});

test('stats: nothing stored is zeros, and rates without a denominator are null', async () => {
  const store = new MemoryStore();
  const metrics: MetricName[] = ['visitors', 'revenue', 'bounce_rate', 'conversion_rate', 'average_order_value', 'visit_duration'];
  const { results } = await once(store, stats(store, { ...BASE, metrics }, LATER));
  assert.deepEqual(results, [{ metrics: { visitors: 0, revenue: 0, bounce_rate: null, conversion_rate: null, average_order_value: null, visit_duration: null } }]);
});

test('stats: money is exact, in units of the currency', async () => {
  const store = await storeOf(...dayOf('shop', '2026-11-18', { revenue_micros: 19_990_000, purchases: 1, visits: 3 }), ...dayOf('shop', '2026-11-19', { revenue_micros: -9_985_000, refunds: 1 }));
  const { results } = await stats(store, { ...BASE, metrics: ['revenue', 'average_order_value', 'conversion_rate', 'refunds'] }, LATER);
  assert.deepEqual(results[0]!.metrics, { revenue: 10.005, average_order_value: 10.005, conversion_rate: 0.3333, refunds: 1 });
});

const COMPLETE: [name: string, zone: string, completeThrough: number | undefined, partial: boolean][] = [
  ['before the first rollup', 'UTC', undefined, true],
  ['a moment before the end of the last day', 'UTC', at('2026-11-20T23:59:59.999Z'), true],
  ['the end of the last day', 'UTC', at('2026-11-21T00:00Z'), false],
  ['the end of the last day in the site\'s zone', 'Asia/Kolkata', at('2026-11-20T18:30Z'), false],
  ['a moment before that', 'Asia/Kolkata', at('2026-11-20T18:30Z') - 1, true],
  ['the end of the UTC day where the site\'s ends later', 'America/New_York', at('2026-11-21T00:00Z'), true],
];
for (const [name, time_zone, completeThrough, partial] of COMPLETE) {
  test(`stats: complete through ${name}: ${partial ? 'partial' : 'complete'}`, async () => {
    const answer = await stats(new MemoryStore(), { ...BASE, time_zone }, completeThrough);
    assert.equal(answer.results[0]!.partial, partial ? true : undefined);
    assert.equal('partial' in answer.results[0]!, partial);
    assert.equal(answer.complete_through, completeThrough === undefined ? null : new Date(completeThrough).toISOString());
  });
}

test('timeseries by day: one for each day, empty ones are zeros, what is not complete is partial', async () => {
  const store = await storeOf(...dayOf('shop', '2026-11-19', { pageviews: 7 }, people(0, 2)));
  const answer = await once(store, timeseries(store, series({}), at('2026-11-20T09:00Z')));
  assert.deepEqual(answer.results, [
    { time: '2026-11-18', metrics: { visitors: 0, pageviews: 0 } },
    { time: '2026-11-19', metrics: { visitors: 2, pageviews: 7 } },
    { time: '2026-11-20', metrics: { visitors: 0, pageviews: 0 }, partial: true },
  ]);
});

test('timeseries by day: a day that begins while all before it is complete is partial, the one before is not', async () => {
  const { results } = await timeseries(new MemoryStore(), series({ time_zone: 'Asia/Kolkata' }), at('2026-11-19T18:30Z'));
  assert.deepEqual(results.map(({ partial }) => partial), [undefined, undefined, true]);
});

test('timeseries by month: named by the first day, cut to the range, visitors of two days count once', async () => {
  const store = await storeOf(
    ...dayOf('shop', '2026-09-30', { pageviews: 1000 }),
    ...dayOf('shop', '2026-10-01', { pageviews: 1000 }),
    ...dayOf('shop', '2026-10-15', { pageviews: 1 }, people(0, 3)),
    ...dayOf('shop', '2026-10-31', { pageviews: 2 }, people(1, 3)),
    ...dayOf('shop', '2026-12-01', { pageviews: 4 }, people(0, 1)),
    ...dayOf('shop', '2026-12-05', { pageviews: 1000 }),
  );
  const { results } = await once(store, timeseries(store, series({ interval: 'month', from: '2026-10-15', to: '2026-12-04' }), at('2026-12-02T00:00Z')));
  assert.deepEqual(results, [
    { time: '2026-10-01', metrics: { visitors: 4, pageviews: 3 } },
    { time: '2026-11-01', metrics: { visitors: 0, pageviews: 0 } },
    { time: '2026-12-01', metrics: { visitors: 1, pageviews: 4 }, partial: true },
  ]);
});

test('timeseries by month: ten years are one query and 120 buckets', async () => {
  const store = new MemoryStore();
  const { results } = await once(store, timeseries(store, series({ interval: 'month', from: '2016-12-01', to: '2026-11-30' }), LATER));
  assert.equal(results.length, 120);
  assert.deepEqual([results[0]!.time, results.at(-1)!.time], ['2016-12-01', '2026-11-01']);
});

test('timeseries by hour: the quarters of an hour are added up, others\' hours are left out', async () => {
  const store = await storeOf(
    hourOf('shop', '2026-11-19T23', [[45, { pageviews: 1000 }]]),
    hourOf('shop', '2026-11-20T10', [[0, { pageviews: 1 }, people(0, 2)], [15, { pageviews: 2 }, people(1, 2)], [45, { pageviews: 4 }]]),
    hourOf('shop', '2026-11-20T23', [[45, { pageviews: 8 }]]),
    hourOf('shop', '2026-11-21T00', [[0, { pageviews: 1000 }]]),
    hourOf('shop-2', '2026-11-20T10', [[0, { pageviews: 1000 }]]),
  );
  const { results } = await once(store, timeseries(store, series({ interval: 'hour', from: '2026-11-20' }), at('2026-11-20T11:00Z')));
  assert.equal(results.length, 24);
  assert.deepEqual(results.filter(({ metrics }) => metrics.pageviews !== 0), [
    { time: '2026-11-20T10:00:00+00:00', metrics: { visitors: 3, pageviews: 7 } },
    { time: '2026-11-20T23:00:00+00:00', metrics: { visitors: 0, pageviews: 8 }, partial: true },
  ]);
  assert.deepEqual(results.filter(({ partial }) => !partial).map(({ time }) => time.slice(11, 13)), Array.from({ length: 11 }, (_, i) => String(i).padStart(2, '0')));
});

test('timeseries by hour: a day of 25 hours has 25, the hour that came twice told apart by its offset', async () => {
  const store = await storeOf(
    hourOf('shop', '2026-10-24T22', [[0, { pageviews: 1 }]]),
    hourOf('shop', '2026-10-25T00', [[30, { pageviews: 2 }]]),
    hourOf('shop', '2026-10-25T01', [[30, { pageviews: 4 }]]),
    hourOf('shop', '2026-10-25T22', [[45, { pageviews: 8 }]]),
    hourOf('shop', '2026-10-25T23', [[0, { pageviews: 1000 }]]),
  );
  const { results } = await once(store, timeseries(store, series({ interval: 'hour', from: '2026-10-25', to: '2026-10-25', time_zone: 'Europe/Berlin' }), LATER));
  assert.equal(results.length, 25);
  assert.deepEqual(results.filter(({ metrics }) => metrics.pageviews !== 0).map(({ time, metrics }) => [time, metrics.pageviews]), [
    ['2026-10-25T00:00:00+02:00', 1], ['2026-10-25T02:00:00+02:00', 2], ['2026-10-25T02:00:00+01:00', 4], ['2026-10-25T23:00:00+01:00', 8],
  ]);
});

test('timeseries by hour: a day of 23 hours has 23', async () => {
  const { results } = await timeseries(new MemoryStore(), series({ interval: 'hour', from: '2026-03-29', to: '2026-03-29', time_zone: 'Europe/Berlin' }), LATER);
  assert.equal(results.length, 23);
  assert.deepEqual(results.slice(1, 3).map(({ time }) => time), ['2026-03-29T01:00:00+01:00', '2026-03-29T03:00:00+02:00']);
});

test('timeseries by hour: in a zone of half an hour a local hour is made of two hours\' quarters', async () => {
  const store = await storeOf(
    hourOf('shop', '2026-11-19T18', [[15, { pageviews: 1000 }], [30, { pageviews: 1 }], [45, { pageviews: 2 }]]),
    hourOf('shop', '2026-11-19T19', [[0, { pageviews: 4 }], [15, { pageviews: 8 }], [30, { pageviews: 16 }]]),
    hourOf('shop', '2026-11-20T18', [[15, { pageviews: 32 }], [30, { pageviews: 1000 }]]),
  );
  const { results } = await once(store, timeseries(store, series({ interval: 'hour', from: '2026-11-20', time_zone: 'Asia/Kolkata' }), at('2026-11-19T19:30Z')));
  assert.equal(results.length, 24);
  assert.deepEqual(results.slice(0, 2), [
    { time: '2026-11-20T00:00:00+05:30', metrics: { visitors: 0, pageviews: 15 } },
    { time: '2026-11-20T01:00:00+05:30', metrics: { visitors: 0, pageviews: 16 }, partial: true },
  ]);
  assert.deepEqual(results.at(-1), { time: '2026-11-20T23:00:00+05:30', metrics: { visitors: 0, pageviews: 32 }, partial: true });
});

test('timeseries by hour: the hours of a day add up to the day, whatever the zone', async () => {
  for (const [zone, day] of [['Asia/Kathmandu', '2026-11-20'], ['America/New_York', '2026-11-01'], ['Australia/Lord_Howe', '2026-04-05'], ['America/Havana', '2026-03-08'], ['Pacific/Kiritimati', '2026-11-20'], ['Etc/GMT+12', '2026-11-20']] as const) {
    const store = new MemoryStore();
    const first = at(`${day}T00:00Z`) - 20 * 3_600_000;
    for (let i = 0; i < 70; i++) await store.put([hourOf('shop', new Date(first + i * 3_600_000).toISOString().slice(0, 13), [[0, { pageviews: 1 }], [15, { pageviews: 1 }], [30, { pageviews: 1 }], [45, { pageviews: 1 }]])]);
    const { results } = await once(store, timeseries(store, series({ interval: 'hour', from: day, to: day, time_zone: zone, metrics: ['pageviews'] }), LATER));
    const quarters = { 'America/New_York': 100, 'Australia/Lord_Howe': 98, 'America/Havana': 92 }[zone as string] ?? 96;
    assert.equal(results.reduce((sum, { metrics }) => sum + metrics.pageviews!, 0), quarters, zone);
  }
});

const PAGES: Values = {
  page: { '/a': { pageviews: 10, events: 12 }, '/b': { pageviews: 30, events: 31 }, '/c': { pageviews: 10, events: 99 }, '/never': { events: 1 } },
  country: { DE: { visits: 1000, pageviews: 1000 } },
};
const top = (more: Partial<BreakdownQuery> = {}): BreakdownQuery => ({ ...BASE, dimension: 'page', metrics: ['pageviews', 'events'], order_by: 'pageviews', limit: 10, ...more });

test('breakdown: the values of the days are added up, the highest first, equal ones by name', async () => {
  const store = await storeOf(
    ...dayOf('shop', '2026-11-17', {}, [], { page: { '/a': { pageviews: 1000 } } }),
    ...dayOf('shop', '2026-11-18', {}, [], PAGES),
    ...dayOf('shop', '2026-11-20', {}, [], { page: { '/c': { pageviews: 0, events: 1 }, '/d': { pageviews: 50, events: 50 } } }),
    ...dayOf('shop-2', '2026-11-18', {}, [], { page: { '/a': { pageviews: 1000 } } }),
  );
  const query = top();
  const answer = await once(store, breakdown(store, query, at('2026-11-20T09:00Z')));
  assert.deepEqual(answer, {
    query, complete_through: '2026-11-20T09:00:00.000Z', warnings: [],
    results: [
      { value: '/d', metrics: { pageviews: 50, events: 50 } },
      { value: '/b', metrics: { pageviews: 30, events: 31 } },
      { value: '/a', metrics: { pageviews: 10, events: 12 } },
      { value: '/c', metrics: { pageviews: 10, events: 100 } },
      { value: '/never', metrics: { pageviews: 0, events: 1 } },
    ],
  });
});

test('breakdown: order_by and limit', async () => {
  const store = await storeOf(...dayOf('shop', '2026-11-18', {}, [], PAGES));
  const { results } = await breakdown(store, top({ order_by: 'events', limit: 2 }), LATER);
  assert.deepEqual(results.map(({ value }) => value), ['/c', '/b']);
});

test('breakdown: values without any of the metrics asked for are left out', async () => {
  const store = await storeOf(...dayOf('shop', '2026-11-18', {}, [], PAGES));
  const { results } = await breakdown(store, top({ metrics: ['pageviews'] }), LATER);
  assert.deepEqual(results.map(({ value }) => value), ['/b', '/a', '/c']);
});

test('breakdown: (other) comes last whatever its size, beside the limit, with a warning', async () => {
  const store = await storeOf(
    ...dayOf('shop', '2026-11-18', {}, [], { page: { ...PAGES.page, '(other)': { pageviews: 5000, events: 5000 } } }),
    ...dayOf('shop', '2026-11-19', {}, [], { page: { '(other)': { pageviews: 1, events: 1 } } }),
  );
  const { results, warnings } = await once(store, breakdown(store, top({ limit: 2 }), LATER));
  assert.deepEqual(results, [
    { value: '/b', metrics: { pageviews: 30, events: 31 } },
    { value: '/a', metrics: { pageviews: 10, events: 12 } },
    { value: '(other)', metrics: { pageviews: 5001, events: 5001 } },
  ]);
  assert.equal(warnings.length, 1);
  assert.equal(warnings[0]!.code, 'other_values');
  assert.match(warnings[0]!.message, /\(other\)/);
});

test('breakdown: (other) of one dimension is no warning for another', async () => {
  const store = await storeOf(...dayOf('shop', '2026-11-18', {}, [], { page: { '(other)': { pageviews: 1 } }, country: { DE: { visits: 1 } } }));
  const { results, warnings } = await breakdown(store, top({ dimension: 'country', metrics: ['visits'], order_by: 'visits' }), LATER);
  assert.deepEqual(results, [{ value: 'DE', metrics: { visits: 1 } }]);
  assert.deepEqual(warnings, []);
});

test('breakdown: rates are those of the whole range, and a value without one comes after those with', async () => {
  const store = await storeOf(
    ...dayOf('shop', '2026-11-18', {}, [], { source: { google: { visits: 1, purchases: 1 }, bing: { visits: 4, purchases: 1 }, odd: { purchases: 1 } } }),
    ...dayOf('shop', '2026-11-19', {}, [], { source: { google: { visits: 9 } } }),
  );
  const { results } = await breakdown(store, top({ dimension: 'source', metrics: ['conversion_rate', 'purchases'], order_by: 'conversion_rate' }), LATER);
  assert.deepEqual(results.map(({ value, metrics }) => [value, metrics.conversion_rate]), [['bing', 0.25], ['google', 0.1], ['odd', null]]);
});

test('breakdown: losses are sorted below gains', async () => {
  const store = await storeOf(...dayOf('shop', '2026-11-18', {}, [], { product: { a: { revenue_micros: -5_000_000, refunds: 1 }, b: { revenue_micros: 5_000_000, purchases: 1 }, c: { refunds: 1 } } }));
  const { results } = await breakdown(store, top({ dimension: 'product', metrics: ['revenue', 'refunds'], order_by: 'revenue' }), LATER);
  assert.deepEqual(results.map(({ value, metrics }) => [value, metrics.revenue]), [['b', 5], ['c', 0], ['a', -5]]);
});

test('breakdown: values with names that mean something to JavaScript', async () => {
  const values = Object.fromEntries(['__proto__', 'constructor', 'toString', '"; drop', '<b>'].map((value) => [value, { pageviews: 1, events: 1 }]));
  const store = await storeOf(...dayOf('shop', '2026-11-18', {}, [], { page: values }), ...dayOf('shop', '2026-11-19', {}, [], { page: values }));
  const { results } = await breakdown(store, top(), LATER);
  assert.deepEqual(results, ['"; drop', '<b>', '__proto__', 'constructor', 'toString'].map((value) => ({ value, metrics: { pageviews: 2, events: 2 } })));
});

test('breakdown: nothing stored is no values', async () => {
  const store = new MemoryStore();
  assert.deepEqual((await once(store, breakdown(store, top(), undefined))), { query: top(), complete_through: null, results: [], warnings: [] });
});

test('stats: beside each value what it was in the range it is compared with, and how much more it is', async () => {
  const store = await storeOf(
    ...dayOf('shop', '2026-11-15', { pageviews: 8, visits: 4, engaged_visits: 1 }, people(0, 3)),
    ...dayOf('shop', '2026-11-18', { pageviews: 10, visits: 4, engaged_visits: 3, revenue_micros: 5_000_000 }, people(0, 2)),
    ...dayOf('shop', '2026-11-20', { pageviews: 2 }, people(2, 1)),
  );
  const query = { ...BASE, metrics: ['visitors', 'pageviews', 'bounce_rate', 'revenue', 'conversion_rate'] as MetricName[], compare: 'previous_period' as const, comparison: { from: '2026-11-15', to: '2026-11-17' } };
  const { results } = await stats(store, query, LATER);
  assert.equal(store.reads, 2);
  assert.deepEqual(results, [{
    metrics: { visitors: 3, pageviews: 12, bounce_rate: 0.25, revenue: 5, conversion_rate: 0 },
    comparison: { visitors: 3, pageviews: 8, bounce_rate: 0.75, revenue: 0, conversion_rate: 0 },
    // From 0.75 to 0.25 is two thirds less; from nothing to something is no ratio.
    change: { visitors: 0, pageviews: 0.5, bounce_rate: -0.6667, revenue: null, conversion_rate: null },
  }]);
});

test('stats: of a metric that fell below zero and rose again, the change is upwards', async () => {
  const store = await storeOf(...dayOf('shop', '2026-11-17', { revenue_micros: -10_000_000 }), ...dayOf('shop', '2026-11-18', { revenue_micros: 5_000_000 }));
  const query = { ...BASE, from: '2026-11-18', to: '2026-11-18', metrics: ['revenue'] as MetricName[], comparison: { from: '2026-11-17', to: '2026-11-17' } };
  assert.deepEqual((await stats(store, query, LATER)).results[0]!.change, { revenue: 1.5 });
});

test('timeseries: each bucket is compared with the one at its place, whose time it names', async () => {
  const store = await storeOf(
    ...dayOf('shop', '2024-02-28', { pageviews: 1 }), ...dayOf('shop', '2024-02-29', { pageviews: 2 }), ...dayOf('shop', '2024-03-01', { pageviews: 3 }),
    ...dayOf('shop', '2025-02-28', { pageviews: 4 }), ...dayOf('shop', '2025-03-01', { pageviews: 5 }),
  );
  const compared = async (range: { from: string; to: string }, comparison: { from: string; to: string }) =>
    (await timeseries(store, series({ ...range, metrics: ['pageviews'], comparison }), LATER)).results
      .map(({ time, metrics, comparison_time, comparison: before }) => [time, metrics.pageviews, comparison_time, before?.pageviews]);
  const [leap, next] = [{ from: '2024-02-28', to: '2024-03-01' }, { from: '2025-02-28', to: '2025-03-01' }];
  assert.deepEqual(await compared(next, leap), [['2025-02-28', 4, '2024-02-28', 1], ['2025-03-01', 5, '2024-02-29', 2]]);
  assert.deepEqual(await compared(leap, next), [['2024-02-28', 1, '2025-02-28', 4], ['2024-02-29', 2, '2025-03-01', 5], ['2024-03-01', 3, undefined, undefined]]);
  assert.equal(store.reads, 4);
});

test('timeseries: smoothed by days, the first bucket has the days before the range in it', async () => {
  const views = [3, 6, 9, 0, 12];
  const store = await storeOf(...views.flatMap((pageviews, i) => dayOf('shop', `2026-11-${16 + i}`, { pageviews })));
  const { results } = await once(store, timeseries(store, series({ metrics: ['pageviews'], smooth: 3 }), LATER));
  assert.deepEqual(results, [
    { time: '2026-11-18', metrics: { pageviews: 6 } }, { time: '2026-11-19', metrics: { pageviews: 5 } }, { time: '2026-11-20', metrics: { pageviews: 7 } },
  ]);
});

test('timeseries: of a rate the buckets without one are left out of the average, and of none there is none', async () => {
  const store = await storeOf(...dayOf('shop', '2026-11-17', { visits: 4, engaged_visits: 1 }), ...dayOf('shop', '2026-11-19', { visits: 4, engaged_visits: 3 }));
  const smoothed = async (smooth: number) => (await timeseries(store, series({ metrics: ['bounce_rate'], smooth }), LATER)).results.map(({ metrics }) => metrics.bounce_rate);
  assert.deepEqual(await smoothed(3), [0.75, 0.5, 0.25]);
  assert.deepEqual(await smoothed(2), [0.75, 0.25, 0.25]);
  assert.deepEqual((await timeseries(new MemoryStore(), series({ metrics: ['bounce_rate'], smooth: 2 }), LATER)).results.map(({ metrics }) => metrics.bounce_rate), [null, null, null]);
});

test('timeseries: smoothed by hours over the night a clock is set forward, and by months over the turn of a year', async () => {
  // Berlin's day of 2026-03-29 has 23 hours; its midnight is 23:00 UTC the day before.
  const store = await storeOf(hourOf('shop', '2026-03-28T22', [[0, { pageviews: 6 }]]), hourOf('shop', '2026-03-28T23', [[0, { pageviews: 2 }]]));
  const { results } = await timeseries(store, series({ from: '2026-03-29', to: '2026-03-29', time_zone: 'Europe/Berlin', interval: 'hour', metrics: ['pageviews'], smooth: 2 }), LATER);
  assert.equal(results.length, 23);
  assert.deepEqual(results.slice(0, 3).map(({ time, metrics }) => [time, metrics.pageviews]), [
    ['2026-03-29T00:00:00+01:00', 4], ['2026-03-29T01:00:00+01:00', 1], ['2026-03-29T03:00:00+02:00', 0],
  ]);
  const months = await storeOf(...dayOf('shop', '2025-11-03', { pageviews: 30 }), ...dayOf('shop', '2025-12-31', { pageviews: 60 }), ...dayOf('shop', '2026-01-15', { pageviews: 0 }));
  const byMonth = await timeseries(months, series({ from: '2026-01-01', to: '2026-01-31', interval: 'month', metrics: ['pageviews'], smooth: 3 }), LATER);
  assert.deepEqual(byMonth.results, [{ time: '2026-01-01', metrics: { pageviews: 30 } }]);
});

test('funnel: the events of each step, and their share of the first', async () => {
  const store = await storeOf(
    ...dayOf('shop', '2026-11-18', { view_items: 5, add_to_carts: 2, checkouts: 1 }), ...dayOf('shop', '2026-11-20', { view_items: 1, purchases: 1 }),
    ...dayOf('shop', '2026-11-21', { view_items: 100 }),
  );
  const query = { site: 'shop', from: '2026-11-18', to: '2026-11-20', time_zone: 'UTC' };
  assert.deepEqual((await once(store, funnel(store, query, LATER))).results, [
    { step: 'view_item', events: 6, share: 1 }, { step: 'add_to_cart', events: 2, share: 0.3333 },
    { step: 'begin_checkout', events: 1, share: 0.1667 }, { step: 'purchase', events: 1, share: 0.1667 },
  ]);
  assert.deepEqual((await funnel(new MemoryStore(), query, LATER)).results.map(({ share }) => share), [null, null, null, null]);
});

/** Three days of one source beside the whole; on the last day it is not among the values that are kept. */
async function sources(): Promise<MemoryStore> {
  return storeOf(
    ...dayOf('shop', '2026-11-18', { visits: 9 }, [], { source: { google: { visits: 4, engaged_visits: 1 }, bing: { visits: 5 } } }),
    ...dayOf('shop', '2026-11-19', { visits: 2 }, [], { source: { bing: { visits: 2 } } }),
    ...dayOf('shop', '2026-11-20', { visits: 900 }, [], { source: { bing: { visits: 3 }, '(other)': { visits: 897 } } }),
  );
}

test('stats: filtered by a value only what belongs to it counts, and a day that may hide it is told', async () => {
  const store = await sources();
  const query = { ...BASE, metrics: ['visits', 'bounces'] as MetricName[], filter: { dimension: 'source' as const, value: 'google' } };
  const { results, warnings } = await once(store, stats(store, query, LATER));
  assert.deepEqual(results, [{ metrics: { visits: 4, bounces: 3 } }]);
  assert.deepEqual(warnings, [{ code: 'value_in_other', message: 'On 2026-11-20 there were more values than are kept of each day, and this one is not among those; it may have been more than is said here.' }]);
  // Of one that is kept each day nothing is hidden, and neither is anything of one that the days before show is not there.
  assert.deepEqual(await stats(store, { ...query, filter: { dimension: 'source', value: 'bing' } }, LATER).then((answer) => [answer.results[0]!.metrics.visits, answer.warnings]), [10, []]);
  assert.deepEqual(await stats(store, { ...query, to: '2026-11-19', filter: { dimension: 'source', value: 'nowhere' } }, LATER).then((answer) => [answer.results[0]!.metrics.visits, answer.warnings]), [0, []]);
});

test('timeseries: filtered, smoothed and compared, it takes two store queries', async () => {
  const store = await sources();
  const query = series({ from: '2026-11-19', to: '2026-11-19', metrics: ['visits'], smooth: 2, filter: { dimension: 'source', value: 'google' }, comparison: { from: '2026-11-18', to: '2026-11-18' } });
  const { results, warnings } = await timeseries(store, query, LATER);
  assert.equal(store.reads, 2);
  assert.deepEqual(results, [{ time: '2026-11-19', metrics: { visits: 2 }, comparison_time: '2026-11-18', comparison: { visits: 2 }, change: { visits: 0 } }]);
  assert.deepEqual(warnings, []);
});

test('another zone: its days are added up from quarters, at a border that is in the middle of the site\'s day', async () => {
  // Kolkata's 20th begins at 18:30 UTC of the 19th: of that hour the last two quarters are the 20th's.
  const store = await storeOf(
    hourOf('shop', '2026-11-19T18', [[15, { pageviews: 1 }, people(0, 1)], [30, { pageviews: 10 }, people(1, 2)]]),
    hourOf('shop', '2026-11-20T03', [[0, { pageviews: 100 }, people(2, 3)]]),
    hourOf('shop', '2026-11-20T18', [[15, { pageviews: 1000 }, people(10, 1)], [30, { pageviews: 10_000 }, people(20, 1)]]),
    ...dayOf('shop', '2026-11-20', { pageviews: 7 }),
  );
  const zone = { time_zone: 'Asia/Kolkata', site_time_zone: 'UTC', from: '2026-11-19', to: '2026-11-20' };
  const { results } = await once(store, timeseries(store, series(zone), LATER));
  assert.deepEqual(results, [
    { time: '2026-11-19', metrics: { visitors: 1, pageviews: 1 } },
    { time: '2026-11-20', metrics: { visitors: 5, pageviews: 1110 } },
  ]);
  store.reads = 0;
  const total = await once(store, stats(store, { ...BASE, ...zone }, LATER));
  assert.deepEqual(total.results, [{ metrics: { visitors: 6, pageviews: 1111 } }]);
});

test('another zone: what is partial, compared and counted in steps follows the zone asked for', async () => {
  const store = await storeOf(
    hourOf('shop', '2026-11-18T10', [[0, { pageviews: 4, view_items: 8, purchases: 1 }]]),
    hourOf('shop', '2026-11-19T10', [[0, { pageviews: 6, view_items: 4, purchases: 3 }]]),
  );
  const zone = { time_zone: 'Asia/Tokyo', site_time_zone: 'UTC', from: '2026-11-19', to: '2026-11-19' };
  // Tokyo's 19th ends at 15:00 UTC.
  const query = series({ ...zone, metrics: ['pageviews'], compare: 'previous_period', comparison: { from: '2026-11-18', to: '2026-11-18' } });
  const result = { time: '2026-11-19', metrics: { pageviews: 6 }, comparison_time: '2026-11-18', comparison: { pageviews: 4 }, change: { pageviews: 0.5 } };
  assert.deepEqual((await timeseries(store, query, at('2026-11-19T15:00Z'))).results, [result]);
  assert.deepEqual((await timeseries(store, query, at('2026-11-19T14:59Z'))).results, [{ ...result, partial: true }]);
  const steps = await funnel(store, { site: 'shop', ...zone }, LATER);
  assert.deepEqual(steps.results.map(({ step, events }) => [step, events]), [['view_item', 4], ['add_to_cart', 0], ['begin_checkout', 0], ['purchase', 3]]);
});

test('another zone: the days of the site and those of its own zone by hours are the same numbers', async () => {
  // Every quarter of 40 days around the night the clock is set back, with sums that a random generator chose (seed 1).
  const zone = 'Europe/Berlin';
  let state = 1;
  const random = () => { state = (state * 48_271) % 2_147_483_647; return state; };
  const byDay = new Map<string, number>();
  const hours = [];
  const days = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' });
  for (let hour = at('2026-10-15T00:00Z'); hour < at('2026-11-10T00:00Z'); hour += 3_600_000) {
    hours.push(hourOf('shop', new Date(hour).toISOString().slice(0, 13), [0, 15, 30, 45].map((minute) => {
      const pageviews = random() % 1000;
      const day = days.format(hour + minute * 60_000);
      byDay.set(day, (byDay.get(day) ?? 0) + pageviews);
      return [minute, { pageviews }];
    })));
  }
  const store = await storeOf(...hours);
  const { results } = await timeseries(store, series({ from: '2026-10-20', to: '2026-11-05', time_zone: zone, site_time_zone: 'UTC', metrics: ['pageviews'] }), LATER);
  assert.deepEqual(results.map(({ time, metrics }) => [time, metrics.pageviews]), results.map(({ time }) => [time, byDay.get(time)]));
  assert.equal(results.length, 17);
});
