// From a page in a browser to the merchant's numbers: the tracker and the whole pipeline on one machine.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { start } from '../../local/start.ts';
import { buildTracker } from '../../tracker/build.ts';
import { browserTest, launch } from '../browser.ts';
import { ADMIN_KEY, BROWSER, api, countedUntilNow, makeSite, temporaryFolder, until } from '../process.ts';

browserTest('What happens on a shop\'s pages is counted once, though an answer is lost on the way', async (t) => {
  const footfall = await start({ dataFolder: temporaryFolder(), port: 0, host: '127.0.0.1', adminKey: ADMIN_KEY, deliverEveryMs: 50, rollupEveryMs: 50, rollupShare: 1, report: () => undefined });
  t.after(() => footfall.stop());
  await makeSite(footfall.url, 'shop');
  const html = `<!doctype html><script defer src="${footfall.url}/t.js" data-site="shop"></script><noscript><img src="${footfall.url}/p.gif?site=shop" alt="" referrerpolicy="no-referrer-when-downgrade"></noscript>`;
  const pages = createServer((_, response) => { response.writeHead(200, { 'Content-Type': 'text/html' }).end(html); }).listen(0, '127.0.0.1');
  await once(pages, 'listening');
  t.after(() => { pages.closeAllConnections(); pages.close(); });
  const shop = `http://shop.example:${(pages.address() as AddressInfo).port}`;

  // Of a browser that says it has no window, every event would be a bot's; of a context's own name, the beacon of a page that is left knows nothing.
  const browser = await launch({ args: [`--user-agent=${BROWSER}`] });
  t.after(() => browser.close());
  const context = await browser.newContext();
  const script = await buildTracker();
  await context.route('**/t.js', (route) => route.fulfill({ contentType: 'text/javascript', body: script }));
  // The door takes the first request, and the page never hears of it.
  await context.route('**/e', async (route) => {
    assert.equal((await route.fetch()).status(), 204);
    await route.abort();
  }, { times: 1 });
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(`${shop}/p/1?utm_source=newsletter`);
  await page.evaluate(`footfall('add_to_cart', { items: [{ id: 'mug', price: 12.5 }] }); history.pushState({}, '', '/cart')`);
  await page.clock.runFor(5_000);
  await page.waitForFunction('localStorage.length === 3');
  await page.evaluate(`footfall('purchase', { value: 25, currency: 'EUR', transaction_id: 'T-1', items: [{ id: 'mug', quantity: 2, price: 12.5 }] }); footfall('survey', { rating: 5 })`);
  await page.clock.runFor(10_000);
  await page.waitForFunction('localStorage.length === 0');
  await page.evaluate(`footfall('left')`);
  await page.goto(`${footfall.url}/v1/health`);

  const without = await browser.newContext({ javaScriptEnabled: false });
  await (await without.newPage()).goto(`${shop}/p/2`);

  await until(async () => {
    const { results } = await api<{ results: [{ metrics: { events: number } }] }>(footfall.url, 'GET', '/v1/sites/shop/stats?range=7d&metrics=events');
    return results[0].metrics.events >= 7 ? true : undefined;
  }, 'seven events to be counted');
  await countedUntilNow(footfall.url);
  const answer = async (path: string) => (await api<{ results: Record<string, unknown>[] }>(footfall.url, 'GET', `/v1/sites/shop/${path}`)).results;
  // Both browsers have one address and say the same of themselves: without an id they are one visitor.
  const [{ metrics }] = await answer('stats?range=7d&metrics=visitors,visits,pageviews,events,add_to_carts,purchases,revenue,bots,rejected') as [{ metrics: unknown }];
  assert.deepEqual(metrics, { visitors: 1, visits: 1, pageviews: 3, events: 7, add_to_carts: 1, purchases: 1, revenue: 25, bots: 0, rejected: 0 });
  const counts = async (dimension: string, metric: string) => Object.fromEntries((await answer(`breakdown?range=7d&dimension=${dimension}&metrics=${metric}&order_by=${metric}`)).map(({ value, metrics: of }) => [value as string, (of as Record<string, unknown>)[metric]]));
  assert.deepEqual(await counts('event', 'events'), { page_view: 3, add_to_cart: 1, purchase: 1, survey: 1, left: 1 });
  assert.deepEqual(await counts('page', 'pageviews'), { '/p/1': 1, '/cart': 1, '/p/2': 1 });
  assert.deepEqual(await counts('source', 'visits'), { newsletter: 1 });
});
