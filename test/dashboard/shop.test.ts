// The whole way in a browser: what a visitor does in a shop with the snippet, and what its merchant sees.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { browserTest } from '../browser.ts';
import { BROWSER } from '../process.ts';
import { look, serve } from './served.ts';

browserTest('A visit to a shop that has the snippet, and its order, are on the merchant\'s page after a rollup', async (t, browser) => {
  const served = await serve(t);
  const { key } = await served.key('read');
  const merchant = await look(browser, `${served.url}/#key=${key}`);
  const snippet = await merchant.page.getByRole('region', { name: 'Snippet' }).textContent();
  const shop = createServer((_, response) => { response.writeHead(200, { 'content-type': 'text/html' }).end(`<!doctype html><title>Boots</title>${snippet}<p>Boots`); }).listen(0, '127.0.0.1');
  await once(shop, 'listening');
  t.after(() => { shop.closeAllConnections(); shop.close(); });

  const context = await browser.newContext({ userAgent: BROWSER });
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(`http://shop.example:${(shop.address() as AddressInfo).port}/p/boot?utm_source=newsletter`);
  await page.evaluate(`history.pushState({}, '', '/thanks'); footfall('purchase', { value: 120.5, currency: 'EUR', transaction_id: 'T-1' })`);
  const taken = page.waitForResponse((response) => response.url() === `${served.url}/e`);
  await page.clock.runFor(5_000);
  assert.equal((await taken).status(), 204);

  await served.count();
  await merchant.page.reload();
  const shows = (metric: string, value: string) => merchant.page.locator(`[data-metric=${metric}]`).filter({ hasText: new RegExp(`^${value}$`) }).waitFor();
  for (const [metric, value] of [['visitors', '1'], ['pageviews', '2'], ['purchases', '1'], ['revenue', '€120.50']] as const) await shows(metric, value);
  const pages = merchant.page.locator('section').filter({ has: merchant.page.getByRole('heading', { name: 'Pages', exact: true }) });
  for (const path of ['/p/boot', '/thanks']) await pages.getByRole('row').filter({ hasText: path }).waitFor();
  assert.equal(await merchant.page.getByRole('region', { name: 'Snippet' }).count(), 0);
  assert.deepEqual(merchant.complaints, []);
});
