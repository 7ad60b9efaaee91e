// The journey of an event: in by every door of the real process, out as a metric by HTTP. Expected numbers are
// computed here, from the same input, in a few lines of their own.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { isbot } from 'isbot';
import { ADMIN_KEY, BROWSER, ROOT, api, beacon, countedUntilNow, makeSite, runToEnd, startProcess, temporaryFolder } from './process.ts';

type Metrics = Record<string, number | null>;
interface Answer<R> { query: Record<string, unknown>; complete_through: string; results: R[]; warnings: { code: string }[] }

async function stats(url: string, site: string, query: string): Promise<Metrics> {
  return (await api<Answer<{ metrics: Metrics }>>(url, 'GET', `/v1/sites/${site}/stats?${query}`)).results[0]!.metrics;
}

async function breakdown(url: string, site: string, query: string): Promise<Record<string, Metrics>> {
  const { results } = await api<Answer<{ value: string; metrics: Metrics }>>(url, 'GET', `/v1/sites/${site}/breakdown?${query}`);
  return Object.fromEntries(results.map(({ value, metrics }) => [value, metrics]));
}

const IPHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1';
const CRAWLER = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)';

test('Events of every door come out as the numbers they should', async (t) => {
  const { url } = await startProcess(t, temporaryFolder());
  const writeKey = await makeSite(url, 'shop', { timezone: 'Asia/Kathmandu', hosts: ['shop.example'] });

  // The pixel: a page view by parameters, and one by its Referer.
  const pixel = await fetch(`${url}/p.gif?site=shop&url=${encodeURIComponent('https://shop.example/p/1?utm_source=News&utm_medium=email')}&visitor=ann&p.color=red`, { headers: { 'user-agent': BROWSER } });
  assert.deepEqual([pixel.status, pixel.headers.get('content-type'), pixel.headers.get('cache-control'), (await pixel.arrayBuffer()).byteLength], [200, 'image/gif', 'no-store', 43]);
  assert.equal((await fetch(`${url}/p.gif?site=shop&visitor=bob`, { headers: { 'user-agent': IPHONE, referer: 'https://www.shop.example/p/2' } })).status, 200);

  // The beacon: two good events, then one for each of some reasons to refuse, then a crawler.
  const good = await beacon(url, 'shop', [
    { name: 'page_view', url: 'https://shop.example/p/1', referrer: 'https://www.google.co.in/search', visitor: 'cid' },
    { name: 'add_to_cart', url: 'https://shop.example/p/1', visitor: 'cid', value: 9.5, currency: 'EUR' },
  ]);
  assert.deepEqual([good.status, good.headers.get('access-control-allow-origin')], [204, '*']);
  assert.equal((await beacon(url, 'shop', [{ name: 'Bad Name' }, { name: 'page_view', url: 'https://other.example/' }, { name: 'page_view', age: -1 }])).status, 204);
  assert.equal((await beacon(url, 'shop', [{ name: 'page_view', url: 'https://shop.example/' }], CRAWLER)).status, 204);
  assert.equal((await beacon(url, 'nobody', [{ name: 'page_view' }])).status, 204);

  // The server door: a purchase sent twice with one transaction, another event, and a refusal told at once.
  const batch = { events: [
    { name: 'purchase', transaction_id: 't1', value: 20.25, currency: 'EUR', visitor: 'cid', items: [{ id: 'sku1', quantity: 2, price: 10 }] },
    { name: 'signed_up', id: 's1', ip: '198.51.100.7', country: 'NP', user_agent: BROWSER },
    { name: 'page_view', url: 'not a url' },
  ] };
  for (let i = 0; i < 2; i++) {
    const receipt = await api<{ accepted: number; rejected: { index: number; reason: string; message: string }[] }>(url, 'POST', '/v1/events', batch, writeKey);
    assert.equal(receipt.accepted, 2);
    assert.deepEqual(receipt.rejected.map(({ index, reason }) => [index, reason]), [[2, 'bad_url']]);
    assert.match(receipt.rejected[0]!.message, /"not a url".*absolute http/);
  }

  await countedUntilNow(url);
  const all = 'metrics=events,pageviews,visitors,bots,rejected,add_to_carts,purchases,revenue,visits';
  assert.deepEqual(await stats(url, 'shop', `range=today&${all}`), {
    events: 6, pageviews: 3, visitors: 4, bots: 1, rejected: 3, add_to_carts: 1, purchases: 1, revenue: 20.25, visits: 4,
  });
  const by = (dimension: string, metrics: string) => breakdown(url, 'shop', `range=today&dimension=${dimension}&metrics=${metrics}`);
  assert.deepEqual(await by('page', 'pageviews'), { '/p/1': { pageviews: 2 }, '/p/2': { pageviews: 1 } });
  assert.deepEqual(await by('event', 'events'), { page_view: { events: 3 }, add_to_cart: { events: 1 }, purchase: { events: 1 }, signed_up: { events: 1 } });
  assert.deepEqual(await by('source', 'events'), { google: { events: 3 }, news: { events: 1 }, '(direct)': { events: 2 } });
  assert.deepEqual(await by('device', 'events'), { desktop: { events: 5 }, mobile: { events: 1 } });
  assert.deepEqual(await by('country', 'events'), { NP: { events: 1 }, '(not set)': { events: 5 } });
  assert.deepEqual(await by('rejection', 'rejected'), { bad_name: { rejected: 1 }, host_not_allowed: { rejected: 1 }, bad_age: { rejected: 1 } });
  assert.deepEqual(await by('product', 'items,revenue'), { sku1: { items: 2, revenue: 20 } });

  // Today by the hour, in a zone of quarter hours: every bucket is there, and the sum is the total.
  const { results } = await api<Answer<{ time: string; metrics: Metrics }>>(url, 'GET', '/v1/sites/shop/timeseries?range=today&interval=hour&metrics=events');
  assert.equal(results.length, 24);
  assert.ok(results.every(({ time }) => time.endsWith(':00:00+05:45')));
  assert.equal(results.reduce((sum, { metrics }) => sum + metrics.events!, 0), 6);
});

test('Keys open what they are for, and nothing else', async (t) => {
  const { url } = await startProcess(t, temporaryFolder());
  const writeKey = await makeSite(url, 'mine');
  await makeSite(url, 'other');
  const read = await api<{ id: string; key: string; scope: string; label: string }>(url, 'POST', '/v1/sites/mine/keys', { scope: 'read', label: 'page' });
  const ask = async (method: string, path: string, key?: string) => (await fetch(url + path, { method, ...(key && { headers: { authorization: `Bearer ${key}` } }) })).status;
  assert.match(read.key, /^ff_read_[0-9A-Za-z]{43}$/);
  assert.equal(await ask('GET', '/v1/sites/mine/stats', read.key), 200);
  assert.equal(await ask('GET', '/v1/sites/mine/stats'), 401);
  assert.equal(await ask('GET', '/v1/sites/mine/stats', `ff_read_${'x'.repeat(43)}`), 401);
  assert.equal(await ask('GET', '/v1/sites/mine/stats', writeKey), 403);
  assert.equal(await ask('POST', '/v1/events', read.key), 403);
  assert.equal(await ask('GET', '/v1/sites/other/stats', read.key), 404);
  assert.equal(await ask('GET', '/v1/sites/nobody/stats', read.key), 404);
  assert.equal(await ask('GET', '/v1/sites', read.key), 403);
  assert.equal(await ask('GET', '/v1/sites/mine/stats', ADMIN_KEY), 200);
  const listed = await api<{ keys: object[] }>(url, 'GET', '/v1/sites/mine/keys');
  assert.equal(listed.keys.length, 2);
  assert.doesNotMatch(JSON.stringify(listed), new RegExp(read.key.slice(8)));
  await api(url, 'DELETE', `/v1/sites/mine/keys/${read.id}`);
  assert.equal(await ask('GET', '/v1/sites/mine/stats', read.key), 401);
  assert.deepEqual((await api<{ sites: { id: string }[] }>(url, 'GET', '/v1/sites')).sites.map(({ id }) => id), ['mine', 'other']);
});

interface View { day: string; hour: string; path: string; visitor: string; bot: boolean }

/** The page views of the access log, by splitting its lines. */
function viewsOfLog(): View[] {
  const months: Record<string, string> = { May: '05' };
  return readFileSync(join(ROOT, 'test/fixtures/access.log'), 'utf8').split('\n').flatMap((line): View[] => {
    const match = /^(\S+) \S+ \S+ \[(\d\d)\/(\w{3})\/(\d{4}):(\d\d)[^\]]* \+0000\] "GET (\S+) [^"]*" (200|304) \S+ "[^"]*" "(.*)"$/.exec(line);
    if (!match) return [];
    const [, ip, day, month, year, hour, target, , agent] = match as unknown as string[];
    const path = target!.replace(/[?#].*/, '');
    if (/\.[^./]*$/.test(path.split('/').at(-1)!.slice(1)) && !/\.(html|htm|php)$/.test(path)) return [];
    return [{ day: `${year}-${months[month!]}-${day}`, hour: hour!, path, visitor: `${ip} ${agent}`, bot: agent !== '-' && isbot(agent) }];
  });
}

const DAYS = ['2015-05-17', '2015-05-18', '2015-05-19', '2015-05-20'];

function tally(keys: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const key of keys) counts[key] = (counts[key] ?? 0) + 1;
  return counts;
}

test('A real access log comes out as its own numbers, and importing it again changes nothing', async (t) => {
  const data = temporaryFolder();
  const { url, end } = await startProcess(t, data);
  const importLog = async () => {
    const ended = await runToEnd(t, 'local/import.ts', ['test/fixtures/access.log', '--site', 'blog', '--url', url, '--base-url', 'http://www.semicomplete.com'], { ...process.env, FOOTFALL_KEY: ADMIN_KEY });
    assert.equal(ended.code, 0, ended.stderr);
    await countedUntilNow(url);
    return ended.stdout;
  };
  const range = 'from=2015-05-17&to=2015-05-20';
  const read = async () => ({
    stats: await stats(url, 'blog', range),
    days: (await api<Answer<object>>(url, 'GET', `/v1/sites/blog/timeseries?${range}&metrics=pageviews,bots,visitors,visits`)).results,
    hours: (await api<Answer<{ time: string; metrics: Metrics }>>(url, 'GET', `/v1/sites/blog/timeseries?${range}&interval=hour&metrics=pageviews,visitors,bots`)).results,
    pages: Object.fromEntries(await Promise.all(DAYS.map(async (day) =>
      [day, await breakdown(url, 'blog', `from=${day}&to=${day}&dimension=page&metrics=pageviews&limit=20`)] as const))),
    sources: await breakdown(url, 'blog', `${range}&dimension=source&limit=100`),
    countries: await breakdown(url, 'blog', `${range}&dimension=country&limit=100`),
  });

  const summary = await importLog();
  const views = viewsOfLog();
  assert.match(summary, new RegExp(`accepted: ${views.length.toLocaleString('en-US')}\n`));
  const first = await read();

  const people = views.filter(({ bot }) => !bot);
  assert.equal(first.stats.pageviews, people.length);
  const dayViews = tally(people.map(({ day }) => day));
  const dayBots = tally(views.filter(({ bot }) => bot).map(({ day }) => day));
  const visitorsOfDay: Record<string, number> = {};
  for (const { time, metrics } of first.days as { time: string; metrics: Metrics }[]) {
    const visitors = new Set(people.filter(({ day }) => day === time).map(({ visitor }) => visitor)).size;
    assert.deepEqual([time, metrics.pageviews, metrics.bots], [time, dayViews[time], dayBots[time]]);
    // Salts are random, so the estimate differs from run to run. Its standard error where few of m registers are taken is
    // √(m (e^t − t − 1)) with t = n ÷ m (Whang et al. 1990); five of them are exceeded once in millions.
    const t = visitors / 4096;
    assert.ok(Math.abs(metrics.visitors! - visitors) <= 5 * Math.sqrt(4096 * (Math.exp(t) - t - 1)), `${time}: ${metrics.visitors} visitors for ${visitors}`);
    visitorsOfDay[time] = visitors;
    assert.ok(metrics.visits! >= visitors && metrics.visits! <= metrics.pageviews!);
  }
  const hourViews = tally(people.map(({ day, hour }) => `${day}T${hour}:00:00+00:00`));
  assert.deepEqual(Object.fromEntries(first.hours.filter(({ metrics }) => metrics.pageviews).map(({ time, metrics }) => [time, metrics.pageviews])), hourViews);
  for (const day of DAYS) {
    const ranked = Object.entries(tally(people.filter((view) => view.day === day).map(({ path }) => path))).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
    const { '(other)': rest, ...top } = first.pages[day]!;
    assert.deepEqual(Object.entries(top).map(([page, { pageviews }]) => [page, pageviews]), ranked.slice(0, 20));
    assert.equal(rest?.pageviews ?? 0, ranked.slice(100).reduce((sum, [, n]) => sum + n, 0), `the pages of ${day} after the first 100`);
  }
  assert.equal(Object.values(first.sources).reduce((sum, { pageviews }) => sum + pageviews!, 0), people.length);

  await importLog();
  assert.deepEqual(await read(), first);

  // What the estimates are of is exact: as many different visitors a day in the rows as addresses and agents in the log.
  await end();
  const connection = await (await DuckDBInstance.create()).connect();
  const rows = await connection.runAndReadAll(`
    select local_day, count(distinct visitor) from read_parquet('${join(data, 'lake/events/*/*/*.parquet').replaceAll('\\', '/')}')
    where not bot and rejected is null group by local_day`);
  assert.deepEqual(Object.fromEntries(rows.getRows().map(([day, n]) => [String(day), Number(n)])), visitorsOfDay);
});
