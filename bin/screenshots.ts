// `npm run screenshots`: the pages as docs/screenshots shows them, of the demo shop in a folder of its own.
// before: local/demo.ts, bin/pages.ts; next: README.md, docs/dashboard.md
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { chromium, type BrowserContextOptions, type Page } from 'playwright-core';
import { newKey } from '../core/keys.ts';
import { Client } from '../local/client.ts';
import { demo } from '../local/demo.ts';
import { PAGES_FOLDER } from '../local/pages.ts';
import { buildPages } from './pages.ts';

const FOLDER = join(import.meta.dirname, '..', 'docs', 'screenshots');
/** The same visitors each time; when they come depends on the day. */
const SEED = 7;
/** Longest time until two weeks of visits are counted. */
const COUNTED_MS = 10 * 60_000;
const MOST_BYTES = 300_000;
const DESK: BrowserContextOptions = { viewport: { width: 1360, height: 900 } };
const TELEPHONE: BrowserContextOptions = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

interface Shot { name: string; path: string; options?: BrowserContextOptions; whole?: boolean; before?: (page: Page) => Promise<unknown>; act?: (page: Page) => Promise<void>; seen: string }

interface Keys { read: string; empty: string; admin: string }

/** What is photographed: `seen` is there when the page is. */
function shots({ read, empty, admin }: Keys): Shot[] {
  const hover = (page: Page) => page.hover('.chart .u-over', { position: { x: 620, y: 90 } });
  return [
    { name: 'full', path: `/#key=${read}`, whole: true, act: hover, seen: '.list' },
    { name: 'dark', path: `/?metric=visits&smooth=on#key=${read}`, options: { ...DESK, colorScheme: 'dark' }, act: hover, seen: '.list' },
    { name: 'phone', path: `/#key=${read}`, options: TELEPHONE, seen: '.list' },
    { name: 'filter', path: `/?filter=${encodeURIComponent('channel==Organic Search')}&metric=revenue#key=${read}`, seen: '.chip' },
    { name: 'empty', path: `/#key=${empty}`, seen: '.welcome' },
    { name: 'error', path: `/#key=${read}`, before: (page) => page.route('**/stats?**', (route) => route.fulfill({ status: 500, contentType: 'application/problem+json', body: '{"detail":"Something went wrong on our side."}' })), seen: '.whole .failed' },
    { name: 'admin', path: `/admin?part=rollups#key=${admin}`, act: (page) => page.click('[data-hour] >> nth=-3'), seen: '[data-hour]' },
    { name: 'admin-site', path: `/admin?site=demo#key=${admin}`, seen: '.rows' },
  ];
}

/** Waits until the week and the one before are counted. */
async function counted(url: string, read: string): Promise<void> {
  for (const end = Date.now() + COUNTED_MS; Date.now() < end; await wait(1000)) {
    const response = await fetch(`${url}/v1/sites/demo/stats?range=7d&compare=previous_period&metrics=visits`, { headers: { authorization: `Bearer ${read}` } });
    const { results } = await response.json() as { results?: [{ metrics: { visits: number }; comparison: { visits: number } }] };
    const health = await (await fetch(`${url}/v1/health`)).json() as { waiting_tasks: number };
    if (results && results[0].comparison.visits > 500 && health.waiting_tasks <= 2) return;
  }
  throw new Error(`the demo shop's visits are not counted after ${COUNTED_MS / 60_000} minutes`);
}

async function photograph(url: string, keys: Keys): Promise<void> {
  mkdirSync(FOLDER, { recursive: true });
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', chromiumSandbox: process.getuid?.() !== 0 });
  try {
    for (const { name, path, options = DESK, whole = false, before, act, seen } of shots(keys)) {
      const context = await browser.newContext({ locale: 'en-GB', reducedMotion: 'reduce', ...options });
      const page = await context.newPage();
      await before?.(page);
      await page.goto(url + path);
      await page.locator(seen).first().waitFor();
      await wait(1500); // What is drawn on a canvas says nothing of being there.
      await act?.(page);
      const file = join(FOLDER, `${name}.png`);
      await page.screenshot({ path: file, fullPage: whole });
      await context.close();
      const bytes = statSync(file).size;
      if (bytes > MOST_BYTES) throw new Error(`docs/screenshots/${name}.png: ${bytes} bytes: accepts at most ${MOST_BYTES}`);
      process.stdout.write(`docs/screenshots/${name}.png: ${Math.round(bytes / 1000)} KB\n`);
    }
  } finally {
    await browser.close();
  }
}

const ending = new AbortController();
const admin = newKey('admin');
const dataFolder = mkdtempSync(join(tmpdir(), 'footfall-screenshots-'));
await buildPages(PAGES_FOLDER);
try {
  let ready: (at: { url: string; read: string }) => void = () => undefined;
  const at = new Promise<{ url: string; read: string }>((resolve) => { ready = resolve; });
  const running = demo({
    minutes: 10, seed: SEED, dataFolder, port: 0, adminKey: admin, signal: ending.signal,
    say: (line) => {
      const [, url, read] = /(http\S+)\/#key=(\S+)/.exec(line) ?? [];
      if (url !== undefined && read !== undefined) ready({ url, read });
    },
  });
  try {
    const { url, read } = await Promise.race([at, running.then(() => { throw new Error('the demo ended before it was ready'); })]);
    await counted(url, read);
    const client = new Client({ url, key: admin, report: () => undefined });
    await client.createSite('new-shop', { name: 'New shop', timezone: 'Europe/Berlin', currency: 'EUR' });
    await photograph(url, { read, empty: (await client.makeKey('new-shop', 'read', 'screenshots')).key, admin });
  } finally {
    ending.abort();
    await running;
  }
} finally {
  rmSync(dataFolder, { recursive: true, force: true });
}
