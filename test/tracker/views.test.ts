import assert from 'node:assert/strict';
import { browserTest, launch } from '../browser.ts';
import { openShop, paths, show } from './shop.ts';

browserTest('The snippet sends one page view, five seconds after it, with the page, where it came from, an id and an age', async (t, browser) => {
  const site = await openShop(t, browser);
  await site.open('/p/1?utm_source=news#reviews', { referer: 'https://www.google.com/' });
  await site.wait(4_999);
  assert.equal(site.beacons().length, 0);
  await site.wait(1);
  await site.heard(1);
  const { headers, body } = site.beacons()[0]!;
  const { id, ...event } = site.events()[0]!;
  assert.deepEqual(JSON.parse(body), { site: 'shop', events: [{ id, ...event }] });
  assert.deepEqual(event, { name: 'page_view', url: `${site.shop}/p/1?utm_source=news`, referrer: 'https://www.google.com/', age: 5_000 });
  assert.match(id, /^[0-9-]{3,60}\.0$/);
  assert.equal(headers['content-type'], 'text/plain;charset=UTF-8');
  assert.equal(headers.cookie, undefined);
  assert.deepEqual(site.received.filter(({ method }) => method === 'OPTIONS'), []);
  await site.wait(60_000);
  assert.deepEqual(paths(site.events()), ['page_view /p/1?utm_source=news']);
  assert.deepEqual(await site.context.cookies(), []);
});

browserTest('A new path or query in the history is a page view that came from the page before; the same again and a new fragment are none', async (t, browser) => {
  const site = await openShop(t, browser);
  const page = await site.open('/', { referer: 'https://news.example/' });
  await page.evaluate(`history.pushState({}, '', '/list');
    history.pushState({}, '', '/list#top');
    history.replaceState({}, '', '/list?color=red');
    history.replaceState({ scroll: 7 }, '', '/list?color=red')`);
  await page.goBack();
  await page.waitForURL('**/list');
  await site.wait(5_000);
  await site.heard(1);
  assert.deepEqual(site.events().map(({ url, referrer }) => [url, referrer]), [
    [`${site.shop}/`, 'https://news.example/'],
    [`${site.shop}/list`, `${site.shop}/`],
    [`${site.shop}/list?color=red`, `${site.shop}/list`],
    [`${site.shop}/list`, `${site.shop}/list?color=red`],
  ]);
});

browserTest('The history does for the page what it did before', async (t, browser) => {
  const site = await openShop(t, browser);
  const page = await site.open('/');
  assert.deepEqual(await page.evaluate(`history.pushState({ cart: [1] }, '', '/cart'); [history.state, location.pathname, history.length]`), [{ cart: [1] }, '/cart', 3]);
  assert.equal(await page.evaluate(`try { history.pushState(null, '', 'https://elsewhere.example/') } catch (error) { error.name }`), 'SecurityError');
});

browserTest('With data-hash, the fragment is the end of the path', async (t, browser) => {
  const site = await openShop(t, browser, { attributes: 'data-hash' });
  const pages = [
    ['/#/cart', '/cart'], ['/#!/cart', '/cart'], ['/#cart', '/cart'], ['/app/#/a/b?x=1', '/app/a/b?x=1'], ['/app?utm_source=news#/a?x=1', '/app/a?x=1&utm_source=news'],
    ['/p/1', '/p/1'], ['/p/2#', '/p/2'], ['/#/$&', '/$&'],
  ] as const;
  const page = await site.open('/first');
  for (const [address] of pages) await page.evaluate(`history.pushState({}, '', ${JSON.stringify(address)})`);
  await page.evaluate(`history.pushState({}, '', '/last')`);
  await site.wait(5_000);
  await site.heard(1);
  // Three addresses of the same page are one view.
  assert.deepEqual(paths(site.events()).slice(1, -1), [...new Set(pages.map(([, expected]) => `page_view ${expected}`))]);
});

browserTest('With data-hash, a new fragment is a page view', async (t, browser) => {
  const site = await openShop(t, browser, { attributes: 'data-hash', body: '<a href="#/cart">cart</a>' });
  const page = await site.open('/#/');
  await page.click('a');
  await page.evaluate(`location.hash = '#/pay'`);
  await site.wait(5_000);
  await site.heard(1);
  assert.deepEqual(paths(site.events()), ['page_view /', 'page_view /cart', 'page_view /pay']);
});

browserTest('A page opened in the background is viewed when it is first looked at, and what it calls meanwhile is sent', async (t, browser) => {
  const site = await openShop(t, browser, { before: `Object.defineProperty(document, 'hidden', { value: true, configurable: true })` });
  const page = await site.open('/');
  await page.evaluate(`history.pushState({}, '', '/list'); footfall('stock_changed')`);
  await site.wait(5_000);
  await site.heard(1);
  assert.deepEqual(paths(site.events()), ['stock_changed /list']);
  await show(page, true);
  // The answer to the first request may still be on its way when the clock has gone on.
  await site.waitUntil(() => site.beacons().length >= 2, 'the page view');
  assert.deepEqual(paths(site.events()).slice(1), ['page_view /list']);
  await show(page, false);
  await show(page, true);
  await site.wait(5_000);
  assert.equal(site.events().length, 2);
});

browserTest('A page that is rendered ahead counts when it is opened, with what it has called by then', async (t, browser) => {
  const site = await openShop(t, browser, {
    before: `let ahead = true; Object.defineProperty(Document.prototype, 'prerendering', { get: () => ahead, set: (value) => { ahead = value } })`,
    body: `<script>addEventListener('load', () => footfall('loaded'))</script>`,
  });
  const page = await site.open('/');
  await site.wait(60_000);
  assert.equal(site.beacons().length, 0);
  await page.evaluate(`document.prerendering = false; document.dispatchEvent(new Event('prerenderingchange'))`);
  await site.wait(5_000);
  await site.heard(1);
  assert.deepEqual(site.events().map(({ name, age }) => [name, age]), [['page_view', 5_000], ['loaded', 4_999]]);
});

browserTest('Going back to a page that the browser had kept alive is a page view', async (t) => {
  // Otherwise Playwright has it keep none.
  const browser = await launch({ ignoreDefaultArgs: ['--disable-back-forward-cache'] });
  t.after(() => browser.close());
  const site = await openShop(t, browser);
  const page = await site.open('/a', { referer: 'https://news.example/' });
  await page.evaluate('window.alive = true');
  await page.evaluate(`location.href = '/b'`);
  await page.waitForURL('**/b');
  await site.heard(1);
  await page.goBack({ waitUntil: 'commit' }); // Nothing is loaded.
  assert.equal(await page.evaluate('window.alive'), true);
  await site.wait(5_000);
  await site.heard(3);
  assert.equal(site.received.filter(({ path }) => path === '/a').length, 1);
  assert.deepEqual(site.events().map(({ url, referrer }) => [url, referrer]), [
    [`${site.shop}/a`, 'https://news.example/'], [`${site.shop}/b`, `${site.shop}/a`], [`${site.shop}/a`, 'https://news.example/'],
  ]);
});

browserTest('Two copies of the snippet count once', async (t, browser) => {
  const site = await openShop(t, browser, { body: '<script>document.write(document.querySelector("script[src]").outerHTML)</script>' });
  const page = await site.open('/');
  assert.equal(await page.locator('script[src]').count(), 2);
  await site.wait(5_000);
  await site.heard(1);
  await site.wait(5_000);
  assert.deepEqual(paths(site.events()), ['page_view /']);
});

for (const [how, attributes] of [['async', 'async'], ['a module', 'type="module" crossorigin']] as const) {
  browserTest(`The script may be loaded as ${how}`, async (t, browser) => {
    const site = await openShop(t, browser, { attributes });
    await site.open('/');
    await site.wait(5_000);
    await site.heard(1);
    assert.deepEqual(paths(site.events()), ['page_view /']);
  });
}

browserTest('An address longer than the door takes is cut', async (t, browser) => {
  const site = await openShop(t, browser);
  const page = await site.open(`/?q=${'a'.repeat(3_000)}`);
  await page.evaluate(`history.pushState({}, '', '/list')`);
  await site.wait(5_000);
  await site.heard(1);
  const [first, second] = site.events();
  assert.equal(first!.url, `${site.shop}/?q=${'a'.repeat(3_000)}`.slice(0, 2_048));
  assert.equal(second!.referrer, first!.url);
});

browserTest('A page that is no web page sends nothing', async (t, browser) => {
  const site = await openShop(t, browser, { body: '<iframe></iframe>' });
  const page = await site.open('/');
  await page.evaluate(`document.querySelector('iframe').srcdoc = '<script src="${site.footfall}/t.js" data-site="other"></script><p>there'`);
  await page.frameLocator('iframe').locator('p').waitFor();
  await site.wait(5_000);
  await site.heard(1);
  assert.deepEqual(site.beacons().map(({ body }) => (JSON.parse(body) as { site: string }).site), ['shop']);
});

browserTest('Without JavaScript the pixel names the whole page', async (t, browser) => {
  const site = await openShop(t, browser, { context: { javaScriptEnabled: false } });
  await site.open('/p/1?utm_source=news');
  assert.deepEqual(site.received.filter(({ path }) => path.startsWith('/p.gif')).map(({ path, headers }) => [path, headers.referer]), [['/p.gif?site=shop', `${site.shop}/p/1?utm_source=news`]]);
  assert.equal(site.beacons().length, 0);
});
