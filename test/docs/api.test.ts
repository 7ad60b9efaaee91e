// docs/api.md: every command of the page is run, in order, by a shell against a real server, and has to answer what the
// page shows. UPDATE_DOCS=1 writes the answers into the page instead.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { EVENT_FIELDS, LIMITS } from '../../core/event.ts';
import { newKey, storeKey } from '../../core/keys.ts';
import { DIMENSION_NAMES, SITE_METRICS } from '../../core/metrics.ts';
import { readHealth } from '../../core/progress.ts';
import { DEFAULT_LIMIT, MAX_DAYS, MAX_LIMIT, MAX_MONTHS, MAX_SMOOTH, RANGES } from '../../core/query.ts';
import { DEFAULT_RATE_LIMIT } from '../../core/rate-limit.ts';
import { ROUTES } from '../../core/routes.ts';
import { MOST_BURST, MOST_PER_SECOND } from '../../core/sites.ts';
import { adminHandler } from '../../lambdas/admin.ts';
import { ingestHandler } from '../../lambdas/ingest.ts';
import { serveHandler } from '../../lambdas/serve.ts';
import { resolved } from '../../lib/settings.ts';
import { httpServer } from '../../local/http.ts';
import { checked } from '../answers.ts';
import { httpPorts } from '../memory.ts';
import { openPipeline } from '../pipeline.ts';
import { BROWSER, temporaryFolder } from '../process.ts';

const PAGE = join(import.meta.dirname, '..', '..', 'docs', 'api.md');
const NOW = '2026-11-20T10:17:30Z';
const FIRST_DAY = Date.parse('2026-11-06T00:00:00Z');
const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

interface Visit { day: string; source: 'google' | 'newsletter' | '(direct)'; pages: number; product: string; steps: number; revenue: number; events: object[] }

const PRICES: Record<string, number> = { mug: 12.5, lamp: 59, candle: 7.9 };
const ARRIVALS = {
  'google': { referrer: 'https://www.google.com/' },
  'newsletter': { url: 'https://shop.example/?utm_source=newsletter&utm_medium=email&utm_campaign=november' },
  '(direct)': {},
} as const;
const STEPS = ['view_item', 'add_to_cart', 'begin_checkout', 'purchase'];

/** A visitor's way through the shop: a page, and so many of the steps to a purchase. */
function visitOf(day: number, nth: number): Visit {
  // Most in the morning; yesterday in the afternoon, too.
  const hour = day === 13 && nth > 3 ? 16 : 9;
  const begin = FIRST_DAY + day * DAY_MS + hour * 60 * MINUTE_MS + nth * 4 * MINUTE_MS;
  const source = (['google', '(direct)', 'newsletter', 'google'] as const)[(day + nth) % 4]!;
  const product = ['mug', 'candle', 'mug', 'lamp'][(day + nth * 3) % 4]!;
  const steps = (day * 3 + nth * 7) % 5;
  const quantity = product === 'lamp' ? 1 : 2;
  const value = PRICES[product]! * quantity;
  const of = { visitor: `visitor-${(day * 2 + nth) % 19}`, user_agent: BROWSER, country: nth % 3 === 0 ? 'AT' : 'DE' };
  const at = (minutes: number) => new Date(begin + minutes * MINUTE_MS).toISOString();
  const item = { items: [{ id: product, quantity, price: PRICES[product] }] };
  return {
    day: at(0).slice(0, 10), source, pages: 1, product, steps, revenue: steps === 4 ? value : 0,
    events: [
      { ...of, name: 'page_view', id: `${day}-${nth}`, time: at(0), url: 'https://shop.example/', ...ARRIVALS[source] },
      ...STEPS.slice(0, steps).map((name, i) => ({
        ...of, ...item, name, id: `${day}-${nth}-${name}`, time: at(i + 1), url: `https://shop.example/p/${product}`,
        ...(name === 'purchase' && { transaction_id: `${day}${nth}`, value, currency: 'EUR' }),
      })),
    ],
  };
}

/** Two weeks and a morning; on some days there are more visits than on others. */
const VISITS = Array.from({ length: 15 }, (_, day) => Array.from({ length: 4 + ((day * 5) % 4) }, (__, nth) => visitOf(day, nth))).flat();

interface Block { language: string; text: string; /** Where the text stands in the page. */ at: number }
interface Example { heading: string; command: Block; answer: Block | undefined; /** Names of fields of the answer, by the variable that keeps them. */ kept: [variable: string, field: string][]; sales: boolean }

/** The page's commands, each with the answer that follows it, and what a comment behind that says is to be done. */
function examplesOf(page: string): Example[] {
  const examples: Example[] = [];
  let heading = '';
  for (const match of page.matchAll(/^## (.+)$|^```(\w+)\n([\s\S]*?)^```$|^<!-- (.+) -->$/gm)) {
    const [, title, language, text = '', comment] = match;
    const last = examples.at(-1);
    if (title !== undefined) heading = title;
    else if (comment === 'two weeks of sales') last!.sales = true;
    else if (comment !== undefined) last!.kept = [...comment.matchAll(/(\w+)=(\w+)/g)].map(([, variable, field]) => [variable!, field!]);
    else {
      const block = { language: language!, text, at: match.index + 4 + language!.length };
      if (language === 'sh' || language === 'js') examples.push({ heading, command: block, answer: undefined, kept: [], sales: false });
      else last!.answer = block;
    }
  }
  return examples;
}

const WIDTH = 130;

/** JSON as the page shows it: on one line where there is room. */
function shown(value: unknown, indent = ''): string {
  const inline = (one: unknown): string => {
    if (typeof one !== 'object' || one === null) return JSON.stringify(one);
    return Array.isArray(one) ? `[${one.map(inline).join(', ')}]` : `{${Object.entries(one).map(([name, inner]) => `${JSON.stringify(name)}: ${inline(inner)}`).join(', ')}}`;
  };
  const line = inline(value);
  if (indent.length + line.length <= WIDTH || typeof value !== 'object' || value === null) return line;
  const deeper = `${indent} `;
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const lines = Array.isArray(value) ? value.map((one) => shown(one, deeper)) : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${shown(one, deeper)}`);
  return `${open}\n${lines.map((one) => deeper + one).join(',\n')}\n${indent}${close}`;
}

/** What is random, as the page has it. */
function masked(text: string): string {
  return text
    .replaceAll(/\bff_(read|write|admin)_[0-9A-Za-z]{4,43}\b/g, 'ff_$1_…')
    .replaceAll(/"id": "[0-9A-Za-z]{12}"/g, '"id": "…"')
    .replaceAll(/"request_id": "[\w-]{36}"/g, '"request_id": "…"')
    .replaceAll(/^(x-request-id): .*$/gim, '$1: …')
    .replaceAll(/^(date|connection|keep-alive): .*\n/gim, '')
    .replaceAll(/(\d{8}T\d{9}Z)-[0-9a-f]{6}/g, '$1-…');
}

/** An answer in JSON; keys are in the order of their ids, which are random, and are shown in that of their making. */
function jsonOf(text: string): unknown {
  const value = JSON.parse(text) as { keys?: { created_at: string }[] };
  value.keys?.sort((a, b) => a.created_at.localeCompare(b.created_at));
  return value;
}

/** What a command printed, as the page shows it. */
function asShown(output: string, language: string): string {
  const text = output.replaceAll('\r', '').replaceAll('\uFEFF', '');
  if (language === 'json') return masked(`${text.replaceAll('}{', '}\n{').trim().split('\n').map((line) => shown(jsonOf(line))).join('\n')}\n`);
  const [, headers = '', body = ''] = language === 'http' ? (/^([\s\S]*?\n)\n([\s\S]*)$/.exec(text) ?? []) : [];
  if (language !== 'http') return masked(text);
  return masked(body === '' ? headers : `${headers}\n${body.startsWith('{') ? shown(JSON.parse(body)) : body}\n`);
}

/** A server with a clock that stands still but for the examples, and an admin key. */
async function openServer(t: TestContext) {
  const pipeline = await openPipeline(t, NOW);
  const { registry, metrics, log, lake, tasks, clock } = pipeline;
  const shared = { registry, clock, ...httpPorts(registry, clock) };
  const adminKey = newKey('admin');
  await storeKey(registry, adminKey, { scope: 'admin', label: 'made at first start' }, new Date(clock()).toISOString());
  const server = httpServer({
    stream: log, clock, trustProxy: false, onError: (error) => { throw error; },
    handlers: {
      ingest: checked('ingest', ingestHandler({ ...shared, stream: log })),
      admin: checked('admin', adminHandler({ ...shared, lake, tasks, usdPerTerabyte: 5, rawKeptMs: 30 * DAY_MS })),
      serve: checked('serve', serveHandler({ ...shared, metrics, health: () => readHealth(registry, clock()) })),
    },
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.close().closeAllConnections(); });
  return { pipeline, adminKey, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** Between two examples: longer than the bucket of a read key takes to fill. */
const PAUSE_MS = 10_000;

const run = promisify(execFile);
/** Without curl and a shell the page cannot be tried out; a test is skipped then, except where nobody would notice. */
const SKIP = spawnSync('/bin/sh', ['-c', 'curl --version']).status !== 0 && !process.env.CI && 'no /bin/sh and curl on this machine';

test('Every command of the page answers what the page shows', { skip: SKIP }, async (t) => {
  const { pipeline, adminKey, url } = await openServer(t);
  const page = readFileSync(PAGE, 'utf8');
  const folder = temporaryFolder();
  const environment: Record<string, string> = { PATH: process.env.PATH!, FOOTFALL: url, ADMIN_KEY: adminKey };
  const answers: { block: Block; text: string }[] = [];
  for (const { heading, command, answer, kept, sales } of examplesOf(page)) {
    pipeline.at(new Date(pipeline.clock() + PAUSE_MS).toISOString());
    if (command.language === 'js') writeFileSync(join(folder, 'report.mjs'), command.text);
    // The address is this server's.
    const script = command.language === 'js' ? 'node report.mjs' : command.text.replace(/^export FOOTFALL=\S+/m, 'true');
    const { stdout } = await run('/bin/sh', ['-ec', script], { cwd: folder, env: environment });
    for (const [variable, field] of kept) environment[variable] = (JSON.parse(stdout) as Record<string, string>)[field]!;
    if (answer) answers.push({ block: answer, text: asShown(stdout, answer.language) });
    else assert.equal(stdout, '', command.text);
    if (!process.env.UPDATE_DOCS && answer) assert.equal(answers.at(-1)!.text, answer.text, `${heading}: ${command.text}`);
    if (sales) {
      await pipeline.sendBatch('shop', VISITS.flatMap(({ events }) => events));
      await pipeline.deliver();
      await pipeline.rollup();
    }
  }
  assert.ok(answers.length > 35, String(answers.length));
  if (!process.env.UPDATE_DOCS) return;
  // From the end, so that what comes before stays where it is.
  writeFileSync(PAGE, answers.reduceRight((text, { block, text: now }) => text.slice(0, block.at) + now + text.slice(block.at + block.text.length), page));
});

/** The numbers of a week, by going through its visits. */
function counted(from: string, to: string, of: (visit: Visit) => boolean = () => true) {
  const visits = VISITS.filter((visit) => visit.day >= from && visit.day <= to && of(visit));
  const purchases = visits.filter(({ steps }) => steps === STEPS.length).length;
  const revenue = Number(visits.reduce((sum, visit) => sum + visit.revenue, 0).toFixed(2));
  return { visits: visits.length, purchases, revenue, atStep: STEPS.map((_, i) => visits.filter(({ steps }) => steps > i).length) };
}

interface Shown { query: { from: string; to: string }; results: { time?: string; value?: string; step?: string; events?: number; metrics: Record<string, number>; comparison?: Record<string, number> }[] }

test('The numbers on the page are those of the visits that the shop had', () => {
  const examples = examplesOf(readFileSync(PAGE, 'utf8'));
  const answerTo = (request: string) => {
    const { answer } = examples.find(({ command }) => command.text.includes(request) && !command.text.includes('text/csv'))!;
    return JSON.parse(answer!.text) as Shown;
  };
  const only = (numbers: ReturnType<typeof counted>, names: ('visits' | 'purchases' | 'revenue')[]) => Object.fromEntries(names.map((name) => [name, numbers[name]]));
  const week = ['2026-11-13', '2026-11-19'] as const;

  const [totals] = answerTo('compare=previous_period').results;
  const { visits, purchases, revenue } = counted(...week);
  assert.deepEqual(totals!.metrics, { visits, purchases, revenue, conversion_rate: Number((purchases / visits).toFixed(4)) });
  const before = counted('2026-11-06', '2026-11-12');
  assert.deepEqual(totals!.comparison, { ...only(before, ['visits', 'purchases', 'revenue']), conversion_rate: Number((before.purchases / before.visits).toFixed(4)) });

  const days = answerTo('timeseries?range=7d');
  assert.equal(days.results.length, 7);
  for (const { time, metrics } of days.results) assert.deepEqual(metrics, only(counted(time!, time!), ['visits', 'revenue']), time);

  const sources = answerTo('dimension=source').results;
  assert.deepEqual(new Set(sources.map(({ value }) => value)), new Set(VISITS.map(({ source }) => source)));
  for (const { value, metrics } of sources) assert.deepEqual(metrics, only(counted(...week, ({ source }) => source === value), ['visits', 'purchases', 'revenue']), value);
  assert.deepEqual(answerTo('/funnel').results.map(({ step, events }) => [step, events]), STEPS.map((step, i) => [step, counted(...week).atStep[i]]));

  const report = examples.at(-1)!.answer!.text;
  for (const product of Object.keys(PRICES)) {
    assert.match(report, new RegExp(`^${product} +${counted(...week, (visit) => visit.product === product).revenue}$`, 'm'));
  }
});

const codes = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ');
const { apiThrottle } = resolved({});

/** What the page says that stands in the code. */
const FACTS: [what: string, text: string][] = [
  ['metrics', codes(SITE_METRICS)], ['dimensions', codes(DIMENSION_NAMES)],
  ['totals', `adds up at most ${MAX_DAYS.stats} days`],
  ['hours', `\`hour\` (at most ${MAX_DAYS.hour} days)`], ['days', `\`day\` (at most ${MAX_DAYS.day} days`], ['months', `\`month\` (at most ${MAX_MONTHS} months`],
  ['breakdown', `The range is at most ${MAX_DAYS.breakdown} days, \`limit\` at most ${MAX_LIMIT} (${DEFAULT_LIMIT} where nothing is said)`],
  ['filter', `for at most ${MAX_DAYS.breakdown} days, by day or month`], ['zones', `for at most ${MAX_DAYS.otherZone} days`], ['smoothing', `at most ${MAX_SMOOTH}`], ['funnel', `a range of at most ${MAX_DAYS.stats} days`],
  ['server door', `at most ${LIMITS.api.events} events and ${LIMITS.api.bytes / 2 ** 20} MB`], ['browser door', `at most ${LIMITS.beacon.bytes / 1024} KB and ${LIMITS.beacon.events} events`],
  ['pace', `**A read key may ask ${DEFAULT_RATE_LIMIT.per_second} times a second**, and ${DEFAULT_RATE_LIMIT.burst} times at once`],
  ['limits', `\`per_second\` up to ${MOST_PER_SECOND}, \`burst\` up to ${MOST_BURST}`], ['throttle', `${apiThrottle.perSecond} requests a second, ${apiThrottle.burst} at once`],
];

test('What the page says of names and limits is what the code has', () => {
  const page = readFileSync(PAGE, 'utf8');
  for (const [what, text] of FACTS) assert.ok(page.includes(text), `${what}: ${text}`);
  for (const name of [...Object.keys(RANGES), ...new Set(ROUTES.flatMap(({ parameters }): readonly string[] => parameters)), ...Object.keys(EVENT_FIELDS)]) {
    assert.ok(new RegExp(`\`[^\`]*\\b${name}\\b[^\`]*\``).test(page), name);
  }
});

test('Each route has an example on the page', () => {
  const commands = examplesOf(readFileSync(PAGE, 'utf8')).flatMap(({ command }) => command.text.split(/^(?=curl|etag)/m));
  for (const [method, path] of [...ROUTES.map((route) => [route.method, route.path] as const), ['GET', '/p.gif'], ['POST', '/e']] as const) {
    const address = new RegExp(`\\$FOOTFALL${path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/"?]+')}["?]`);
    const isOf = (command: string) => (/-X (\w+)/.exec(command)?.[1] ?? (/ -d /.test(command) ? 'POST' : 'GET')) === method;
    assert.ok(commands.some((command) => address.test(command) && isOf(command)), `${method} ${path}`);
  }
});
