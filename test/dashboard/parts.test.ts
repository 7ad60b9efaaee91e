// The page's parts that are no page: formats, the address's view, the chart's lines, the client.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DIMENSION_NAMES } from '../../core/metrics.ts';
import { Trouble, clientOf } from '../../dashboard/client.ts';
import { age, bytes, duration, formatsOf, isBetter } from '../../dashboard/formats.ts';
import { linesOf, ticksOf } from '../../dashboard/series.ts';
import { TILES, datesOf, intervalOf, intervalsOf, searchOf, tilesOf, viewOf, type View } from '../../dashboard/view.ts';

const site = { currency: 'EUR', timezone: 'Europe/Berlin' };
const english = formatsOf('en-GB', site);
const american = formatsOf('en-US', site);

test('Numbers are written by what they count, short ones shorter', () => {
  assert.deepEqual([american.full('visits', 1234), american.short('visits', 99_999), american.short('visits', 123_456), american.full('visits', 0.26)], ['1,234', '99,999', '123.5K', '0.3']);
  assert.deepEqual([american.full('revenue', 1234.5), american.short('revenue', 1234.5), american.short('revenue', 999.99), american.short('revenue', 2_500_000), american.short('revenue', 0)], ['€1,234.50', '€1,235', '€999.99', '€2.5M', '€0']);
  assert.deepEqual([american.short('revenue', 12.5, 5000), american.short('revenue', 0, 30)], ['€13', '€0.00']);
  assert.deepEqual([american.full('bounce_rate', 0.4567), american.full('visit_duration', 125.4), american.full('average_order_value', null), american.full('visits', undefined)], ['45.7%', '2:05', '–', '–']);
  const german = formatsOf('de-DE', { currency: 'JPY', timezone: 'Asia/Tokyo' });
  assert.deepEqual([german.full('revenue', 1234), german.full('bounce_rate', 0.5)].map((text) => text.replaceAll('\u00A0', ' ')), ['1.234 ¥', '50,0 %']);
});

test('Durations, ages and sizes have the unit that fits', () => {
  assert.deepEqual([0, 59.4, 59.6, 3599, 3600, 36_061].map(duration), ['0:00', '0:59', '1:00', '59:59', '1:00:00', '10:01:01']);
  assert.deepEqual([-5, 40_000, 90_000, 5_400_000, 172_800_000].map(age), ['0 s', '40 s', '2 min', '2 h', '2 days']);
  assert.deepEqual([0, 999, 1000, 1_550_000, 5e15].map(bytes), ['0 bytes', '999 bytes', '1 KB', '1.6 MB', '5,000 TB']);
});

test('A change is signed, and is good or bad by what it changes', () => {
  assert.deepEqual([0.5, -0.333, 0.004, 9.99, 10].map((change) => english.change(change)), ['+50%', '-33%', '0%', '+999%', '> 999%']);
  assert.deepEqual([isBetter('visits', 0.5), isBetter('visits', -0.5), isBetter('bounce_rate', 0.5), isBetter('bounce_rate', -0.5), isBetter('visits', 0.004)], [true, false, false, true, undefined]);
});

test('Times are those of the shop’s clock, whatever the zone of who looks', () => {
  assert.equal(english.bucket('2026-11-20T10:00:00+05:30', 'hour'), 'Fri 20 Nov, 10:00');
  assert.deepEqual([english.tick('2026-11-20T10:00:00+05:30', 'hour'), english.tick('2026-11-20T00:00:00+05:30', 'hour'), english.tick('2026-11-01', 'month')], ['10:00', '20 Nov', 'Nov 2026']);
  const noon = Date.parse('2026-11-20T12:00:00Z');
  assert.deepEqual([english.moment(noon, noon + 1000), english.moment(noon, noon + 86_400_000)], ['13:00', '20 Nov, 13:00']);
});

test('Countries are named; what is no country stays as it is', () => {
  assert.deepEqual(['DE', 'XQ', '(not set)', '<b>'].map((code) => english.country(code)), ['Germany', 'XQ', '(not set)', '<b>']);
});

test('A view and its address are the same', () => {
  const views: View[] = [
    { range: '7d', metric: 'visitors', compare: 'previous_period', smooth: false },
    { range: 'today', metric: 'revenue', compare: 'none', smooth: true, interval: 'hour' },
    { range: { from: '2026-02-01', to: '2026-02-28' }, metric: 'visits', compare: 'previous_year', smooth: false, filter: { dimension: 'source', value: 'a==b&c #d' } },
  ];
  for (const view of views) assert.deepEqual(viewOf(searchOf(view)), view);
  assert.equal(searchOf(views[0]!), '');
  assert.equal(searchOf(views[0]!, { site: 'shop' }), '?site=shop');
});

for (const wrong of [
  'range=2d', 'range=toString', 'from=2026-02-30&to=2026-03-01', 'from=2026-03-02&to=2026-03-01', 'from=2024-01-01&to=2026-01-01', 'from=2026-03-02', 'metric=bots', 'metric=__proto__',
  'interval=week', 'compare=all', 'smooth=7', 'filter=source', 'filter=source==', 'filter=colour==red', 'filter=source==(other)', 'filter=exit_page==/', 'filter=rejection==bad_url',
]) test(`An address that says ${wrong} shows what one that says nothing does`, () => { assert.deepEqual(viewOf(`?${wrong}`), viewOf('')); });

test('Named ranges are days of the shop', () => {
  // In Auckland it is the first of March already.
  const now = Date.parse('2028-02-29T12:00:00Z');
  const of = (range: View['range']) => Object.values(datesOf(range, 'Pacific/Auckland', now)).join(' ');
  assert.deepEqual((['today', 'yesterday', '7d', '28d', '90d', 'month', 'year'] as const).map(of), [
    '2028-03-01 2028-03-01', '2028-02-29 2028-02-29', '2028-02-24 2028-03-01', '2028-02-03 2028-03-01', '2027-12-03 2028-03-01', '2028-03-01 2028-03-01', '2028-01-01 2028-03-01',
  ]);
});

test('The chart has the interval that was asked for where the range has it, else one that fits', () => {
  const view = viewOf('');
  const filter = { dimension: 'country', value: 'DE' } as const;
  assert.deepEqual(intervalsOf({ from: '2026-10-21', to: '2026-11-20' }, undefined), ['hour', 'day', 'month']);
  assert.deepEqual(intervalsOf({ from: '2026-10-20', to: '2026-11-20' }, undefined), ['day', 'month']);
  assert.deepEqual(intervalsOf({ from: '2026-11-01', to: '2026-11-20' }, filter), ['day']);
  const day = { from: '2026-11-20', to: '2026-11-20' };
  assert.deepEqual([intervalOf(view, day), intervalOf({ ...view, filter }, day), intervalOf({ ...view, interval: 'month' }, day)], ['hour', 'day', 'hour']);
  assert.deepEqual([intervalOf(view, { from: '2026-07-25', to: '2026-11-20' }), intervalOf(view, { from: '2026-07-24', to: '2026-11-20' })], ['day', 'month']);
});

test('Each dimension that can be filtered by has a tile, and a filter leaves only tiles that it knows', () => {
  assert.deepEqual(tilesOf(undefined), TILES);
  assert.deepEqual(tilesOf({ dimension: 'page', value: '/' }), ['pageviews']);
  assert.deepEqual(tilesOf({ dimension: 'source', value: 'google' }), TILES.filter((name) => name !== 'visitors'));
  assert.deepEqual(DIMENSION_NAMES.filter((dimension) => tilesOf({ dimension, value: 'x' }).length === 0), ['exit_page', 'event', 'rejection']);
});

test('The line of what is not complete goes on from what is, and what has not begun has no value', () => {
  const of = (time: string, visits: number, partial?: true) => ({ time, metrics: { visits }, comparison: { visits: visits + 1 }, ...(partial && { partial }) });
  const hours = [of('2026-11-20T11:00:00+01:00', 5), of('2026-11-20T12:00:00+01:00', 7), of('2026-11-20T13:00:00+01:00', 2, true), of('2026-11-20T14:00:00+01:00', 0, true)];
  const lines = linesOf(hours, 'visits', { interval: 'hour', timeZone: 'Europe/Berlin', now: Date.parse('2026-11-20T12:20:00Z') });
  assert.deepEqual(lines, { complete: [5, 7, null, null], partial: [null, 7, 2, null], comparison: [6, 8, 3, 1] });
  const days = [of('2026-11-19', 1), of('2026-11-20', 2, true), of('2026-11-21', 0, true)];
  assert.deepEqual(linesOf(days, 'visits', { interval: 'day', timeZone: 'Pacific/Auckland', now: Date.parse('2026-11-19T12:00:00Z') }).partial, [1, 2, null]);
});

test('Hours are named by the clock, days from the last one back, and never too many', () => {
  // The night on which the clocks of Berlin are set back: two o'clock is there twice.
  const long = ['00', '01', '02', '02', '03', ...Array.from({ length: 20 }, (_, i) => String(i + 4).padStart(2, '0'))].map((hour) => `2026-10-25T${hour}:00:00+01:00`);
  assert.deepEqual(ticksOf(long, 'hour', 5).map((i) => long[i]!.slice(11, 13)), ['00', '06', '12', '18']);
  const week = Array.from({ length: 7 * 24 }, (_, i) => `2026-11-${String(14 + Math.floor(i / 24))}T${String(i % 24).padStart(2, '0')}:00:00Z`);
  assert.deepEqual(ticksOf(week, 'hour', 4).map((i) => week[i]!.slice(8, 13)), ['14T00', '16T00', '18T00', '20T00']);
  assert.deepEqual(ticksOf(Array.from({ length: 28 }, () => ''), 'day', 5), [3, 9, 15, 21, 27]);
});

/** A client whose answers the test gives, and what it asked. */
function answering(...answers: Response[]) {
  const asked: { url: string; init: RequestInit }[] = [];
  const client = clientOf({ key: 'ff_read_x', fetch: async (url, init = {}) => {
    asked.push({ url: url as string, init });
    return answers.shift() ?? Promise.reject(new TypeError('fetch failed'));
  } });
  return { client, asked };
}

test('The client asks with its key, and quotes what it puts into an address', async () => {
  const { client, asked } = answering(Response.json({ results: [] }), new Response(null, { status: 204 }));
  await client.read('stats', 'a/b', { filter: 'source==a&b' });
  await client.revokeKey('shop', '../x');
  assert.deepEqual(asked.map(({ url, init }) => [init.method, url]), [['GET', '/v1/sites/a%2Fb/stats?filter=source%3D%3Da%26b'], ['DELETE', '/v1/sites/shop/keys/..%2Fx']]);
  assert.deepEqual(asked[0]!.init.headers, { accept: 'application/json', authorization: 'Bearer ff_read_x' });
  assert.equal(asked[0]!.init.credentials, 'omit');
});

test('The client tells a problem in its own words, and how long to wait', async () => {
  const problem = { title: 'Too many requests', status: 429, detail: 'the key: accepts 10 requests a second', errors: [{ parameter: 'key', value: '"x"', accepts: 'less' }] };
  const { client } = answering(Response.json(problem, { status: 429, headers: { 'retry-after': '2' } }), new Response('<html>', { status: 502 }), new Response('<html>'));
  await assert.rejects(client.key(), (trouble: Trouble) => trouble.status === 429 && trouble.message === problem.detail && trouble.retryAfterMs === 2000 && trouble.errors[0]!.parameter === 'key');
  await assert.rejects(client.key(), (trouble: Trouble) => trouble.status === 502 && trouble.message === 'The answer was status 502.');
  await assert.rejects(client.key(), /^Trouble: The answer is not JSON/);
  await assert.rejects(client.key(), (trouble: Trouble) => trouble.status === 0 && trouble.message === 'Footfall cannot be reached. Is this device online?');
});

test('The client tells how much the server’s clock is ahead, and names a file as the server does', async () => {
  const skews: number[] = [];
  const ahead = new Date(Date.now() + 3_600_000).toUTCString();
  const client = clientOf({ key: 'k', onSkew: (ms) => { skews.push(ms); }, fetch: async () => new Response('a,b', { headers: { date: ahead, 'content-disposition': 'attachment; filename="shop-stats.csv"' } }) });
  const { name, file } = await client.csv('stats', 'shop', {});
  assert.deepEqual([name, await file.text()], ['shop-stats.csv', 'a,b']);
  assert.ok(skews.length === 1 && Math.abs(skews[0]! - 3_600_000) < 60_000);
});
