// Local days and hours through the whole pipeline, where zones are at their strangest. All that is expected is written
// down here by hand: what the pipeline takes from core/zone.ts must not be its own witness.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MetricValues } from '../../core/serve.ts';
import { openPipeline } from '../pipeline.ts';

const NOW = '2027-02-01T00:00:00Z';
const view = (path: string, time: string, who: object, more: object = {}) => ({ name: 'page_view', url: `https://shop.example${path}`, time, ...who, ...more });

/** The slots in which there was anything. */
function busy(series: Record<string, MetricValues>): Record<string, MetricValues> {
  return Object.fromEntries(Object.entries(series).filter(([, values]) => Object.values(values).some(Boolean)));
}

interface Day {
  zone: string;
  day: string;
  /** The day's first and last millisecond and others, each with the local hour they are in. */
  moments: [utc: string, hour: string][];
  /** The millisecond before the day and its date, and the one after. */
  before: [utc: string, day: string];
  after: [utc: string, day: string];
  hours: number;
  /** Local hours that follow each other where the clocks change. */
  change?: string[];
}

const DAYS: Day[] = [
  {
    zone: 'Asia/Kolkata', day: '2026-11-20', hours: 24,
    before: ['2026-11-19T18:29:59.999Z', '2026-11-19'], after: ['2026-11-20T18:30Z', '2026-11-21'],
    moments: [['2026-11-19T18:30Z', '2026-11-20T00:00:00+05:30'], ['2026-11-20T18:29:59.999Z', '2026-11-20T23:00:00+05:30']],
  },
  {
    zone: 'Asia/Kathmandu', day: '2026-11-20', hours: 24,
    before: ['2026-11-19T18:14:59.999Z', '2026-11-19'], after: ['2026-11-20T18:15Z', '2026-11-21'],
    moments: [['2026-11-19T18:15Z', '2026-11-20T00:00:00+05:45'], ['2026-11-20T18:14:59.999Z', '2026-11-20T23:00:00+05:45']],
  },
  {
    zone: 'Australia/Eucla', day: '2026-11-20', hours: 24,
    before: ['2026-11-19T15:14:59.999Z', '2026-11-19'], after: ['2026-11-20T15:15Z', '2026-11-21'],
    moments: [['2026-11-19T15:15Z', '2026-11-20T00:00:00+08:45'], ['2026-11-20T15:14:59.999Z', '2026-11-20T23:00:00+08:45']],
  },
  {
    zone: 'Pacific/Chatham', day: '2026-11-20', hours: 24,
    before: ['2026-11-19T10:14:59.999Z', '2026-11-19'], after: ['2026-11-20T10:15Z', '2026-11-21'],
    moments: [['2026-11-19T10:15Z', '2026-11-20T00:00:00+13:45'], ['2026-11-20T10:14:59.999Z', '2026-11-20T23:00:00+13:45']],
  },
  {
    zone: 'Pacific/Chatham', day: '2026-07-20', hours: 24,
    before: ['2026-07-19T11:14:59.999Z', '2026-07-19'], after: ['2026-07-20T11:15Z', '2026-07-21'],
    moments: [['2026-07-19T11:15Z', '2026-07-20T00:00:00+12:45'], ['2026-07-20T11:14:59.999Z', '2026-07-20T23:00:00+12:45']],
  },
  {
    zone: 'America/St_Johns', day: '2026-11-20', hours: 24,
    before: ['2026-11-20T03:29:59.999Z', '2026-11-19'], after: ['2026-11-21T03:30Z', '2026-11-21'],
    moments: [['2026-11-20T03:30Z', '2026-11-20T00:00:00-03:30'], ['2026-11-21T03:29:59.999Z', '2026-11-20T23:00:00-03:30']],
  },
  {
    zone: 'Etc/GMT+12', day: '2026-11-20', hours: 24,
    before: ['2026-11-20T11:59:59.999Z', '2026-11-19'], after: ['2026-11-21T12:00Z', '2026-11-21'],
    moments: [['2026-11-20T12:00Z', '2026-11-20T00:00:00-12:00'], ['2026-11-21T11:59:59.999Z', '2026-11-20T23:00:00-12:00']],
  },
  {
    zone: 'Pacific/Kiritimati', day: '2026-11-20', hours: 24,
    before: ['2026-11-19T09:59:59.999Z', '2026-11-19'], after: ['2026-11-20T10:00Z', '2026-11-21'],
    moments: [['2026-11-19T10:00Z', '2026-11-20T00:00:00+14:00'], ['2026-11-20T09:59:59.999Z', '2026-11-20T23:00:00+14:00']],
  },
  {
    zone: 'Europe/Berlin', day: '2026-03-29', hours: 23,
    before: ['2026-03-28T22:59:59.999Z', '2026-03-28'], after: ['2026-03-29T22:00Z', '2026-03-30'],
    moments: [
      ['2026-03-28T23:00Z', '2026-03-29T00:00:00+01:00'],
      ['2026-03-29T00:59:59.999Z', '2026-03-29T01:00:00+01:00'],
      ['2026-03-29T01:00Z', '2026-03-29T03:00:00+02:00'],
      ['2026-03-29T21:59:59.999Z', '2026-03-29T23:00:00+02:00'],
    ],
    change: ['2026-03-29T01:00:00+01:00', '2026-03-29T03:00:00+02:00'],
  },
  {
    zone: 'Europe/Berlin', day: '2026-10-25', hours: 25,
    before: ['2026-10-24T21:59:59.999Z', '2026-10-24'], after: ['2026-10-25T23:00Z', '2026-10-26'],
    moments: [
      ['2026-10-24T22:00Z', '2026-10-25T00:00:00+02:00'],
      ['2026-10-25T00:00Z', '2026-10-25T02:00:00+02:00'],
      ['2026-10-25T00:59:59.999Z', '2026-10-25T02:00:00+02:00'],
      ['2026-10-25T01:00Z', '2026-10-25T02:00:00+01:00'],
      ['2026-10-25T22:59:59.999Z', '2026-10-25T23:00:00+01:00'],
    ],
    change: ['2026-10-25T01:00:00+02:00', '2026-10-25T02:00:00+02:00', '2026-10-25T02:00:00+01:00', '2026-10-25T03:00:00+01:00'],
  },
  {
    // 24 hours and a half: from 1:30 to 2:00 it is twice.
    zone: 'Australia/Lord_Howe', day: '2026-04-05', hours: 25,
    before: ['2026-04-04T12:59:59.999Z', '2026-04-04'], after: ['2026-04-05T13:30Z', '2026-04-06'],
    moments: [
      ['2026-04-04T13:00Z', '2026-04-05T00:00:00+11:00'],
      ['2026-04-04T14:59:59.999Z', '2026-04-05T01:00:00+11:00'],
      ['2026-04-04T15:00Z', '2026-04-05T01:00:00+10:30'],
      ['2026-04-04T15:29:59.999Z', '2026-04-05T01:00:00+10:30'],
      ['2026-04-04T15:30Z', '2026-04-05T02:00:00+10:30'],
      ['2026-04-05T13:29:59.999Z', '2026-04-05T23:00:00+10:30'],
    ],
    change: ['2026-04-05T01:00:00+11:00', '2026-04-05T01:00:00+10:30', '2026-04-05T02:00:00+10:30'],
  },
  {
    // 23 hours and a half: 2:00 is 2:30, so that of this hour there is the second half only.
    zone: 'Australia/Lord_Howe', day: '2026-10-04', hours: 24,
    before: ['2026-10-03T13:29:59.999Z', '2026-10-03'], after: ['2026-10-04T13:00Z', '2026-10-05'],
    moments: [
      ['2026-10-03T13:30Z', '2026-10-04T00:00:00+10:30'],
      ['2026-10-03T15:29:59.999Z', '2026-10-04T01:00:00+10:30'],
      ['2026-10-03T15:30Z', '2026-10-04T02:00:00+11:00'],
      ['2026-10-03T16:00Z', '2026-10-04T03:00:00+11:00'],
      ['2026-10-04T12:59:59.999Z', '2026-10-04T23:00:00+11:00'],
    ],
    change: ['2026-10-04T01:00:00+10:30', '2026-10-04T02:00:00+11:00', '2026-10-04T03:00:00+11:00'],
  },
  {
    // There is no midnight: 23:59 is followed by 1:00.
    zone: 'America/Havana', day: '2026-03-08', hours: 23,
    before: ['2026-03-08T04:59:59.999Z', '2026-03-07'], after: ['2026-03-09T04:00Z', '2026-03-09'],
    moments: [['2026-03-08T05:00Z', '2026-03-08T01:00:00-04:00'], ['2026-03-09T03:59:59.999Z', '2026-03-08T23:00:00-04:00']],
  },
];

test('A local day counts from its first millisecond to its last, in as many hours as it has', async (t) => {
  const pipeline = await openPipeline(t, NOW);
  const siteOf = ({ zone, day }: Day) => `${zone}-${day}`.toLowerCase().replaceAll(/[^a-z0-9-]/g, '-');
  for (const row of DAYS) {
    await pipeline.site(siteOf(row), row.zone);
    await pipeline.sendBatch(siteOf(row), [
      view('/before', row.before[0], { visitor: 'before' }),
      ...row.moments.map(([utc]) => view('/in', utc, { visitor: utc })),
      view('/after', row.after[0], { visitor: 'after' }),
    ]);
  }
  await pipeline.deliver();
  await pipeline.rollup();
  for (const row of DAYS) {
    const { zone, day, moments, before, after, hours, change = [] } = row;
    await t.test(`${zone} ${day}`, async () => {
      const site = siteOf(row);
      const its = { from: day, to: day, metrics: 'pageviews,visitors' };
      const all = { pageviews: moments.length, visitors: moments.length };
      const one = { pageviews: 1, visitors: 1 };
      assert.deepEqual(await pipeline.stats(site, its), all);
      assert.deepEqual(await pipeline.timeseries(site, { ...its, from: before[1], to: after[1] }), { [before[1]]: one, [day]: all, [after[1]]: one });
      assert.deepEqual(await pipeline.breakdown(site, { ...its, dimension: 'page', metrics: 'pageviews' }), { '/in': { pageviews: moments.length } });

      const expected: Record<string, MetricValues> = {};
      for (const [, hour] of moments) {
        const n = (expected[hour]?.pageviews ?? 0) + 1;
        expected[hour] = { pageviews: n, visitors: n };
      }
      const series = await pipeline.timeseries(site, { ...its, interval: 'hour' });
      assert.deepEqual(busy(series), expected);
      const names = Object.keys(series);
      assert.equal(names.length, hours);
      assert.deepEqual([names[0], names.at(-1)], [moments[0]![1], moments.at(-1)![1]]);
      const at = names.indexOf(change[0]!);
      if (change.length > 0) assert.deepEqual(names.slice(at, at + change.length), change);
    });
  }
});

test('A date that a zone skipped is a day without hours, and its month has all the others', async (t) => {
  const pipeline = await openPipeline(t, NOW);
  await pipeline.site('samoa', 'Pacific/Apia');
  // The 30th of December 2011 was left out: after 23:59 of the 29th (UTC−10) came 0:00 of the 31st (UTC+14).
  await pipeline.sendBatch('samoa', [
    view('/before', '2011-12-30T09:45Z', { visitor: 'ann' }),
    view('/before', '2011-12-30T09:59:59.999Z', { visitor: 'bob' }),
    view('/after', '2011-12-30T10:00Z', { visitor: 'bob' }),
    view('/after', '2011-12-30T10:14:59.999Z', { visitor: 'cid' }),
  ]);
  await pipeline.deliver();
  await pipeline.rollup();
  const metrics = 'pageviews,visitors,visits,engaged_visits';
  const [before, none, after] = [
    { pageviews: 2, visitors: 2, visits: 2, engaged_visits: 0 },
    { pageviews: 0, visitors: 0, visits: 0, engaged_visits: 0 },
    { pageviews: 2, visitors: 2, visits: 1, engaged_visits: 1 },
  ];
  const days = await pipeline.timeseries('samoa', { from: '2011-12-29', to: '2011-12-31', metrics });
  assert.deepEqual(days, { '2011-12-29': before, '2011-12-30': none, '2011-12-31': after });

  const skipped = { from: '2011-12-30', to: '2011-12-30' };
  assert.deepEqual(await pipeline.stats('samoa', { ...skipped, metrics: `${metrics},bounce_rate` }), { ...none, bounce_rate: null });
  assert.deepEqual(await pipeline.timeseries('samoa', { ...skipped, interval: 'hour' }), {});
  assert.deepEqual(await pipeline.breakdown('samoa', { ...skipped, dimension: 'page' }), {});

  const hours = await pipeline.timeseries('samoa', { from: '2011-12-29', to: '2011-12-31', interval: 'hour', metrics });
  assert.deepEqual(Object.keys(hours).slice(23, 25), ['2011-12-29T23:00:00-10:00', '2011-12-31T00:00:00+14:00']);
  assert.equal(Object.keys(hours).length, 48);
  assert.deepEqual(busy(hours), { '2011-12-29T23:00:00-10:00': before, '2011-12-31T00:00:00+14:00': after });

  const both = { pageviews: 4, visitors: 3, visits: 3, engaged_visits: 1 };
  const december = { from: '2011-12-01', to: '2011-12-31' };
  assert.deepEqual(await pipeline.stats('samoa', { ...december, metrics }), both);
  const months = { '2011-11-01': none, '2011-12-01': both, '2012-01-01': none };
  assert.deepEqual(await pipeline.timeseries('samoa', { from: '2011-11-01', to: '2012-01-31', interval: 'month', metrics }), months);
  assert.equal(Object.keys(await pipeline.timeseries('samoa', { ...december, metrics })).length, 31);
  assert.deepEqual(await pipeline.breakdown('samoa', { ...december, dimension: 'page', metrics: 'pageviews' }), { '/after': { pageviews: 2 }, '/before': { pageviews: 2 } });
  assert.deepEqual(await pipeline.breakdown('samoa', { from: '2011-12-29', to: '2011-12-29', dimension: 'exit_page' }), { '/before': { exits: 1 } });
  assert.deepEqual(await pipeline.breakdown('samoa', { from: '2011-12-31', to: '2011-12-31', dimension: 'exit_page' }), { '/after': { exits: 2 } });
});

/** The beginning of a visit, 30 minutes later, and a millisecond after that; and the local hours of the two. */
const OVER: [over: string, zone: string, begins: string, goesOn: string, tooLate: string, first: string, next: string][] = [
  ['midnight and the month\'s end', 'Asia/Kolkata', '2026-10-31T18:15Z', '2026-10-31T18:45Z', '2026-10-31T18:45:00.001Z', '2026-10-31T23:00:00+05:30', '2026-11-01T00:00:00+05:30'],
  ['midnight and the year\'s end', 'Europe/Berlin', '2026-12-31T22:45Z', '2026-12-31T23:15Z', '2026-12-31T23:15:00.001Z', '2026-12-31T23:00:00+01:00', '2027-01-01T00:00:00+01:00'],
  ['the midnight of a day of 23 hours', 'Europe/Berlin', '2026-03-28T22:45Z', '2026-03-28T23:15Z', '2026-03-28T23:15:00.001Z', '2026-03-28T23:00:00+01:00', '2026-03-29T00:00:00+01:00'],
  ['an hour left out', 'Europe/Berlin', '2026-03-29T00:45Z', '2026-03-29T01:15Z', '2026-03-29T01:15:00.001Z', '2026-03-29T01:00:00+01:00', '2026-03-29T03:00:00+02:00'],
  ['an hour that comes twice', 'Europe/Berlin', '2026-10-25T00:45Z', '2026-10-25T01:15Z', '2026-10-25T01:15:00.001Z', '2026-10-25T02:00:00+02:00', '2026-10-25T02:00:00+01:00'],
  ['half an hour that comes twice', 'Australia/Lord_Howe', '2026-04-04T14:45Z', '2026-04-04T15:15Z', '2026-04-04T15:15:00.001Z', '2026-04-05T01:00:00+11:00', '2026-04-05T01:00:00+10:30'],
  ['an hour that comes twice, at a quarter to', 'Pacific/Chatham', '2026-04-04T13:45Z', '2026-04-04T14:15Z', '2026-04-04T14:15:00.001Z', '2026-04-05T03:00:00+13:45', '2026-04-05T03:00:00+12:45'],
  ['a date left out', 'Pacific/Apia', '2011-12-30T09:45Z', '2011-12-30T10:15Z', '2011-12-30T10:15:00.001Z', '2011-12-29T23:00:00-10:00', '2011-12-31T00:00:00+14:00'],
];

test('A visit of a visitor with an id goes on over whatever the clocks do, and counts where it began', async (t) => {
  const pipeline = await openPipeline(t, NOW);
  for (const [i, [, zone, begins, goesOn, tooLate]] of OVER.entries()) {
    await pipeline.site(`site-${i}`, zone);
    const google = { referrer: 'https://www.google.com/' };
    await pipeline.sendBatch(`site-${i}`, [
      view('/in', begins, { visitor: 'ann' }, google),
      view('/out', goesOn, { visitor: 'ann' }),
      view('/in', begins, { visitor: 'bob' }, google),
      view('/out', tooLate, { visitor: 'bob' }),
    ]);
  }
  await pipeline.deliver();
  await pipeline.rollup();
  const metrics = 'visits,pageviews,visitors,engaged_visits,bounces,visit_seconds';
  const begun = { visits: 2, pageviews: 2, visitors: 2, engaged_visits: 0, bounces: 2, visit_seconds: 0 };
  // Ann's second event makes her visit an engaged one; Bob's begins a visit.
  const later = { visits: 1, pageviews: 2, visitors: 2, engaged_visits: 1, bounces: 0, visit_seconds: 1800 };
  const both = { visits: 3, pageviews: 4, visitors: 2, engaged_visits: 1, bounces: 2, visit_seconds: 1800 };
  for (const [i, [over, zone, , , , first, next]] of OVER.entries()) {
    await t.test(`${over}: ${zone} ${first}`, async () => {
      const [from, to] = [first.slice(0, 10), next.slice(0, 10)];
      const range = { from, to, metrics };
      assert.deepEqual(await pipeline.stats(`site-${i}`, range), both);
      assert.deepEqual(busy(await pipeline.timeseries(`site-${i}`, { ...range, interval: 'hour' })), { [first]: begun, [next]: later });
      assert.deepEqual(busy(await pipeline.timeseries(`site-${i}`, range)), from === to ? { [from]: both } : { [from]: begun, [to]: later });
      const [firstMonth, nextMonth] = [`${from.slice(0, 7)}-01`, `${to.slice(0, 7)}-01`];
      const months = await pipeline.timeseries(`site-${i}`, { ...range, interval: 'month' });
      assert.deepEqual(months, firstMonth === nextMonth ? { [firstMonth]: both } : { [firstMonth]: begun, [nextMonth]: later });

      const values = async (day: string) => ({
        source: await pipeline.breakdown(`site-${i}`, { from: day, to: day, dimension: 'source', metrics: 'visits,pageviews' }),
        entry: await pipeline.breakdown(`site-${i}`, { from: day, to: day, dimension: 'entry_page' }),
        exit: await pipeline.breakdown(`site-${i}`, { from: day, to: day, dimension: 'exit_page' }),
      });
      if (from === to) {
        assert.deepEqual(await values(from), {
          source: { google: { visits: 2, pageviews: 3 }, '(direct)': { visits: 1, pageviews: 1 } },
          entry: { '/in': { visits: 2 }, '/out': { visits: 1 } },
          exit: { '/in': { exits: 1 }, '/out': { exits: 2 } },
        });
      } else {
        assert.deepEqual(await values(from), { source: { google: { visits: 2, pageviews: 2 } }, entry: { '/in': { visits: 2 } }, exit: { '/in': { exits: 1 } } });
        assert.deepEqual(await values(to), {
          source: { '(direct)': { visits: 1, pageviews: 1 }, google: { visits: 0, pageviews: 1 } }, entry: { '/out': { visits: 1 } }, exit: { '/out': { exits: 2 } },
        });
      }
    });
  }
});

test('A visitor without an id is somebody else after local midnight, and nobody else at other hours', async (t) => {
  const pipeline = await openPipeline(t, '2026-11-20T18:29:59.999Z');
  const firefox = { ip: '192.0.2.7', user_agent: 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0' };
  const metrics = 'visitors,visits,engaged_visits,pageviews';
  const [twoPeople, onePerson, bounce] = [
    { visitors: 2, visits: 2, engaged_visits: 0, pageviews: 2 },
    { visitors: 1, visits: 1, engaged_visits: 1, pageviews: 2 },
    { visitors: 1, visits: 1, engaged_visits: 0, pageviews: 1 },
  ];
  for (const [site, zone] of [['browser', 'Asia/Kolkata'], ['server', 'Asia/Kolkata'], ['month', 'Etc/GMT+12'], ['utc-midnight', 'Asia/Kolkata'], ['clocks', 'Europe/Berlin'], ['samoa', 'Pacific/Apia']] as const) {
    await pipeline.site(site, zone);
  }
  // Midnight in Kolkata is in the middle of an hour of UTC.
  await pipeline.send('browser', [{ name: 'page_view', url: 'https://shop.example/' }]);
  await pipeline.sendBatch('server', ['2026-11-20T18:29:59.999Z', '2026-11-20T18:30Z'].map((time) => view('/', time, firefox)));
  await pipeline.sendBatch('month', ['2026-11-01T11:59:59.999Z', '2026-11-01T12:00Z'].map((time) => view('/', time, firefox)));
  await pipeline.sendBatch('utc-midnight', ['2026-11-18T23:59:59.999Z', '2026-11-19T00:00Z'].map((time) => view('/', time, firefox)));
  await pipeline.sendBatch('clocks', ['2026-10-25T00:59:59.999Z', '2026-10-25T01:00Z'].map((time) => view('/', time, firefox)));
  await pipeline.sendBatch('samoa', ['2011-12-30T09:59:59.999Z', '2011-12-30T10:00Z'].map((time) => view('/', time, firefox)));
  pipeline.at('2026-11-20T18:30:00.000Z');
  await pipeline.send('browser', [{ name: 'page_view', url: 'https://shop.example/' }]);
  await pipeline.deliver();
  await pipeline.rollup();
  for (const [site, from, to] of [
    ['browser', '2026-11-20', '2026-11-21'], ['server', '2026-11-20', '2026-11-21'], ['month', '2026-10-31', '2026-11-01'], ['samoa', '2011-12-29', '2011-12-31'],
  ] as const) {
    assert.deepEqual(await pipeline.stats(site, { from, to, metrics }), twoPeople, site);
    assert.deepEqual(busy(await pipeline.timeseries(site, { from, to, metrics })), { [from]: bounce, [to]: bounce }, site);
  }
  assert.deepEqual(await pipeline.timeseries('month', { from: '2026-10-01', to: '2026-11-30', interval: 'month', metrics }), { '2026-10-01': bounce, '2026-11-01': bounce });
  for (const [site, day] of [['utc-midnight', '2026-11-19'], ['clocks', '2026-10-25']] as const) {
    assert.deepEqual(await pipeline.stats(site, { from: day, to: day, metrics }), onePerson, site);
  }
});

test('A visit ended on the day of its last event, at both ends of the world', async (t) => {
  const pipeline = await openPipeline(t, NOW);
  /** A visit's events in turn, and the exits by day once each has been counted; on days that the other site has no part in. */
  const visits: Record<string, { zone: string; steps: [path: string, utc: string, exits: Record<string, object>][] }> = {
    west: {
      zone: 'Etc/GMT+12', // Its midnight is at 12:00 UTC: the day ends when no other has it any more.
      steps: [
        ['/a', '2026-11-21T11:40Z', { '2026-11-20': { '/a': { exits: 1 } }, '2026-11-21': {} }],
        ['/b', '2026-11-21T11:59:59.999Z', { '2026-11-20': { '/b': { exits: 1 } }, '2026-11-21': {} }],
        ['/c', '2026-11-21T12:29:59.999Z', { '2026-11-20': {}, '2026-11-21': { '/c': { exits: 1 } } }],
      ],
    },
    east: {
      zone: 'Pacific/Kiritimati', // Its midnight is at 10:00 UTC of the day before: the day begins before all others.
      steps: [
        ['/a', '2026-11-09T09:40Z', { '2026-11-09': { '/a': { exits: 1 } }, '2026-11-10': {} }],
        ['/b', '2026-11-09T09:59:59.999Z', { '2026-11-09': { '/b': { exits: 1 } }, '2026-11-10': {} }],
        ['/c', '2026-11-09T10:29:59.999Z', { '2026-11-09': {}, '2026-11-10': { '/c': { exits: 1 } } }],
      ],
    },
  };
  const exits = (site: string, day: string) => pipeline.breakdown(site, { from: day, to: day, dimension: 'exit_page' });
  for (const [site, { zone }] of Object.entries(visits)) await pipeline.site(site, zone);
  for (const turn of [0, 1, 2]) {
    for (const [site, { steps }] of Object.entries(visits)) {
      const [path, utc] = steps[turn]!;
      await pipeline.sendBatch(site, [view(path, utc, { visitor: 'ann' })]);
    }
    await pipeline.deliver();
    await pipeline.rollup();
    for (const [site, { steps }] of Object.entries(visits)) {
      for (const [day, expected] of Object.entries(steps[turn]![2])) assert.deepEqual(await exits(site, day), expected, `${site} ${day} after ${steps[turn]![0]}`);
    }
  }
  for (const [site, from, to] of [['west', '2026-11-20', '2026-11-21'], ['east', '2026-11-09', '2026-11-10']] as const) {
    const days = await pipeline.timeseries(site, { from, to, metrics: 'visits,pageviews,visit_seconds' });
    assert.deepEqual(days, { [from]: { visits: 1, pageviews: 2, visit_seconds: 1199.999 }, [to]: { visits: 0, pageviews: 1, visit_seconds: 1800 } }, site);
    assert.deepEqual(await pipeline.breakdown(site, { from, to, dimension: 'entry_page' }), { '/a': { visits: 1 } }, site);
    assert.deepEqual(await pipeline.breakdown(site, { from, to, dimension: 'exit_page' }), { '/c': { exits: 1 } }, site);
  }
});
