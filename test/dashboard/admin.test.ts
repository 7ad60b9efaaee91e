// The operator's page in a real browser.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Browser } from 'playwright-core';
import { advanceReprocess } from '../../core/reprocess.ts';
import { browserTest } from '../browser.ts';
import { BROWSER, api } from '../process.ts';
import { SITE, asked, findings, look, serve, type Served } from './served.ts';

async function lookAt(t: TestContext, browser: Browser, { query = '', before, options = {} }: { query?: string; before?: (served: Served) => Promise<void>; options?: object } = {}) {
  const served = await serve(t);
  await before?.(served);
  const { key } = await served.key('admin');
  const looked = await look(browser, `${served.url}/admin${query}#key=${key}`, options);
  await looked.page.getByRole('navigation').waitFor();
  return { ...looked, served, key };
}

const view = (id: string, time: string) => ({ id, name: 'page_view', time, visitor: 'anna', user_agent: BROWSER, url: 'https://shop.example/' });

/** Two hours with events, the first of which has been counted and the second of which failed too often. */
async function withHours({ pipeline, count }: Served): Promise<void> {
  await pipeline.sendBatch(SITE, [view('a', '2026-11-20T08:10:00Z'), view('b', '2026-11-20T08:20:00Z')]);
  await count();
  const { tasks } = pipeline;
  await tasks.send([{ kind: 'hour', hour: '2026-11-19T21' }]);
  while (!tasks.all().some(({ parked }) => parked)) await tasks.failed(tasks.all()[0]!, new Error('the file is damaged <b>'));
}

browserTest('A site is made, then set otherwise; what is wrong is said at its field', async (t, browser) => {
  const { page, served, key, complaints } = await lookAt(t, browser);
  await page.getByRole('button', { name: 'New site' }).click();
  await page.getByLabel('Id').fill('bergschuh');
  await page.getByLabel('Name', { exact: true }).fill('Bergschuh');
  await page.getByLabel('Time zone').fill('Europe/Zuerich');
  await page.getByLabel('Currency').fill('CHF');
  await page.getByLabel('Hosts').fill('bergschuh.example\n shop.bergschuh.example ');
  await page.getByRole('button', { name: 'Make the site' }).click();
  await page.getByText('"Europe/Zuerich" is not accepted: an IANA time zone such as Europe/Berlin').waitFor();
  assert.equal(await page.getByLabel('Time zone').getAttribute('aria-invalid'), 'true');
  await page.getByLabel('Time zone').fill('Europe/Zurich');
  await page.getByRole('button', { name: 'Make the site' }).click();
  await page.getByRole('heading', { name: 'Bergschuh' }).waitFor();
  assert.equal(new URL(page.url()).search, '?site=bergschuh');
  await page.getByRole('region', { name: 'Snippet' }).getByText('data-site="bergschuh"').last().waitFor();

  await page.getByLabel('Name', { exact: true }).fill('Bergschuh Zürich');
  await page.getByLabel('Requests a second').fill('20');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved.').waitFor();
  const site = await api<Record<string, unknown>>(served.url, 'GET', '/v1/sites/bergschuh', undefined, key);
  assert.deepEqual(site, {
    id: 'bergschuh', name: 'Bergschuh Zürich', timezone: 'Europe/Zurich', currency: 'CHF', hosts: ['bergschuh.example', 'shop.bergschuh.example'], origins: [], rate_limit: { per_second: 20, burst: 50 },
    created_at: site.created_at, updated_at: site.updated_at,
  });
  assert.deepEqual(await page.locator('.sites b').allTextContents(), ['Bergschuh Zürich', 'Alpenladen']);
  await page.getByPlaceholder('Find by name or id').fill('alp');
  assert.deepEqual(await page.locator('.sites b').allTextContents(), ['Alpenladen']);
  // A refused request stands in the console, and nothing else does.
  assert.deepEqual(complaints.filter((text) => !text.includes('422')), []);
});

browserTest('A key is shown once, works, is listed by its beginning, and stops when it is revoked', async (t, browser) => {
  const { page, served } = await lookAt(t, browser, { query: `?site=${SITE}` });
  await page.getByLabel('Label').fill('Bookkeeping');
  await page.getByRole('button', { name: 'Make a key' }).click();
  const key = (await page.getByRole('region', { name: 'Key', exact: true }).textContent())!;
  assert.match(key, /^ff_read_[0-9A-Za-z]{43}$/);
  const ask = () => fetch(`${served.url}/v1/key`, { headers: { authorization: `Bearer ${key}` } });
  assert.equal((await ask()).status, 200);
  await page.reload();
  const listed = page.getByRole('row').filter({ hasText: 'Bookkeeping' });
  await listed.waitFor();
  assert.equal(await listed.textContent(), `${key.slice(0, 12)}…Bookkeeping2026-11-202026-11-20Revoke`);
  assert.equal((await page.content()).includes(key), false);
  await page.getByRole('button', { name: 'Revoke Bookkeeping' }).click();
  assert.equal((await ask()).status, 200);
  await page.getByRole('button', { name: 'Revoke for good' }).click();
  await listed.waitFor({ state: 'detached' });
  assert.equal((await ask()).status, 401);
});

browserTest('An admin key makes another; it cannot be used to revoke itself', async (t, browser) => {
  const { page } = await lookAt(t, browser, { query: '?part=keys' });
  await page.getByRole('row').filter({ hasText: 'signed in' }).waitFor();
  assert.equal(await page.getByRole('button', { name: /^Revoke/ }).count(), 0);
  await page.getByLabel('Label').fill('Deputy');
  await page.getByRole('button', { name: 'Make a key' }).click();
  assert.match((await page.getByRole('region', { name: 'Key', exact: true }).textContent())!, /^ff_admin_/);
  await page.getByRole('button', { name: 'Revoke Deputy' }).waitFor();
});

browserTest('A merchant’s key does not open the page', async (t, browser) => {
  const served = await serve(t);
  const { page } = await look(browser, `${served.url}/admin/#key=${(await served.key('read')).key}`);
  await page.getByRole('alert').filter({ hasText: 'This is a read key of one site: this page takes an admin key.' }).waitFor();
  assert.equal(await asked(page, 'sessionStorage.length'), 0);
});

browserTest('The hours of seven days show their states in words, and what failed says why', async (t, browser) => {
  const { page } = await lookAt(t, browser, { query: '?part=rollups', before: withHours });
  await page.getByRole('table', { name: 'State of each hour' }).waitFor();
  // Six whole days, and of today the hours up to 12.
  assert.equal(await page.locator('[data-hour]').count(), 6 * 24 + 13);
  await page.getByRole('button', { name: '2026-11-20 08:00, counted, 2 events' }).click();
  assert.match(await page.locator('.hour-facts').first().textContent() ?? '', /^Hour2026-11-20 08:00Statecounted.*Events2Sites1Bots0Refused0/);
  await page.keyboard.press('ArrowRight');
  await page.locator('[aria-label="2026-11-20 09:00, nothing came"]:focus').waitFor();
  assert.equal(await page.getByRole('button', { name: '2026-11-19 21:00, failed too often, and waits for you' }).count(), 1);
  assert.match(await page.locator('.failures').textContent() ?? '', /^hour#2026-11-19T21 after 5 attempts.*the file is damaged <b>/);
  assert.match(await page.locator('.facts').textContent() ?? '', /Tasks that are parked1need you/);
});

browserTest('Hours are recomputed after a dry run; the job is seen, and cancelled', async (t, browser) => {
  const { page, served, key } = await lookAt(t, browser, { query: '?part=rollups', before: withHours });
  await page.getByLabel('First hour (UTC)').fill('2026-11-20T07:00');
  await page.getByLabel('Last hour (UTC)').fill('2026-11-20T09:00');
  assert.equal(await page.getByRole('button', { name: 'Begin' }).count(), 0);
  await page.getByRole('button', { name: 'Dry run' }).click();
  await page.getByRole('button', { name: 'Begin' }).waitFor();
  const { bytes } = await api<{ bytes: number }>(served.url, 'POST', '/v1/rollups', { from: '2026-11-20T07', to: '2026-11-20T09', dry_run: true }, key);
  assert.ok(bytes > 1000);
  assert.equal(await page.locator('.estimate dl').textContent(), `Hours1Bytes read${(bytes / 1000).toFixed(1).replace('.0', '')} KBCost$0.00`);
  // Other hours are another question.
  await page.getByLabel('Last hour (UTC)').fill('2026-11-20T08:00');
  await page.getByRole('button', { name: 'Begin' }).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Dry run' }).click();
  await page.getByRole('button', { name: 'Begin' }).click();
  await page.locator('.job').filter({ hasText: '2026-11-20T07 to 2026-11-20T08Hours are rolled up' }).waitFor();
  const { jobs } = await api<{ jobs: { id: string; state: string }[] }>(served.url, 'GET', '/v1/rollups', undefined, key);
  assert.deepEqual(jobs.map(({ id, state }) => [id, state]), [['2026-11-20T07_2026-11-20T08', 'rolling']]);
  await Promise.all([page.waitForResponse((response) => response.request().method() === 'DELETE' && response.status() === 202), page.getByRole('button', { name: 'Cancel' }).click()]);
  // The next step of the job takes notice.
  await advanceReprocess(served.pipeline.reprocessPorts);
  await page.locator('.job').filter({ hasText: 'Cancelled' }).waitFor();
});

for (const [part, query] of [['a site', `?site=${SITE}`], ['the rollups', '?part=rollups'], ['keys', '?part=keys']] as const) {
  for (const colorScheme of ['light', 'dark'] as const) {
    browserTest(`The page has nothing serious against it for accessibility: ${part}, ${colorScheme}`, async (t, browser) => {
      const { page } = await lookAt(t, browser, { query, before: withHours, options: { bypassCSP: true, colorScheme } });
      await page.locator('.skeleton').first().waitFor({ state: 'detached' });
      await page.getByRole('heading', { level: 2 }).first().waitFor();
      if (part === 'the rollups') await page.locator('[data-hour]').first().click();
      assert.deepEqual(await findings(page), []);
    });
  }
}
