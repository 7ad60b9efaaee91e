// The pages as people see them: built, served by the real server over a pipeline whose clock the test sets, looked at
// with a real browser. next: the tests beside it
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { buildPages } from '../../bin/pages.ts';
import { newKey, storeKey, type Scope } from '../../core/keys.ts';
import { checkSite, writeSite } from '../../core/sites.ts';
import { adminHandler } from '../../lambdas/admin.ts';
import { ingestHandler } from '../../lambdas/ingest.ts';
import { serveHandler } from '../../lambdas/serve.ts';
import { httpServer } from '../../local/http.ts';
import { pagesOf, type Pages } from '../../local/pages.ts';
import { httpPorts } from '../memory.ts';
import { openPipeline, type Pipeline } from '../pipeline.ts';
import { temporaryFolder } from '../process.ts';

/** 13:00 in Berlin. */
export const NOW = '2026-11-20T12:00:00Z';
export const SITE = 'shop';
/** What a page asks is not what these tests are about: only one of them runs into its limit. */
const NO_LIMIT = { per_second: 1000, burst: 10_000 };

let built: Promise<Pages> | undefined;

/** The pages, built once for a test file. */
function builtPages(): Promise<Pages> {
  return built ??= (async () => {
    const folder = join(temporaryFolder(), 'pages');
    await buildPages(folder);
    return pagesOf(folder);
  })();
}

export interface Served {
  url: string;
  pipeline: Pipeline;
  /** A new key, of the site where it is not an admin's. */
  key: (scope: Scope, site?: string) => Promise<{ id: string; key: string }>;
  site: (id: string, settings?: Record<string, unknown>) => Promise<void>;
  /** Everything sent before is counted. */
  count: () => Promise<void>;
}

/** Serves the pages over an empty pipeline with one site. */
export async function serve(t: TestContext): Promise<Served> {
  const pipeline = await openPipeline(t, NOW);
  const { registry, metrics, clock, lake, log, tasks } = pipeline;
  const http = httpPorts(registry, clock);
  const server = httpServer({
    clock, stream: log, trustProxy: false, onError: http.onError, pages: await builtPages(),
    handlers: {
      ingest: ingestHandler({ ...http, stream: log, clock }),
      admin: adminHandler({ ...http, registry, lake, tasks, clock, usdPerTerabyte: 5, rawKeptMs: 30 * 86_400_000 }),
      serve: serveHandler({ ...http, registry, metrics, clock, health: async () => ({ oldest_undelivered_seconds: null, waiting_tasks: 0, parked_tasks: tasks.all().filter(({ parked }) => parked).length }) }),
    },
  });
  // Pages take the time from the server's answers.
  server.prependListener('request', (_, response) => {
    response.sendDate = false;
    response.setHeader('date', new Date(clock()).toUTCString());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const site = async (id: string, settings: Record<string, unknown> = {}) => {
    await writeSite(registry, checkSite(id, { name: 'Alpenladen', timezone: 'Europe/Berlin', currency: 'EUR', rate_limit: NO_LIMIT, ...settings }, undefined, NOW));
  };
  await site(SITE);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, pipeline, site,
    async key(scope, of = SITE) {
      const key = newKey(scope);
      const { id } = await storeKey(registry, key, { scope, label: `a ${scope} key`, ...(scope !== 'admin' && { site: of }) }, NOW);
      return { id, key };
    },
    async count() {
      await pipeline.deliver();
      await pipeline.rollup();
    },
  };
}

export interface Looked {
  page: Page;
  /** Addresses that were asked for, and what the browser said of errors and refusals. */
  requested: string[];
  complaints: string[];
}

/** A page of the server, seen with a browser of its own; in English of Britain and by a clock that is wrong. */
export async function look(browser: Browser, address: string, options: BrowserContextOptions = {}): Promise<Looked> {
  const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'America/New_York', viewport: { width: 1360, height: 900 }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const looked: Looked = { page, requested: [], complaints: [] };
  page.on('request', (request) => { looked.requested.push(request.url()); });
  page.on('pageerror', (error) => { looked.complaints.push(String(error)); });
  page.on('console', (message) => { if (message.type() === 'error' || message.type() === 'warning') looked.complaints.push(message.text()); });
  await page.goto(address);
  return looked;
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What an expression is worth in the page; text, since the DOM's types are not those of this program. */
export function asked(page: Page, expression: string): Promise<unknown> {
  return page.evaluate(expression);
}

interface Found { id: string; impact: string | null; nodes: { html: string; failureSummary?: string }[] }

/** What a person with a screen reader or without a mouse would trip over: serious and critical findings, with where they are. */
export async function findings(page: Page): Promise<string[]> {
  await page.addScriptTag({ content: AXE });
  const { violations } = await asked(page, 'axe.run()') as { violations: Found[] };
  return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary = '' }) => `${id}: ${html} ${failureSummary}`));
}
