import assert from 'node:assert/strict';
import { browserTest } from '../browser.ts';
import { openShop, paths, show } from './shop.ts';

/** What a page may have broken before the tracker comes, and whether events arrive all the same. */
const BROKEN: [what: string, script: string, arrives: boolean][] = [
  ['JSON throws', `JSON.stringify = JSON.parse = () => { throw new Error('JSON') }`, false],
  ['fetch throws', `window.fetch = () => { throw new Error('fetch') }`, true],
  ['fetch is missing', 'delete window.fetch', true],
  ['fetch answers nothing', 'window.fetch = () => undefined', true],
  ['localStorage throws', `Object.defineProperty(window, 'localStorage', { get() { throw new Error('storage') } })`, true],
  ['localStorage is null', `Object.defineProperty(window, 'localStorage', { value: null })`, true],
  ['localStorage\'s methods throw', `Storage.prototype.getItem = Storage.prototype.setItem = Storage.prototype.removeItem = () => { throw new Error('storage') }`, true],
  ['crypto is missing', `Object.defineProperty(window, 'crypto', { value: undefined })`, true],
  ['the history is frozen', 'Object.freeze(history)', true],
  ['the history throws', `history.pushState = () => { throw new Error('history') }`, true],
  ['Blob throws', `window.Blob = function () { throw new Error('Blob') }`, false],
  ['Object.keys throws', `Object.keys = () => { throw new Error('keys') }`, false],
  ['addEventListener throws', `window.addEventListener = () => { throw new Error('listener') }`, true],
  ['footfall is something else', 'window.footfall = 7', true],
  ['everything throws', `for (const name of ['fetch', 'Blob', 'URL', 'JSON', 'Date', 'addEventListener', 'setTimeout', 'crypto', 'history']) Object.defineProperty(window, name, { get() { throw new Error(name) } })`, false],
];

for (const [what, script, arrives] of BROKEN) {
  browserTest(`On a page where ${what}, nothing is thrown, and the event ${arrives ? 'arrives' : 'may be lost'}`, async (t, browser) => {
    const site = await openShop(t, browser, { head: `<script>${script}</script>` });
    const page = await site.open('/');
    await page.evaluate(`if (typeof footfall === 'function') { footfall('click', { n: 1 }); footfall('purchase', { value: 1, items: [{ id: 'x' }] }); footfall.identify?.('7'); footfall.optIn?.() }`);
    await page.evaluate(`document.body.click()`);
    await show(page, false);
    await show(page, true);
    await site.wait(5_000);
    if (arrives) {
      await site.heard(1);
      assert.deepEqual(paths(site.events()).slice(0, 3), ['page_view /', 'click /', 'purchase /']);
      assert.ok(site.events().every(({ id }) => id.length > 3 && id.length <= 64));
    }
    assert.deepEqual(site.errors, []);
  });
}

browserTest('A snippet without a site sends nothing, and its function can be called', async (t, browser) => {
  const site = await openShop(t, browser, {
    snippet: (footfall) => `<script src="${footfall}/t.js"></script><script>footfall('click'); footfall.optOut(); footfall.optIn(); footfall.identify('1'); window.reached = true</script>`,
  });
  const page = await site.open('/');
  await site.wait(60_000);
  assert.equal(await page.evaluate('window.reached'), true);
  assert.equal(site.beacons().length, 0);
});

browserTest('In a frame without an origin, where there is no storage, events are sent, again after a failure, and an opt-out holds for the page', async (t, browser) => {
  const site = await openShop(t, browser, { body: '<script>if (top === self) document.write(`<iframe sandbox="allow-scripts" src="/framed"></iframe>`)</script>' });
  site.door.status = 503;
  const page = await site.open('/');
  const frame = page.frame({ url: '**/framed' })!;
  assert.match(await frame.evaluate<string>(`try { String(localStorage) } catch (error) { error.name }`), /SecurityError/);
  await site.wait(5_000);
  await site.heard(2);
  site.door.status = 204;
  await site.waitUntil(() => site.events().length >= 2, 'both page views');
  assert.deepEqual(paths(site.events()).sort(), ['page_view /', 'page_view /framed']);
  assert.equal(site.events().find(({ url }) => url === `${site.shop}/framed`)!.referrer, `${site.shop}/`);
  await frame.evaluate(`footfall.optOut(); footfall('click')`);
  await site.wait(60_000);
  assert.equal(site.events().length, 2);
  await frame.evaluate(`footfall.optIn(); footfall('click')`);
  await site.waitUntil(() => site.events().length >= 3, 'the click');
});

browserTest('A strict content security policy needs the tracker\'s origin for scripts and connections, and nothing else', async (t, browser) => {
  const violations: string[] = [];
  // The policy names the door's port, which is known only once it listens; a host without a port would not match it.
  const site = await openShop(t, browser, { headers: { 'Content-Security-Policy': `default-src 'none'; script-src http://footfall.example:*; connect-src http://footfall.example:*; img-src http://footfall.example:* data:` } });
  site.context.on('console', (message) => { if (message.text().includes('Content Security Policy')) violations.push(message.text()); });
  const page = await site.open('/');
  await page.evaluate(`footfall('click')`);
  await site.wait(5_000);
  await site.heard(1);
  await page.evaluate(`footfall('left')`);
  await show(page, false);
  await site.heard(2);
  assert.deepEqual(paths(site.events()), ['page_view /', 'click /', 'left /']);
  assert.deepEqual(violations, []);
});
