// A shop with the tracker in its pages, and a door that notes what arrives. next: the tests beside it
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { buildTracker } from '../../tracker/build.ts';
import { until } from '../process.ts';

/** An event as it arrived. */
export interface Arrived {
  name: string;
  id: string;
  age: number;
  url?: string;
  referrer?: string;
  visitor?: string;
  value?: number;
  items?: unknown[];
  props?: Record<string, unknown>;
  [field: string]: unknown;
}

export interface Received { method: string; path: string; headers: IncomingMessage['headers']; body: string; status: number }

export interface ShopOptions {
  /** The script's attributes beside `src` and `data-site`. */
  attributes?: string;
  /** What stands in the page in place of the snippet. */
  snippet?: (footfall: string) => string;
  /** What stands before the script, and after it. */
  head?: string;
  body?: string;
  headers?: Record<string, string>;
  /** A script that runs before any of the page's. */
  before?: string;
  context?: BrowserContextOptions;
}

/** The moment at which the pages' clocks stand still; they move only by `wait`. */
export const NOW = Date.parse('2026-11-24T10:20:00Z');

let script: Promise<string> | undefined;

/**
 * Opens a browser of its own for a shop at http://shop.example, whose tracker comes from http://footfall.example.
 * Every path is a page of the shop; errors on a page fail the test.
 */
export async function openShop(t: TestContext, browser: Browser, { attributes = '', snippet, head = '', body = '', headers = {}, before, context: contextOptions }: ShopOptions = {}) {
  const tracker = await (script ??= buildTracker());
  const received: Received[] = [];
  const errors: string[] = [];
  const door = { status: 204 };

  const server = createServer((request, response) => {
    const { method = '', headers: sent, url: path = '' } = request;
    const host = sent.host ?? '';
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => { text += chunk; }).on('end', () => {
      received.push({ method, path, headers: sent, body: text, status: path === '/e' ? door.status : 200 });
      if (path === '/e') response.writeHead(door.status, { 'Access-Control-Allow-Origin': '*' }).end();
      else if (path === '/t.js') response.writeHead(200, { 'Content-Type': 'text/javascript', 'Access-Control-Allow-Origin': '*' }).end(tracker);
      else if (path.startsWith('/p.gif')) response.writeHead(200, { 'Content-Type': 'image/gif' }).end();
      else if (host.startsWith('shop.example')) response.writeHead(200, { 'Content-Type': 'text/html', ...headers }).end(html(path));
      else response.writeHead(200, { 'Content-Type': 'text/html' }).end('elsewhere');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  const { port } = server.address() as AddressInfo;
  const [shop, footfall] = [`http://shop.example:${port}`, `http://footfall.example:${port}`];
  const tags = snippet?.(footfall) ?? `<script defer src="${footfall}/t.js" data-site="shop" ${attributes}></script>
<noscript><img src="${footfall}/p.gif?site=shop" alt="" referrerpolicy="no-referrer-when-downgrade"></noscript>`;
  const html = (path: string) => `<!doctype html><title>${path}</title><link rel="icon" href="data:,">${head}${tags}${body}`;

  const context = await browser.newContext(contextOptions);
  await context.clock.install({ time: NOW });
  await context.clock.pauseAt(NOW);
  if (before !== undefined) await context.addInitScript(before);
  context.on('weberror', (error) => { errors.push(error.error().message); });
  t.after(() => { if (errors.length > 0) throw new Error(`errors on the page: ${errors.join('; ')}`); });

  const beacons = () => received.filter(({ method, path }) => method === 'POST' && path === '/e');
  return {
    context, shop, footfall, door, errors, received,
    /** Bodies that came to the door, whatever it answered. */
    beacons,
    /** Events that the door took, in the order in which they came. */
    events: (): Arrived[] => beacons().filter(({ status }) => status === 204).flatMap((one) => (JSON.parse(one.body) as { events: Arrived[] }).events),
    async open(path: string, options: { referer?: string } = {}): Promise<Page> {
      const page = await context.newPage();
      await page.goto(shop + path, options);
      return page;
    },
    /** Resolves when the door has heard of so many requests; fails after a minute. */
    heard: (count: number) => until(() => (beacons().length >= count ? true : undefined), `${count} requests at the door; it heard ${beacons().length}`),
    /** The pages' clocks go on. */
    wait: (ms: number) => context.clock.runFor(ms),
    /** They go on until it is so; fails after a minute of ours. */
    waitUntil: (isSo: () => boolean, what: string, step = 5_000) => until(async () => {
      await context.clock.runFor(step);
      return isSo() ? true : undefined;
    }, what),
  };
}

export type Shop = Awaited<ReturnType<typeof openShop>>;

/** Whether a page is shown, as it would be told by the browser. */
export async function show(page: Page, shown: boolean): Promise<void> {
  await page.evaluate(`Object.defineProperty(document, 'hidden', { value: ${!shown}, configurable: true });
    Object.defineProperty(document, 'visibilityState', { value: '${shown ? 'visible' : 'hidden'}', configurable: true });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))`);
}

/** What the tracker has in the storage of the page's origin. */
export function stored(page: Page): Promise<string[]> {
  return page.evaluate(`Object.keys(localStorage).filter((key) => key.startsWith('footfall:'))`);
}

/** Names and pages of events, as one can read them. */
export function paths(events: readonly Arrived[]): string[] {
  return events.map(({ name, url = '' }) => `${name} ${url.replace(/^https?:\/\/[^/]+/, '')}`);
}

