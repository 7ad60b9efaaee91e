import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import type { ShownJob } from '../../core/reprocess.ts';
import { estimateLines, progressLine, readRange, summaryLines, watchReprocess, ReprocessError, type WatchOptions } from '../../local/reprocess.ts';
import { ROOT, runToEnd, type Ended } from '../process.ts';

const COMMAND = 'local/reprocess.ts';
const KEY = `ff_admin_${'k'.repeat(43)}`;
const RANGE = ['--from', '2026-07-01T09', '--to', '2026-07-02'];

interface Asked { method: string; path: string; key: string; body: string }
interface Reply { status: number; json?: unknown; hangUp?: true }

/** A server that answers what the test says and remembers what it was asked. */
async function door(t: TestContext, reply: (asked: Asked, nth: number) => Reply): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    void text(request).then((body) => {
      const { method = '', url: path = '', headers } = request;
      const one = { method, path, key: headers.authorization?.replace('Bearer ', '') ?? '', body };
      const { status, json, hangUp } = reply(one, asked.push(one) - 1);
      if (hangUp) request.socket.destroy();
      else response.writeHead(status).end(json === undefined ? undefined : JSON.stringify(json));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.close().closeAllConnections(); });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

function jobOf(more: Partial<ShownJob> = {}): ShownJob {
  return {
    id: 'job-2', from: '2026-07-01T09', to: '2026-07-02T23', replay: false, state: 'rolling', created_at: '2026-08-01T10:00:00.000Z', finished_at: null,
    hours: 39, hours_done: 0, hours_failed: [], days_failed: [], records_replayed: 0, records_skipped: 0, files_failed: [], ...more,
  };
}

const DONE = jobOf({ state: 'done', finished_at: '2026-08-01T10:01:18.000Z', hours_done: 39 });
const showing = (...jobs: ShownJob[]): Reply => ({ status: 200, json: { hours: [], parked: [], jobs } });

/** A server that takes the job and shows it as one state after the other, staying at the last. */
function serving(...states: ShownJob[]): (asked: Asked) => Reply {
  let looks = 0;
  return ({ method }) => (method === 'POST' ? { status: 202, json: jobOf() } : showing(jobOf({ id: 'job-3' }), states[Math.min(looks++, states.length - 1)]!, jobOf({ id: 'job-1', state: 'done' })));
}

/** Watches with short waits; what was reported, shown and thrown. */
async function watch(url: string, more: Partial<WatchOptions> = {}): Promise<{ job?: ShownJob; error?: Error; reports: string[]; lines: string[] }> {
  const [reports, lines]: [string[], string[]] = [[], []];
  const report = (line: string) => { reports.push(line); };
  const progress = (job: ShownJob, before: number) => { lines.push(progressLine(job, before)); };
  try {
    const job = await watchReprocess({ from: '2026-07-01T09', to: '2026-07-02T23', replay: false, url, key: KEY, report, progress, pollMs: 1, retryMs: 0.01, ...more });
    return { job, reports, lines };
  } catch (error) {
    return { error: error as Error, reports, lines };
  }
}

/** Runs the command itself, as `npm run reprocess -- …` does. */
function command(t: TestContext, args: string[], environment: Record<string, string> = { FOOTFALL_KEY: KEY }): Promise<Ended> {
  return runToEnd(t, COMMAND, args, { ...process.env, FOOTFALL_KEY: '', FOOTFALL_ADMIN_KEY: '', ...environment });
}

const NOW = Date.parse('2026-08-01T10:30:00Z');

for (const [from, to, range] of [
  ['2026-07-01T09', '2026-07-01T09', ['2026-07-01T09', '2026-07-01T09']],
  ['2026-07-01', '2026-07-31', ['2026-07-01T00', '2026-07-31T23']],
  ['2026-07-31T22', '2026-08-01', ['2026-07-31T22', '2026-08-01T10']],
  ['2026-08-01', '2026-08-01T10', ['2026-08-01T00', '2026-08-01T10']],
  ['2010-01-01', '2010-01-01', ['2010-01-01T00', '2010-01-01T23']],
] as const) {
  test(`From ${from} to ${to} is ${range.join(' to ')} at half past ten on 2026-08-01`, () => {
    assert.deepEqual(Object.values(readRange(from, to, NOW)), range);
  });
}

const ACCEPTS = 'accepts an hour of UTC, YYYY-MM-DDTHH, or a date, YYYY-MM-DD, from 2010 on and not in the future';

for (const [from, to, message] of [
  ['yesterday', '2026-07-01', `--from "yesterday": ${ACCEPTS}`],
  ['2026-07-01', '2026-7-2', `--to "2026-7-2": ${ACCEPTS}`],
  ['2026-02-29', '2026-07-01', `--from "2026-02-29": ${ACCEPTS}`],
  ['2026-07-01T24', '2026-07-02', `--from "2026-07-01T24": ${ACCEPTS}`],
  ['2026-07-01T09:00', '2026-07-02', `--from "2026-07-01T09:00": ${ACCEPTS}`],
  ['2009-12-31', '2026-07-01', `--from "2009-12-31": ${ACCEPTS}`],
  ['2026-07-01', '2026-08-01T11', `--to "2026-08-01T11": ${ACCEPTS}`],
  ['2026-07-01', '2026-08-02', `--to "2026-08-02": ${ACCEPTS}`],
  ['', '2026-07-01', `--from "": ${ACCEPTS}`],
  ['2026-07-02', '2026-07-01', '--from "2026-07-02": accepts a time that is not after --to "2026-07-01"'],
] as const) {
  test(`From ${JSON.stringify(from)} to ${JSON.stringify(to)} is refused in one sentence`, () => {
    assert.throws(() => readRange(from, to, NOW), new ReprocessError(message));
  });
}

test('A dry run tells hours, bytes in units, and the cost; raw bytes only where they would be read', () => {
  const estimate = { hours: 1440, bytes: 12_345_678, raw_bytes: 999, cost_usd: 0.1 };
  assert.deepEqual(estimateLines(estimate, false), ['hours: 1,440', 'bytes to read: 12.3 MB', 'cost: 0.10 USD', 'Nothing was done: this was a dry run.']);
  assert.equal(estimateLines(estimate, true)[2], 'raw bytes to read: 999 bytes');
  const texts = [0, 1000, 1_500_000_000, 12e12, 34e15].map((bytes) => estimateLines({ ...estimate, bytes }, false)[1]);
  assert.deepEqual(texts.map((line) => line?.replace('bytes to read: ', '')), ['0 bytes', '1.0 kB', '1.5 GB', '12.0 TB', '34000.0 TB']);
});

test('The summary tells what was done and how fast, and of hours that failed their names and where to look', () => {
  assert.deepEqual(summaryLines(DONE, 'http://localhost:8787'), ['hours done: 39', 'hours failed: 0', 'days failed: 0', 'seconds: 78.0', 'hours per minute: 30']);
  const failed = { ...DONE, replay: true, hours_done: 37, hours_failed: ['2026-07-02T01', '2026-07-01T09'], days_failed: ['2026-07-01'], records_replayed: 12_000, records_skipped: 2, files_failed: ['raw/a.gz'] };
  assert.deepEqual(summaryLines(failed, 'http://localhost:8787'), [
    'records replayed: 12,000', 'records that are no envelopes: 2', 'files of records that cannot be read: 1 (raw/a.gz)', 'hours done: 37',
    'hours failed: 2 (2026-07-01T09, 2026-07-02T01)', 'days failed: 1 (2026-07-01)', 'seconds: 78.0', 'hours per minute: 28',
    'Why they failed is under "parked", with an admin key in FOOTFALL_KEY:',
    '  curl -H "Authorization: Bearer $FOOTFALL_KEY" "http://localhost:8787/v1/rollups"',
  ]);
});

test('Of very many hours that failed fifty are named', () => {
  const hours_failed = Array.from({ length: 60 }, (_, n) => `2026-07-0${1 + Math.floor(n / 24)}T${String(n % 24).padStart(2, '0')}`);
  const line = summaryLines({ ...DONE, hours_failed }, 'http://localhost:8787')[1]!;
  assert.match(line, /^hours failed: 60 \(2026-07-01T00, .*, 2026-07-03T01 and 10 more\)$/);
});

test('The job is begun once and found again by its id until it is done', async (t) => {
  const { url, asked } = await door(t, serving(jobOf({ hours_done: 12 }), jobOf({ hours_done: 30, hours_failed: ['2026-07-01T10'] }), DONE));
  const { job, lines } = await watch(url);
  assert.deepEqual(job, DONE);
  assert.deepEqual(lines, ['rolling: 0 of 39 hours done', 'rolling: 12 of 39 hours done', 'rolling: 30 of 39 hours done, 1 failed', 'done: 39 of 39 hours done']);
  assert.deepEqual(asked.map(({ method, path, key }) => `${method} ${path} ${key}`), [`POST /v1/rollups ${KEY}`, ...Array<string>(3).fill(`GET /v1/rollups ${KEY}`)]);
  assert.deepEqual(JSON.parse(asked[0]!.body), { from: '2026-07-01T09', to: '2026-07-02T23', replay: false });
});

test('A replay shows its records, and a job behind others for how many it waits', async (t) => {
  const replaying = jobOf({ replay: true, state: 'replaying', records_replayed: 20_000 });
  let looks = 0;
  const { url } = await door(t, ({ method }) => {
    if (method === 'POST') return { status: 202, json: replaying };
    return looks++ === 0 ? showing(replaying, jobOf({ id: 'job-1' }), jobOf({ id: 'job-0' })) : showing(jobOf({ id: 'job-3' }), { ...DONE, replay: true });
  });
  const { lines } = await watch(url, { replay: true });
  assert.deepEqual(lines, [
    'replaying: 0 of 39 hours done, 20,000 records replayed',
    'waiting for 2 other jobs: 0 of 39 hours done, 20,000 records replayed',
    'done: 39 of 39 hours done, 0 records replayed',
  ]);
});

test('A server that goes away and comes back is waited for', async (t) => {
  const inner = serving(jobOf({ hours_done: 12 }), DONE);
  const { url, asked } = await door(t, (one, nth) => (nth >= 2 && nth < 6 ? { status: 0, hangUp: true } : inner(one)));
  const { job, reports } = await watch(url);
  assert.equal(job?.state, 'done');
  assert.equal(asked.length, 7);
  assert.deepEqual(reports.map((line) => line.replace(/\(.*\)/, '')), [`${url} cannot be reached : trying again`]);
});

const AGAIN = 'npm run reprocess -- --from 2026-07-01T09 --to 2026-07-02T23 --url';

test('A server that stays away ends the watching, saying that the job goes on and how to watch it again', async (t) => {
  const { url, asked } = await door(t, ({ method }) => (method === 'POST' ? { status: 202, json: jobOf() } : { status: 503 }));
  const { error } = await watch(url);
  assert.ok(error instanceof ReprocessError);
  assert.equal(error.message, `${url} answers 503, 11 times in a row: the job goes on by itself when the server is back; to watch it again: ${AGAIN} ${url}`);
  assert.equal(asked.length, 12);
});

test('A server that was never there is told as that, and no job is spoken of', async (t) => {
  const { url } = await door(t, () => ({ status: 0, hangUp: true }));
  const { error } = await watch(url);
  assert.match(error?.message ?? '', /^http:\S+ cannot be reached \(.*\), 11 times in a row$/);
});

test('A job that is not shown any more ends the watching with its id', async (t) => {
  const { url } = await door(t, serving(jobOf({ id: 'job-9' })));
  assert.equal((await watch(url)).error?.message, `${url} does not show the job job-2 among its newest jobs any more: see GET ${url}/v1/rollups`);
});

test('Something that answers but is no Footfall server is said to be none', async (t) => {
  const { url } = await door(t, ({ method }) => (method === 'POST' ? { status: 202, json: 'welcome' } : { status: 200 }));
  assert.match((await watch(url)).error?.message ?? '', /took the job without showing it: is this a Footfall server\?$/);
  const other = await door(t, ({ method }) => (method === 'POST' ? { status: 202, json: jobOf() } : { status: 200, json: {} }));
  assert.match((await watch(other.url)).error?.message ?? '', /showed no jobs: is this a Footfall server\?/);
});

test('The command ends with 0 and the summary when the job is done', async (t) => {
  const { url, asked } = await door(t, serving(DONE));
  const { code, stdout, stderr } = await command(t, [...RANGE, '--replay', '--url', `${url}/`], { FOOTFALL_KEY: KEY, FOOTFALL_ADMIN_KEY: `ff_admin_${'x'.repeat(43)}` });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, 'hours done: 39\nhours failed: 0\ndays failed: 0\nseconds: 78.0\nhours per minute: 30\n');
  assert.equal(stderr, 'Job job-2, created 2026-08-01T10:00:00.000Z; Ctrl-C ends the watching, not the job.\n');
  assert.deepEqual([asked[0]?.key, JSON.parse(asked[0]!.body)], [KEY, { from: '2026-07-01T09', to: '2026-07-02T23', replay: true }]);
});

test('The command ends with 1 where hours failed, and names them', async (t) => {
  const { url } = await door(t, serving({ ...DONE, hours_done: 38, hours_failed: ['2026-07-01T10'] }));
  const { code, stdout } = await command(t, [...RANGE, '--url', url]);
  assert.equal(code, 1);
  assert.match(stdout, /^hours done: 38\nhours failed: 1 \(2026-07-01T10\)\n[^]*\/v1\/rollups"\n$/);
});

test('The command with --dry-run asks what would be done, and nothing else', async (t) => {
  const { url, asked } = await door(t, () => ({ status: 200, json: { hours: 39, bytes: 1234, raw_bytes: 0, cost_usd: 0 } }));
  const { code, stdout, stderr } = await command(t, [...RANGE, '--dry-run', '--url', url], { FOOTFALL_ADMIN_KEY: KEY });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, 'from 2026-07-01T09 to 2026-07-02T23\nhours: 39\nbytes to read: 1.2 kB\ncost: 0.00 USD\nNothing was done: this was a dry run.\n');
  assert.deepEqual(asked.map(({ key, body }) => [key, JSON.parse(body) as unknown]), [[KEY, { from: '2026-07-01T09', to: '2026-07-02T23', replay: false, dry_run: true }]]);
});

test('Ctrl-C ends the watching and not the job, and the command says so', { skip: process.platform === 'win32' && 'Windows has no SIGINT to send' }, async (t) => {
  const inner = serving(jobOf({ hours_done: 1 }));
  const { url, asked } = await door(t, (one) => {
    if (one.method === 'GET') child.kill('SIGINT');
    return inner(one);
  });
  const child = spawn(process.execPath, ['--import', 'tsx', COMMAND, ...RANGE, '--url', url], { cwd: ROOT, env: { ...process.env, FOOTFALL_KEY: KEY } });
  t.after(() => child.kill('SIGKILL'));
  const [err, [code]] = await Promise.all([text(child.stderr), once(child, 'exit') as Promise<[number | null]>]);
  assert.equal(code, 1);
  assert.match(err, new RegExp(`^reprocess: interrupted: the job goes on; to watch it again: ${AGAIN} ${url}$`, 'm'));
  assert.deepEqual(asked.map(({ method }) => method), ['POST', 'GET']);
});

test('The command ends with 1 and a sentence where its arguments are wrong or its key is refused', async (t) => {
  const { url, asked } = await door(t, ({ key }) => ({ status: key.startsWith('ff_read') ? 403 : 401, json: { title: 'No', detail: `${key} may not` } }));
  const readKey = `ff_read_${'r'.repeat(43)}`;
  const cases: [args: string[], environment: Record<string, string>, says: RegExp][] = [
    [[...RANGE, '--key', readKey, '--url', url], {}, /^reprocess: http:\S+ refused to reprocess 2026-07-01T09 to 2026-07-02T23 with status 403: No, ff_read_… may not$/m],
    [[...RANGE, '--dry-run', '--url', url], { FOOTFALL_KEY: KEY }, /refused to reprocess .* with status 401: No, ff_admin_… may not$/m],
    [[...RANGE], {}, /^reprocess: no key: pass --key, or set FOOTFALL_KEY or FOOTFALL_ADMIN_KEY$/m],
    [[...RANGE, '--key', 'kkk secret'], {}, /^reprocess: the key \(.*\) is not a key: accepts ff_admin_ and 43 letters and digits$/m],
    [[...RANGE, '--url', 'localhost:8787'], { FOOTFALL_KEY: KEY }, /^reprocess: --url "localhost:8787": accepts an absolute http\(s\) URL/m],
    [['--from', 'may', '--to', '2026-07-01'], { FOOTFALL_KEY: KEY }, /^reprocess: --from "may": accepts an hour of UTC/m],
    [['--from', '2026-07-01'], { FOOTFALL_KEY: KEY }, /^error: required option '--to <time>' not specified$/m],
  ];
  // One after the other: each is a process of its own, and they would only be in each other's way.
  for (const [args, environment, says] of cases) {
    const { code, stdout, stderr } = await command(t, args, environment);
    assert.equal(code, 1);
    assert.match(stderr, says);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
    assert.doesNotMatch(stdout + stderr, /rrr|kkk/);
  }
  assert.equal(asked.length, 2);
});
