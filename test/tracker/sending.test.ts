import assert from 'node:assert/strict';
import { browserTest } from '../browser.ts';
import { until } from '../process.ts';
import { NOW, openShop, paths, show, stored } from './shop.ts';

const DAY_MS = 86_400_000;
/** The longest pause between attempts: 5 s, doubled six times. */
const LONGEST_PAUSE_MS = 320_000;

browserTest('A page that is hidden sends by beacon what waits, at once and once', async (t, browser) => {
  const site = await openShop(t, browser);
  const page = await site.open('/');
  const types: string[] = [];
  page.on('request', (request) => { types.push(request.resourceType()); });
  await page.evaluate(`footfall('click')`);
  await show(page, false);
  await site.heard(1);
  await page.evaluate(`dispatchEvent(new Event('pagehide'))`);
  await show(page, true);
  await site.wait(60_000);
  assert.deepEqual(types, ['ping']);
  assert.deepEqual(paths(site.events()), ['page_view /', 'click /']);
  assert.equal(site.beacons()[0]!.headers['content-type'], 'text/plain;charset=UTF-8');
});

browserTest('What waits when the page is left arrives', async (t, browser) => {
  const site = await openShop(t, browser);
  const page = await site.open('/a');
  await page.goto(`${site.shop}/b`);
  await site.heard(1);
  await page.close({ runBeforeUnload: true });
  await site.heard(2);
  assert.deepEqual(paths(site.events()), ['page_view /a', 'page_view /b']);
});

for (const [what, broken] of [['refuses', 'navigator.sendBeacon = () => false'], ['throws', `navigator.sendBeacon = () => { throw new Error('beacon') }`], ['is missing', 'navigator.sendBeacon = undefined']] as const) {
  browserTest(`Where sendBeacon ${what}, a hidden page sends with fetch`, async (t, browser) => {
    const site = await openShop(t, browser, { before: broken });
    const page = await site.open('/');
    await show(page, false);
    await site.heard(1);
    assert.deepEqual(paths(site.events()), ['page_view /']);
  });
}

browserTest('Offline, events are kept; when the network is back they are sent, each once', async (t, browser) => {
  const site = await openShop(t, browser);
  const page = await site.open('/');
  await site.context.setOffline(true);
  await page.evaluate(`for (let i = 0; i < 30; i++) footfall('click', { i })`);
  await site.wait(LONGEST_PAUSE_MS);
  await page.evaluate(`footfall('last')`);
  await show(page, false);
  await show(page, true);
  assert.equal(site.beacons().length, 0);
  assert.equal((await stored(page)).length, 32);
  await site.context.setOffline(false);
  await site.heard(1);
  await page.waitForFunction('localStorage.length === 0');
  await site.wait(LONGEST_PAUSE_MS);
  const events = site.events();
  assert.deepEqual(events.map(({ name, props }) => [name, props?.i]), [['page_view', undefined], ...Array.from({ length: 30 }, (_, i) => ['click', i]), ['last', undefined]]);
  assert.equal(new Set(events.map(({ id }) => id)).size, 32);
});

browserTest('While the door answers 503, events are kept and sent again, after longer and longer pauses; then each has arrived once', async (t, browser) => {
  const site = await openShop(t, browser, { before: 'Math.random = () => 0' });
  site.door.status = 503;
  const page = await site.open('/');
  // The first attempt after 5 s, the others after pauses of 10, 20, 40 and 80: no jitter where Math.random gives 0.
  for (const [attempt, pause] of [5_000, 10_000, 20_000, 40_000, 80_000].entries()) {
    await site.wait(pause - 1);
    assert.equal(site.beacons().length, attempt);
    await site.wait(1);
    await site.heard(attempt + 1);
    await page.waitForFunction(`localStorage.length === ${attempt + 1}`); // The answer is there.
    await page.evaluate(`footfall('click_${attempt}')`);
  }
  site.door.status = 204;
  await site.wait(160_000);
  await site.heard(6);
  await page.waitForFunction('localStorage.length === 0');
  assert.deepEqual(site.events().map(({ name, age }) => [name, age]), [
    ['page_view', 315_000], ['click_0', 310_000], ['click_1', 300_000], ['click_2', 280_000], ['click_3', 240_000], ['click_4', 160_000],
  ]);
  const ids = site.beacons().map(({ body }) => (JSON.parse(body) as { events: { id: string }[] }).events[0]!.id);
  assert.equal(new Set(ids).size, 1);
  await page.evaluate(`footfall('after')`);
  await site.wait(5_000);
  await site.heard(7);
  assert.equal(site.events().at(-1)!.name, 'after');
});

browserTest('What could not be sent is sent by the next page', async (t, browser) => {
  const site = await openShop(t, browser);
  site.door.status = 503;
  const page = await site.open('/a');
  await site.wait(5_000);
  await site.heard(1);
  await page.waitForFunction('localStorage.length === 1');
  await page.evaluate(`footfall('click')`);
  await page.goto(`${site.shop}/b`);
  assert.equal(site.beacons().length, 1, 'nobody would hear that a beacon failed');
  site.door.status = 204;
  await site.wait(5_000);
  await site.heard(2);
  assert.deepEqual(paths(site.events()), ['page_view /a', 'click /a', 'page_view /b']);
  await page.waitForFunction('localStorage.length === 0');
});

browserTest('What the door refuses for good is not sent again', async (t, browser) => {
  const site = await openShop(t, browser);
  for (const [i, status] of [400, 403, 404, 413].entries()) {
    site.door.status = status;
    const page = await site.open('/');
    await site.wait(5_000);
    await site.heard(i + 1);
    assert.deepEqual(await stored(page), []);
    await page.close();
  }
  await site.open('/');
  await site.wait(LONGEST_PAUSE_MS);
  await site.heard(5);
  assert.ok(site.beacons().every(({ body }) => (JSON.parse(body) as { events: object[] }).events.length === 1));
});

browserTest('At most a hundred events are kept, and of more the newest', async (t, browser) => {
  const site = await openShop(t, browser);
  site.door.status = 503;
  const page = await site.open('/');
  await site.wait(5_000);
  await site.heard(1);
  await page.waitForFunction('localStorage.length === 1');
  await page.evaluate(`for (let i = 0; i < 300; i++) footfall('click', { i })`);
  assert.equal((await stored(page)).length, 100);
  site.door.status = 204;
  await site.waitUntil(() => site.events().length > 0, 'another attempt');
  await page.waitForFunction('localStorage.length === 0');
  assert.deepEqual(site.events().map(({ props }) => props?.i), Array.from({ length: 100 }, (_, i) => i + 200));
});

browserTest('At most what one request holds is kept', async (t, browser) => {
  const site = await openShop(t, browser);
  site.door.status = 503;
  const page = await site.open('/');
  await site.wait(5_000);
  await site.heard(1);
  await page.waitForFunction('localStorage.length === 1');
  await page.evaluate(`for (let i = 0; i < 60; i++) footfall('list', { i, items: [{ id: '茶'.repeat(1500) }] })`);
  const bytes = Buffer.byteLength(await page.evaluate<string>(`Object.values(localStorage).join('')`));
  assert.ok(bytes > 50_000 && bytes < 65_536, `${bytes} bytes`);
});

browserTest('An event that is kept for hours is sent with the oldest age that the door takes, and one that is kept for a day is dropped', async (t, browser) => {
  const site = await openShop(t, browser);
  site.door.status = 503;
  const page = await site.open('/yesterday');
  await site.wait(5_000);
  await site.heard(1);
  await page.waitForFunction('localStorage.length === 1');
  await page.close();
  await site.context.clock.pauseAt(NOW + DAY_MS - 7_200_000);
  const later = await site.open('/today');
  await site.wait(5_000);
  await site.heard(2);
  await later.waitForFunction('localStorage.length === 2');
  await later.close();
  site.door.status = 204;
  await site.context.clock.pauseAt(NOW + DAY_MS + 1);
  await site.open('/now');
  await site.wait(5_000);
  await site.heard(3);
  assert.deepEqual(site.events().map(({ url, age }) => [url, age]), [[`${site.shop}/today`, 1_800_000], [`${site.shop}/now`, 5_000]]);
});

browserTest('Two tabs that share what is kept lose none of it, and what both send has the same ids', async (t, browser) => {
  const site = await openShop(t, browser);
  site.door.status = 503;
  const tabs = [await site.open('/a'), await site.open('/b')];
  await site.wait(5_000);
  await site.heard(2);
  await tabs[0]!.waitForFunction('localStorage.length === 2');
  await Promise.all(tabs.map((tab, i) => tab.evaluate(`for (let n = 0; n < 40; n++) footfall('click', { n: ${i} + '.' + n })`)));
  site.door.status = 204;
  const ids = () => new Set(site.events().map(({ id }) => id));
  await site.waitUntil(() => ids().size >= 82, 'all events of both tabs');
  await until(async () => ((await stored(tabs[0]!)).length === 0 ? true : undefined), 'nothing to be kept');
  assert.equal(ids().size, 82);
  assert.deepEqual([...new Set(site.events().flatMap(({ props }) => props?.n ?? []))].sort(), [0, 1].flatMap((i) => Array.from({ length: 40 }, (_, n) => `${i}.${n}`)).sort());
});

browserTest('A full storage does not keep events from being sent again', async (t, browser) => {
  const site = await openShop(t, browser, { before: `for (let free = 2 ** 23, i = 0; free > 0 && i < 100; i++) { try { localStorage['f' + i] = 'x'.repeat(free); } catch { free >>= 1; } }` });
  site.door.status = 503;
  const page = await site.open('/');
  await site.wait(5_000);
  await site.heard(1);
  await page.evaluate(`footfall('click')`);
  site.door.status = 204;
  await site.waitUntil(() => site.events().length > 0, 'another attempt');
  await site.wait(LONGEST_PAUSE_MS);
  assert.deepEqual(paths(site.events()), ['page_view /', 'click /']);
});

browserTest('Another site of the same origin keeps its own', async (t, browser) => {
  const site = await openShop(t, browser);
  const page = await site.open('/');
  await page.evaluate(`localStorage['footfall:other:x.1'] = '${NOW}{"name":"click","id":"x.1"}'; localStorage['basket'] = '1'`);
  await site.wait(5_000);
  await site.heard(1);
  assert.deepEqual(paths(site.events()), ['page_view /']);
  assert.deepEqual(await stored(page), ['footfall:other:x.1']);
});

browserTest('There is one request at a time: what happens until the answer waits for it', async (t, browser) => {
  const site = await openShop(t, browser, { before: 'window.bodies = []; window.fetch = (_, { body }) => new Promise((answer) => { bodies.push(body); window.answer = () => answer({ status: 204 }); })' });
  const page = await site.open('/');
  await site.wait(5_000);
  await page.evaluate(`footfall('click', { n: 0 })`);
  await site.wait(LONGEST_PAUSE_MS);
  await page.evaluate(`for (let n = 1; n < 25; n++) footfall('click', { n })`);
  await site.wait(LONGEST_PAUSE_MS);
  assert.equal(await page.evaluate('bodies.length'), 1);
  await page.evaluate('answer()');
  await site.wait(5_000);
  const bodies = await page.evaluate<string[]>('bodies');
  assert.deepEqual(bodies.map((body) => (JSON.parse(body) as { events: { props?: { n: number } }[] }).events.map(({ props }) => props?.n)), [[undefined], Array.from({ length: 25 }, (_, n) => n)]);
});
