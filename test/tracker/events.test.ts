import assert from 'node:assert/strict';
import { browserTest } from '../browser.ts';
import { openShop, paths, stored } from './shop.ts';

const STUB = '<script>window.footfall = window.footfall || function () { (footfall.q = footfall.q || []).push(arguments) }</script>';

browserTest('Of what a call names, value, currency, transaction and items are fields of the event, and all the rest are props', async (t, browser) => {
  const site = await openShop(t, browser);
  const page = await site.open('/');
  await page.evaluate(`footfall('purchase', { value: 59.9, currency: 'EUR', transaction_id: 'T-1', items: [{ id: 'mug', quantity: 2, price: 29.95 }], coupon: 'SPRING', id: 7, name: 'x', age: 3, url: '/u' });
    footfall('signup', { plan: 'pro', props: { trial: true, value: 5, seats: 3 } });
    footfall('plain')`);
  await site.wait(5_000);
  await site.heard(1);
  const [, purchase, signup, plain] = site.events().map(({ id, age, url, ...event }) => { assert.ok(id && age >= 0 && url); return event; });
  assert.deepEqual(purchase, {
    name: 'purchase', value: 59.9, currency: 'EUR', transaction_id: 'T-1', items: [{ id: 'mug', quantity: 2, price: 29.95 }],
    props: { coupon: 'SPRING', id: 7, name: 'x', age: 3, url: '/u' },
  });
  assert.deepEqual(signup, { name: 'signup', props: { trial: true, value: 5, seats: 3, plan: 'pro' } });
  assert.deepEqual(plain, { name: 'plain' });
  assert.equal(new Set(site.events().map(({ id }) => id)).size, 4);
});

browserTest('Props are what the door takes: texts of 256 characters, numbers and booleans, and nothing for nothing', async (t, browser) => {
  const site = await openShop(t, browser);
  const page = await site.open('/');
  await page.evaluate(`footfall('search', { words: 'ä'.repeat(300), tags: ['a', 'b'], hits: 0, found: false, filter: null, sort: undefined });
    footfall('strange', null); footfall('stranger', { ring: (() => { const ring = {}; ring.ring = ring; return ring })(), big: 1 })`);
  await site.wait(5_000);
  await site.heard(1);
  assert.deepEqual(site.events().slice(1).map(({ name, props }) => [name, props]), [
    ['search', { words: 'ä'.repeat(256), tags: 'a,b', hits: 0, found: false }], ['strange', undefined], ['stranger', { ring: '[object Object]', big: 1 }],
  ]);
});

browserTest('Calls made before the script has come are sent after the page view', async (t, browser) => {
  const site = await openShop(t, browser, { head: `${STUB}<script>footfall('early', { n: 1 }); footfall('earlier')</script>` });
  await site.open('/');
  await site.wait(5_000);
  await site.heard(1);
  assert.deepEqual(site.events().map(({ name, props }) => [name, props]), [['page_view', undefined], ['early', { n: 1 }], ['earlier', undefined]]);
});

browserTest('Events of the same moment stay in their order', async (t, browser) => {
  const site = await openShop(t, browser);
  const page = await site.open('/');
  await page.evaluate(`for (let i = 0; i < 10; i++) footfall('click_' + i)`);
  await site.wait(5_000);
  await site.heard(1);
  // Each is a millisecond younger than the one before.
  assert.deepEqual(site.events().map(({ name, age }) => [name, age]), [['page_view', 5_000], ...Array.from({ length: 10 }, (_, i) => [`click_${i}`, 4_999 - i])]);
});

browserTest('Twenty events leave at once, in one request', async (t, browser) => {
  const site = await openShop(t, browser);
  const page = await site.open('/');
  await page.evaluate(`for (let i = 0; i < 19; i++) footfall('click')`);
  await site.heard(1);
  assert.equal(site.events().length, 20);
  await site.wait(60_000);
  assert.equal(site.beacons().length, 1);
});

browserTest('The age of an event is what passed on the browser\'s clock until it was sent, and never more than half an hour or less than nothing', async (t, browser) => {
  const site = await openShop(t, browser);
  const page = await site.open('/');
  await site.wait(1_000);
  await page.evaluate(`footfall('later')`);
  await site.wait(4_000);
  await site.heard(1);
  assert.deepEqual(site.events().map(({ age }) => age), [5_000, 4_000]);

  await page.evaluate(`footfall('before_sleep')`);
  await site.context.clock.setFixedTime(Date.parse('2026-11-24T18:00:00Z'));
  await page.evaluate(`dispatchEvent(new Event('pagehide'))`);
  await site.heard(2);
  assert.deepEqual(site.events().slice(2).map(({ name, age }) => [name, age]), [['before_sleep', 1_800_000]]);

  await page.evaluate(`footfall('before_correction')`);
  await site.context.clock.setFixedTime(Date.parse('2026-11-24T09:00:00Z'));
  await page.evaluate(`dispatchEvent(new Event('pagehide'))`);
  await site.heard(3);
  assert.deepEqual(site.events().slice(3).map(({ name, age }) => [name, age]), [['before_correction', 0]]);
});

browserTest('A request is within what the door takes, and an event too large for one goes without its items and props', async (t, browser) => {
  const site = await openShop(t, browser);
  const page = await site.open('/');
  await page.evaluate(`for (let i = 0; i < 18; i++) footfall('list', { items: Array.from({ length: 50 }, (_, j) => ({ id: String(j), name: '茶'.repeat(60) })) });
    footfall('purchase', { value: 12, currency: 'EUR', items: [{ id: 'x', description: 'd'.repeat(70000) }], note: 'n' });
    footfall('gone', { transaction_id: 't'.repeat(70000) })`);
  await site.waitUntil(() => site.events().length >= 20, 'all events');
  const sizes = site.beacons().map(({ body }) => Buffer.byteLength(body));
  assert.ok(sizes.every((bytes) => bytes <= 65_536), `sizes ${sizes.join(', ')}`);
  assert.equal(site.events().filter(({ name, items }) => name === 'list' && items?.length === 50).length, 18);
  const { id, url, age, ...purchase } = site.events().find(({ name }) => name === 'purchase')!;
  assert.ok(id && url && age > 0);
  assert.deepEqual(purchase, { name: 'purchase', value: 12, currency: 'EUR' });
  assert.equal(site.events().length, 20);
});

browserTest('A visitor is named only by the merchant: by an attribute, or by identify, which speaks for what still waits, too', async (t, browser) => {
  const named = await openShop(t, browser, { attributes: 'data-visitor="customer-1"' });
  await (await named.open('/')).evaluate(`footfall.identify(); footfall('anonymous'); footfall.identify(42); footfall('again')`);
  await named.wait(5_000);
  await named.heard(1);
  // What waits when somebody is named is theirs, whoever it was before.
  assert.deepEqual(named.events().map(({ visitor }) => visitor), ['42', '42', '42']);

  const empty = await openShop(t, browser, { attributes: 'data-visitor=""' });
  const page = await empty.open('/');
  await empty.wait(5_000);
  await page.evaluate(`footfall.identify('c'.repeat(80)); footfall('long')`);
  await empty.wait(5_000);
  await empty.heard(2);
  assert.deepEqual(empty.events().map(({ visitor }) => visitor), [undefined, 'c'.repeat(64)]);
});

for (const [what, before] of [['Do Not Track', `Object.defineProperty(navigator, 'doNotTrack', { value: '1' })`], ['Global Privacy Control', `Object.defineProperty(navigator, 'globalPrivacyControl', { value: true })`]] as const) {
  browserTest(`${what} is honoured where the merchant says so, and only there`, async (t, browser) => {
    const site = await openShop(t, browser, { attributes: 'data-respect-dnt', before });
    const page = await site.open('/');
    await page.evaluate(`footfall('signup'); footfall.identify('1')`);
    await site.wait(60_000);
    await page.goto(`${site.shop}/next`);
    await site.wait(60_000);
    assert.equal(site.beacons().length, 0);
    assert.deepEqual(await stored(page), []);

    const other = await openShop(t, browser, { before });
    await other.open('/');
    await other.wait(5_000);
    await other.heard(1);
  });
}

browserTest('Who opts out sends nothing more, on no page, until they opt in again', async (t, browser) => {
  const site = await openShop(t, browser);
  const page = await site.open('/');
  await page.evaluate(`footfall.optOut(); footfall('signup')`);
  await site.wait(60_000);
  await page.goto(`${site.shop}/next`);
  await site.wait(60_000);
  assert.equal(site.beacons().length, 0);
  assert.deepEqual(await stored(page), ['footfall:out']);
  await page.evaluate(`footfall.optIn(); footfall('signup')`);
  await site.wait(5_000);
  await site.heard(1);
  assert.deepEqual(paths(site.events()), ['signup /next']);
  assert.deepEqual(await stored(page), []);
});

browserTest('Who opts out also takes back what is kept, and what fails at that moment is not kept', async (t, browser) => {
  const site = await openShop(t, browser);
  site.door.status = 503;
  const page = await site.open('/');
  await site.wait(5_000);
  await site.heard(1);
  await page.waitForFunction('localStorage.length === 1');
  await page.evaluate(`footfall.optOut()`);
  assert.deepEqual(await stored(page), ['footfall:out']);

  await page.evaluate(`footfall.optIn(); footfall('signup')`);
  // The page opts out while its request is under way.
  await page.evaluate(`const send = fetch; window.failed = 0; window.fetch = (...request) => { footfall.optOut(); return send(...request).finally(() => { failed++ }) }`);
  await site.wait(15_000);
  await page.waitForFunction('failed === 1');
  await site.wait(600_000);
  assert.deepEqual(await stored(page), ['footfall:out']);
  assert.equal(site.beacons().length, 2);
});

browserTest('Links to other sites and to files are events where the merchant asks for them, and no others are', async (t, browser) => {
  const body = `<a id="out" href="https://other.example/a"><svg><path></path></svg><b>out</b></a> <a id="in" href="/in">in</a> <a id="pdf" href="/price-list.pdf?v=2">pdf</a>
    <a id="named" href="/export" download>export</a> <a id="mail" href="mailto:a@b.example">mail</a> <a id="far" href="https://other.example/far.zip">far</a> <i id="none">none</i>
    <script>addEventListener('click', (event) => { event.preventDefault(); event.stopPropagation() }, true)</script>`;
  const clicks = async (attributes: string) => {
    const site = await openShop(t, browser, { attributes, body });
    const page = await site.open('/');
    await page.evaluate(`for (const id of ['out b', 'in', 'pdf', 'named', 'mail', 'far', 'none']) document.querySelector('#' + id).click();
      out.dispatchEvent(new MouseEvent('auxclick', { button: 1, bubbles: true, composed: true }));
      out.dispatchEvent(new MouseEvent('auxclick', { button: 2, bubbles: true, composed: true }))`);
    await site.wait(5_000);
    await site.heard(1);
    return site.events().slice(1).map(({ name, props }) => `${name} ${String(props?.url).replace(site.shop, '')}`);
  };
  const [out, far, files] = ['outbound_click https://other.example/a', 'https://other.example/far.zip', ['file_download /price-list.pdf?v=2', 'file_download /export']] as const;
  assert.deepEqual(await clicks(''), []);
  assert.deepEqual(await clicks('data-outbound'), [out, `outbound_click ${far}`, out]);
  assert.deepEqual(await clicks('data-downloads'), [...files, `file_download ${far}`]);
  assert.deepEqual(await clicks('data-outbound data-downloads'), [out, ...files, `file_download ${far}`, out]);
});

browserTest('A click that leaves the page still arrives', async (t, browser) => {
  const site = await openShop(t, browser, { attributes: 'data-outbound' });
  const page = await site.open('/');
  await page.evaluate(`document.body.innerHTML = '<a href="${site.footfall}/elsewhere">out</a>'`);
  await page.click('a');
  await page.waitForURL('**/elsewhere');
  await site.heard(1);
  assert.deepEqual(site.events().map(({ name, props }) => [name, props]), [['page_view', undefined], ['outbound_click', { url: `${site.footfall}/elsewhere` }]]);
});
