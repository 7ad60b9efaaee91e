// The merchant's page in a real browser. The numbers are counted by hand from the visits below.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, type TestContext } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { removeKey } from '../../core/keys.ts';
import { browserTest } from '../browser.ts';
import { BROWSER, api } from '../process.ts';
import { SITE, asked, findings, look, serve, type Served } from './served.ts';

const SHOP = 'https://alpenladen.example';
const PHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1';
const BOT = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)';
const HOSTILE = '<img src=x onerror="window.hacked=1">';
const SCRIPT = 'javascript:window.hacked=1';

let ids = 0;
const by = (visitor: string, more: object) => (time: string, name: string, path: string, fields: object = {}) => ({ id: `e${ids++}`, name, time, visitor, user_agent: BROWSER, url: SHOP + path, ...more, ...fields });

/** Three visits of this week, two of the week before, a bot and an event that is refused. */
async function openShop(t: TestContext): Promise<Served> {
  const served = await serve(t);
  const anna = by('anna', { country: 'DE', referrer: 'https://www.google.com/' });
  const bela = by('bela', { country: 'CH', user_agent: PHONE });
  const dora = by('dora', { country: 'AT' });
  const items = [{ id: 'boot', quantity: 1, price: 120.5 }];
  const order = { value: 120.5, currency: 'EUR', items };
  await served.pipeline.sendBatch(SITE, [
    anna('2026-11-20T08:00:00Z', 'page_view', '/'), anna('2026-11-20T08:01:00Z', 'page_view', '/p/boot'), anna('2026-11-20T08:01:00Z', 'view_item', '/p/boot', order),
    anna('2026-11-20T08:02:00Z', 'add_to_cart', '/p/boot', order), anna('2026-11-20T08:03:00Z', 'begin_checkout', '/checkout', order),
    anna('2026-11-20T08:05:00Z', 'purchase', '/thanks', { ...order, transaction_id: 'T1' }),
    bela('2026-11-20T09:00:00Z', 'page_view', `/?utm_source=${encodeURIComponent(HOSTILE)}&utm_medium=email&utm_campaign=${encodeURIComponent(SCRIPT)}`),
    by('cleo', { country: 'DE' })('2026-11-19T10:00:00Z', 'page_view', '/'),
    dora('2026-11-10T10:00:00Z', 'page_view', '/'), dora('2026-11-10T15:00:00Z', 'page_view', '/'),
    by('bot', { user_agent: BOT })('2026-11-20T09:30:00Z', 'page_view', '/'),
  ]);
  await served.pipeline.send(SITE, [{ name: 'page_view', url: 'no address' }]);
  await served.count();
  return served;
}

const closers: (() => unknown)[] = [];
after(async () => { for (const close of closers) await close(); });
let shared: Promise<Served> | undefined;

/** The shop of all tests that only look. */
function theShop(): Promise<Served> {
  return shared ??= openShop({ after: (close: () => unknown) => { closers.push(close); } } as TestContext);
}

async function lookAt(browser: Browser, served: Served, query = '', options = {}) {
  const { key, id } = await served.key('read');
  const looked = await look(browser, `${served.url}/${query}#key=${key}`, options);
  await looked.page.getByRole('group', { name: 'Key figures' }).waitFor();
  return { ...looked, key, id };
}

const tileOf = (page: Page, label: string) => page.getByRole('group', { name: 'Key figures' }).getByRole('button', { name: label });
const tile = (page: Page, metric: string) => page.locator(`[data-metric=${metric}]`);
const shows = (page: Page, metric: string, text: string) => tile(page, metric).filter({ hasText: new RegExp(`^${text}$`) }).waitFor();
const row = (page: Page, card: string, value: string) => page.locator('section').filter({ has: page.getByRole('heading', { name: card, exact: true }) }).getByRole('row').filter({ hasText: value });

browserTest('The nine numbers, their changes, the lists, the funnel, refusals and bots are those of the visits', async (_, browser) => {
  const served = await theShop();
  const { page, requested, complaints, key } = await lookAt(browser, served);
  await tile(page, 'visitors').waitFor();
  const shown = async (metric: string) => [await tile(page, metric).textContent(), await page.locator('.tile').filter({ has: tile(page, metric) }).locator('.change').textContent()];
  // Anna, Bela and Cleo, of whom the last two left at once; Dora twice, the week before. Anna stayed for five minutes.
  assert.deepEqual(await shown('visitors'), ['3', '+200% better than before']);
  assert.deepEqual(await shown('visits'), ['3', '+50% better than before']);
  assert.deepEqual(await shown('pageviews'), ['4', '+100% better than before']);
  assert.deepEqual(await shown('bounce_rate'), ['66.7%', '-33% better than before']);
  assert.deepEqual(await shown('visit_duration'), ['1:40', '– nothing to compare with']);
  assert.deepEqual(await shown('revenue'), ['€120.50', '– nothing to compare with']);
  assert.deepEqual(await shown('purchases'), ['1', '– nothing to compare with']);
  assert.deepEqual(await shown('conversion_rate'), ['33.3%', '– nothing to compare with']);
  assert.deepEqual(await shown('average_order_value'), ['€120.50', '– nothing to compare with']);

  assert.equal(await row(page, 'Pages', '/p/boot').textContent(), '/p/boot1');
  assert.equal(await row(page, 'Countries', 'Germany').textContent(), 'Germany250.0%€120.50');
  assert.equal(await row(page, 'Products', 'boot').textContent(), 'boot€120.5011');
  assert.deepEqual(await page.locator('.funnel-head').allTextContents(), ['Product viewed1', 'Added to cart1', 'Checkout begun1', 'Ordered1']);
  assert.deepEqual(await page.locator('.refusals li').allTextContents(), ['1The page’s address is no absolute http(s) addressbad_url']);
  assert.match(await page.locator('.foot').textContent() ?? '', /Europe\/Berlin.*1 event of a bot is left out/);
  assert.match(await page.locator('.fresh').textContent() ?? '', /^Complete through 13:00 · \d+ s ago$/);

  const { results } = await api<{ results: [{ metrics: Record<string, number> }] }>(served.url, 'GET', `/v1/sites/${SITE}/stats?range=7d&metrics=visits,revenue`, undefined, key);
  assert.deepEqual(results[0].metrics, { visits: Number(await tile(page, 'visits').textContent()), revenue: Number((await tile(page, 'revenue').textContent())!.slice(1)) });
  assert.deepEqual(requested.filter((address) => !address.startsWith(served.url)), []);
  assert.deepEqual(complaints, []);
});

browserTest('A click on a value leaves only what belongs to it, and says what is not kept by it', async (_, browser) => {
  const { page } = await lookAt(browser, await theShop());
  await row(page, 'Countries', 'Germany').getByRole('button').click();
  await page.locator('.chip').waitFor();
  await shows(page, 'visits', '2');
  assert.equal(new URL(page.url()).searchParams.get('filter'), 'country==DE');
  assert.equal(await tile(page, 'conversion_rate').textContent(), '50.0%');
  assert.equal(await tileOf(page, 'Visitors').textContent(), 'VisitorsNot kept by country');
  assert.equal(await tileOf(page, 'Visitors').isDisabled(), true);
  assert.deepEqual(await page.locator('.funnel-head b').allTextContents(), ['1', '1', '1', '1']);
  // Hours are not kept by value; without them there is nothing to choose.
  assert.equal(await page.getByRole('group', { name: 'One value for each' }).count(), 0);

  await page.goBack();
  await shows(page, 'visits', '3');
  await page.locator('.chip').waitFor({ state: 'detached' });
  await page.goForward();
  await page.getByRole('button', { name: 'Remove the filter Country: DE' }).click();
  await shows(page, 'visits', '3');
  assert.equal(new URL(page.url()).search, '');
});

browserTest('Ranges are chosen by name and by date, stand in the address, and the back button leads back', async (_, browser) => {
  const { page } = await lookAt(browser, await theShop());
  await page.getByRole('button', { name: /^Last 7 days/ }).click();
  await page.getByRole('button', { name: 'Yesterday' }).click();
  await shows(page, 'visits', '1');
  assert.equal(new URL(page.url()).search, '?range=yesterday');
  await page.getByRole('button', { name: /^Yesterday/ }).click();
  await page.getByRole('textbox', { name: 'From' }).fill('2026-11-10');
  await page.getByRole('textbox', { name: 'To' }).fill('2026-11-09');
  assert.equal(await page.getByRole('button', { name: 'Show' }).isDisabled(), true);
  await page.getByRole('textbox', { name: 'To' }).fill('2026-11-20');
  await page.getByRole('button', { name: 'Show' }).click();
  await shows(page, 'visits', '5');
  assert.equal(new URL(page.url()).search, '?from=2026-11-10&to=2026-11-20');
  assert.match(await page.locator('.button.range').textContent() ?? '', /^Dates10\s?–\s?20 Nov 2026$/);
  await page.goBack();
  await shows(page, 'visits', '1');
  await page.reload();
  await tile(page, 'visits').waitFor();
  assert.equal(await tile(page, 'visits').textContent(), '1');
});

browserTest('The chart is read with the arrow keys, hour by hour, and beside its average; and it is a table, too', async (_, browser) => {
  const { page } = await lookAt(browser, await theShop(), '?range=today&metric=pageviews');
  const chart = page.getByRole('slider', { name: 'Page views over time' });
  await chart.focus();
  await page.keyboard.press('Home');
  // Anna came at 9:00 of Berlin, Bela at 10:00.
  for (let hour = 0; hour < 9; hour++) await page.keyboard.press('ArrowRight');
  assert.equal(await chart.getAttribute('aria-valuetext'), 'Fri 20 Nov, 09:00: 2');
  await page.keyboard.press('ArrowRight');
  assert.equal(await chart.getAttribute('aria-valuetext'), 'Fri 20 Nov, 10:00: 1');
  assert.match(await page.locator('.tip').textContent() ?? '', /^Fri 20 Nov, 10:00Page views1Thu 19 Nov, 10:000$/);
  for (let hour = 0; hour < 3; hour++) await page.keyboard.press('ArrowRight');
  assert.equal(await chart.getAttribute('aria-valuetext'), 'Fri 20 Nov, 13:00: 0 so far');

  await page.getByRole('button', { name: '24-hour average' }).click();
  await page.getByRole('button', { name: 'As a table' }).click();
  const cells = page.getByRole('region', { name: 'Page views as a table' }).getByRole('row');
  await page.getByRole('columnheader', { name: 'Average' }).waitFor();
  assert.equal(await cells.count(), 25);
  // Of the 24 hours up to 10:00 three page views, and Cleo's of the day before, at 11:00.
  assert.equal(await cells.nth(11).textContent(), 'Fri 20 Nov, 10:0010.20– nothing to compare with');
  assert.equal(new URL(page.url()).searchParams.get('smooth'), 'on');
});

browserTest('The key leaves the address at once, stays in its tab, and is forgotten with it', async (_, browser) => {
  const served = await theShop();
  const { page, key } = await lookAt(browser, served, '?range=today');
  assert.equal(page.url(), `${served.url}/?range=today`);
  assert.deepEqual(await asked(page, '[Object.values({ ...sessionStorage }), Object.values({ ...localStorage }), document.cookie]'), [[key], [], '']);
  await page.reload();
  await tile(page, 'visits').waitFor();
  const other = await page.context().newPage();
  await other.goto(served.url);
  await other.getByLabel('Key').waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Key').waitFor();
  assert.equal(await asked(page, 'sessionStorage.length'), 0);
});

browserTest('Signing in says what is wrong with a key: no key, not valid, or of another kind', async (t, browser) => {
  const served = await serve(t);
  const { page } = await look(browser, served.url);
  const tryKey = async (key: string, sentence: RegExp) => {
    await page.getByLabel('Key').fill(key);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').filter({ hasText: sentence }).waitFor();
  };
  await tryKey('password', /^This is no key: a key is ff_read_ and 43 letters and digits\.$/);
  await tryKey(`ff_read_${'x'.repeat(43)}`, /^This key is not valid\./);
  await tryKey((await served.key('write')).key, /^This is a write key: it sends events\./);
  await tryKey((await served.key('admin')).key, /^This is an admin key: choose a site/);
  await page.getByLabel('Key').fill((await served.key('read')).key);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Alpenladen' }).waitFor();
});

browserTest('An admin sees the numbers of any site by its id', async (_, browser) => {
  const served = await theShop();
  const { page } = await look(browser, `${served.url}/?site=${SITE}#key=${(await served.key('admin')).key}`);
  await tile(page, 'visits').waitFor();
  assert.equal(await tile(page, 'visits').textContent(), '3');
  await tileOf(page, 'Revenue').click();
  assert.equal(new URL(page.url()).search, `?site=${SITE}&metric=revenue`);
});

browserTest('A key that is revoked while the page is open ends the session with a sentence', async (t, browser) => {
  const served = await openShop(t);
  const { page, id } = await lookAt(browser, served);
  await tile(page, 'visits').waitFor();
  await removeKey(served.pipeline.registry, SITE, id);
  await page.getByRole('tab', { name: 'Sources' }).click();
  await page.getByText('has been revoked').waitFor();
  assert.equal(await asked(page, 'sessionStorage.length'), 0);
  assert.equal(await tile(page, 'visits').count(), 0);
});

browserTest('What clients sent is text: not an element, not a script, not a link', async (_, browser) => {
  const { page, complaints } = await lookAt(browser, await theShop());
  await page.getByRole('tab', { name: 'Sources' }).click();
  await page.getByRole('button', { name: HOSTILE }).click();
  await page.locator('.chip').filter({ hasText: HOSTILE }).waitFor();
  await page.getByRole('tab', { name: 'Campaigns' }).click();
  await page.getByRole('button', { name: SCRIPT }).click();
  await page.locator('.chip').filter({ hasText: SCRIPT }).waitFor();
  assert.deepEqual(await asked(page, "[window.hacked ?? null, document.images.length, [...document.links].filter(({ protocol }) => protocol === 'javascript:').length]"), [null, 0, 0]);
  assert.deepEqual(complaints, []);
});

browserTest('A site without events shows the snippet to paste; one that was quiet for a while says only that', async (t, browser) => {
  const served = await openShop(t);
  await served.site('new', { name: 'New shop' });
  const { key } = await served.key('read', 'new');
  const { page } = await look(browser, `${served.url}/#key=${key}`);
  await page.getByRole('heading', { name: 'No events yet' }).waitFor();
  assert.equal(await page.getByRole('region', { name: 'Snippet' }).textContent(),
    `<script defer src="${served.url}/t.js" data-site="new"></script>\n<noscript><img src="${served.url}/p.gif?site=new" alt="" referrerpolicy="no-referrer-when-downgrade"></noscript>`);
  const quiet = await lookAt(browser, served, '?from=2026-11-14&to=2026-11-15');
  await quiet.page.getByText(/^There were no events in 14\s?–\s?15 Nov 2026\.$/).waitFor();
  assert.equal(await quiet.page.getByRole('heading', { name: 'No events yet' }).count(), 0);
});

browserTest('A server that is away is said so, and tried again on demand; numbers that are there stay', async (_, browser) => {
  const served = await theShop();
  const { page } = await lookAt(browser, served);
  await tile(page, 'visits').waitFor();
  await page.context().setOffline(true);
  await page.getByRole('tab', { name: 'Sources' }).click();
  await page.locator('.notice.bar').filter({ hasText: 'cannot be reached' }).waitFor();
  assert.equal(await tile(page, 'visits').textContent(), '3');
  await page.context().setOffline(false);
  await page.locator('.notice.bar').getByRole('button', { name: 'Try again' }).click();
  await row(page, 'Where visits come from', 'google').waitFor();
  await page.locator('.notice.bar').waitFor({ state: 'detached' });
});

browserTest('A problem is told in the server’s words, and a busy server is asked again when it says so', async (_, browser) => {
  const served = await theShop();
  const { key } = await served.key('read');
  const { page } = await look(browser, `${served.url}/#key=${key}`);
  await tile(page, 'visits').waitFor();
  const answers = [
    { status: 503, contentType: 'application/problem+json', body: '{"detail":"The store is away.","status":503}' },
    { status: 422, contentType: 'application/problem+json', body: '{"title":"Not accepted","detail":"range <b>: accepts another","status":422}' },
  ];
  await page.route('**/stats?**', async (route) => { await (answers.length > 0 ? route.fulfill(answers.shift()) : route.continue()); });
  await page.getByRole('button', { name: /^Last 7 days/ }).click();
  await page.getByRole('button', { name: 'Today' }).click();
  await page.getByRole('alert').filter({ hasText: 'range <b>: accepts another' }).waitFor();
  await page.getByRole('button', { name: 'Try again' }).click();
  await shows(page, 'visits', '2');
});

browserTest('A key over its limit is told to wait, and the page goes on by itself', async (t, browser) => {
  const served = await openShop(t);
  // What one page asks for, and no more.
  await served.site(SITE, { rate_limit: { per_second: 1, burst: 12 } });
  const { page } = await lookAt(browser, served);
  await tile(page, 'visits').waitFor();
  await page.getByRole('button', { name: /^Last 7 days/ }).click();
  await page.getByRole('button', { name: 'Today' }).click();
  await page.locator('.notice.bar').filter({ hasText: 'asked too often' }).waitFor();
  served.pipeline.at('2026-11-20T12:01:00Z');
  await shows(page, 'visits', '2');
  await page.locator('.notice.bar').waitFor({ state: 'detached' });
});

browserTest('Numbers that are old are called old', async (t, browser) => {
  const served = await openShop(t);
  served.pipeline.at('2026-11-20T12:40:00Z');
  const { page } = await lookAt(browser, served);
  await page.locator('.fresh.stale').waitFor();
  assert.equal(await page.locator('.fresh').textContent(), 'Old: complete through 13:00 · 40 min ago');
});

browserTest('Each part is downloaded as the CSV that the API gives', async (_, browser) => {
  const served = await theShop();
  const { page, key } = await lookAt(browser, served);
  await row(page, 'Countries', 'Germany').waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download Countries: Countries as CSV' }).click()]);
  assert.equal(download.suggestedFilename(), 'shop-breakdown-2026-11-14-2026-11-20.csv');
  const response = await fetch(`${served.url}/v1/sites/${SITE}/breakdown?range=7d&dimension=country&metrics=visits,conversion_rate,revenue&limit=100`, { headers: { authorization: `Bearer ${key}`, accept: 'text/csv' } });
  const expected = Buffer.from(await response.arrayBuffer()).toString();
  assert.equal(await readFile(await download.path(), 'utf8'), expected);
  assert.match(expected, /^\uFEFFvalue,visits,conversion_rate,revenue\r\nDE,2,0\.5,120\.5\r\n/);
});

browserTest('Without a mouse: past the header, between tabs, and out of the choice of days', async (_, browser) => {
  const { page } = await lookAt(browser, await theShop());
  await row(page, 'Pages', '/p/boot').waitFor();
  /** The focus follows what is drawn, a moment later. */
  const isFocused = (text: RegExp) => page.locator(':focus').filter({ hasText: text }).waitFor();
  await page.keyboard.press('Tab');
  await isFocused(/^To the numbers$/);
  await page.getByRole('tab', { name: 'Top' }).focus();
  await page.keyboard.press('ArrowRight');
  await isFocused(/^Entry$/);
  await page.getByRole('columnheader', { name: 'Entry page' }).waitFor();
  await page.getByRole('button', { name: /^Last 7 days/ }).press('Enter');
  await isFocused(/^Last 7 days$/);
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await isFocused(/^Last 7 days14\s?–/);
});

browserTest('The system’s theme is followed, another can be chosen, and is remembered', async (_, browser) => {
  const { page } = await lookAt(browser, await theShop(), '', { colorScheme: 'dark' });
  const brightness = async () => Number(await asked(page, '/\\d+/.exec(getComputedStyle(document.body).backgroundColor)[0]'));
  assert.ok(await brightness() < 40);
  await page.getByRole('button', { name: 'Light colours' }).click();
  assert.ok(await brightness() > 200);
  await page.reload();
  await page.getByRole('button', { name: 'Dark colours' }).waitFor();
  assert.ok(await brightness() > 200);
});

browserTest('On a telephone nothing is wider than the screen', async (_, browser) => {
  const { page } = await lookAt(browser, await theShop(), '?filter=country==DE', { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
  await row(page, 'Products', 'boot').waitFor();
  assert.equal(await asked(page, 'document.documentElement.scrollWidth'), 360);
  await page.getByRole('button', { name: /^Last 7 days/ }).tap();
  assert.equal(await asked(page, 'document.documentElement.scrollWidth'), 360);
});

for (const [what, query, options] of [['light', '?smooth=on', {}], ['dark', '', { colorScheme: 'dark' }], ['of one value on a telephone', '?filter=country==DE', { viewport: { width: 390, height: 844 } }]] as const) {
  browserTest(`The page has nothing serious against it for accessibility: ${what}`, async (_, browser) => {
    const { page } = await lookAt(browser, await theShop(), query, { bypassCSP: true, ...options });
    await row(page, 'Products', 'boot').waitFor();
    await page.locator('.chart canvas').waitFor();
    assert.deepEqual(await findings(page), []);
    await page.getByRole('button', { name: 'As a table' }).click();
    await page.getByRole('button', { name: /^Last 7 days/ }).click();
    assert.deepEqual(await findings(page), []);
  });
}

browserTest('Signing in has nothing serious against it for accessibility', async (t, browser) => {
  const served = await serve(t);
  const { page } = await look(browser, served.url, { bypassCSP: true });
  await page.getByLabel('Key').fill('password');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').waitFor();
  assert.deepEqual(await findings(page), []);
});
