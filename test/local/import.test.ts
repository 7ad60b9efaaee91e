import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { checkEvent, Refused } from '../../core/event.ts';
import { importLog, ImportError, type ImportOptions, type ImportSummary } from '../../local/import-log.ts';
import { summaryLines } from '../../local/import.ts';

const FIXTURE = join(import.meta.dirname, '../fixtures/access.log');
const COMMAND = join(import.meta.dirname, '../../local/import.ts');
const WRITE_KEY = `ff_write_${'w'.repeat(43)}`;
const ADMIN_KEY = `ff_admin_${'a'.repeat(43)}`;
const MADE_KEY = `ff_write_${'m'.repeat(43)}`;

interface Asked { method: string; path: string; key: string; body: string }
interface SentEvent { id: string; name: string; url: string }
interface Reply { status: number; json?: unknown; headers?: Record<string, string>; hangUp?: true }

const eventsOf = ({ body }: Asked) => (JSON.parse(body) as { events: SentEvent[] }).events;
const take = (asked: Asked): Reply => ({ status: 202, json: { accepted: eventsOf(asked).length, rejected: [] } });

/** A server that plays the server door: it answers what the test says and remembers what it was asked. */
async function door(t: TestContext, reply: (asked: Asked, nth: number) => Reply): Promise<{ url: string; asked: Asked[]; most: () => number }> {
  const asked: Asked[] = [];
  let open = 0;
  let most = 0;
  const server = createServer((request: IncomingMessage, response) => {
    most = Math.max(most, ++open);
    void text(request).then((body) => {
      const { method = '', url: path = '', headers } = request;
      const one = { method, path, key: headers.authorization?.replace('Bearer ', '') ?? '', body };
      const { status, json, headers: out, hangUp } = reply(one, asked.push(one) - 1);
      open -= 1;
      if (hangUp) request.socket.destroy();
      else response.writeHead(status, out).end(json === undefined ? undefined : JSON.stringify(json));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.close().closeAllConnections(); });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, most: () => most };
}

const line = (n: number, path = `/p/${n}`) => `192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET ${path} HTTP/1.1" 200 5 "-" "Mozilla/5.0"`;
const logOf = (count: number) => Array.from({ length: count }, (_, n) => line(n)).join('\n') + '\n';

/** Runs an import of the text with short waits; what it reports and whether it failed are part of the outcome. */
async function run(url: string, input: Readable | string | Buffer, options: Partial<ImportOptions> = {}): Promise<{ summary?: ImportSummary; error?: Error; reports: string[] }> {
  const reports: string[] = [];
  const report = (one: string) => { reports.push(one); };
  const stream = input instanceof Readable ? input : Readable.from([Buffer.from(input)]);
  try {
    const summary = await importLog({ input: stream, site: 'shop', key: WRITE_KEY, url, baseUrl: 'https://shop.example', report, retryMs: 1, pause: async () => undefined, ...options });
    return { summary, reports };
  } catch (error) {
    return { error: error as Error, reports };
  }
}

test('Every page view of a real log is sent once, as an event the server door accepts, in batches of 500', async (t) => {
  const { url, asked, most } = await door(t, take);
  const { summary } = await run(url, createReadStream(FIXTURE));

  // The test's own count, with splitting instead of parsing.
  const lines = (await readFile(FIXTURE, 'utf8')).split('\n').filter((one) => one !== '');
  const wanted = lines.filter((one) => {
    const [, request = '', numbers = ''] = one.split('"');
    const [method, target = ''] = request.split(' ');
    // The extension is that of the file; a folder, `/wrap-1.0/`, has none.
    const [file = ''] = target.replace(/[?#].*/, '').split('/').slice(-1);
    const extension = /[^.](\.[^.]*)$/.exec(file)?.[1] ?? '';
    return method === 'GET' && ['200', '304'].includes(numbers.trim().split(' ')[0] ?? '') && ['', '.html', '.htm', '.php'].includes(extension);
  });

  const sent = asked.flatMap(eventsOf);
  assert.equal(sent.length, wanted.length);
  assert.equal(new Set(sent.map(({ id }) => id)).size, sent.length);
  for (const event of sent) assert.ok(!(checkEvent(event, 'api', Date.UTC(2026, 0, 1)) instanceof Refused), JSON.stringify(event));
  assert.deepEqual(asked.map((one) => eventsOf(one).length).sort((a, b) => b - a), [500, 500, 500, 500, 500, 500, 500, wanted.length - 3500]);
  assert.ok(asked.every(({ method, path, key }) => method === 'POST' && path === '/v1/events' && key === WRITE_KEY));
  assert.ok(most() <= 4, `${most()} requests at once`);

  const others = [...summary!.notPageViews.values()].reduce((sum, n) => sum + n, 0);
  assert.deepEqual([summary!.lines, summary!.malformed, summary!.accepted], [lines.length, 1, wanted.length]);
  assert.equal(summary!.malformed + others + summary!.sent, lines.length);
});

test('Sending the same log again sends the same ids', async (t) => {
  const { url, asked } = await door(t, take);
  const log = `${line(1)}\n${line(1)}\r\n${line(2)}`;
  await run(url, log);
  await run(url, log.replace('\r', ''));
  const [first, second] = asked.map((one) => eventsOf(one).map(({ id }) => id));
  assert.deepEqual(second, first);
  assert.equal(new Set(first).size, 3);
});

test('A batch stays below 1 MB', async (t) => {
  const { url, asked } = await door(t, take);
  const long = (n: number) => line(n, `/${n}/${'é'.repeat(1500)}`).replace('"-"', `"https://a.example/${'é'.repeat(1500)}"`);
  const { summary } = await run(url, Array.from({ length: 500 }, (_, n) => long(n)).join('\n'));
  assert.equal(summary?.accepted, 500);
  assert.ok(asked.length > 1);
  for (const { body } of asked) assert.ok(Buffer.byteLength(body) < 1_000_000);
});

for (const [status, header, pause] of [[429, '7', 7000], [503, '2', 2000], [503, undefined, undefined], [503, '86400', 120_000]] as const) {
  test(`Events answered ${status} with Retry-After ${header ?? 'absent'} are sent again${pause === undefined ? '' : `, ${pause} ms later at the earliest`}`, async (t) => {
    const pauses: number[] = [];
    const { url, asked } = await door(t, (one, nth) => (nth < 2 ? { status, ...(header !== undefined && { headers: { 'retry-after': header } }) } : take(one)));
    const { summary } = await run(url, logOf(3), { pause: async (ms) => pauses.push(ms) });
    assert.equal(summary?.accepted, 3);
    assert.equal(asked.length, 3);
    assert.equal(new Set(asked.map(({ body }) => body)).size, 1);
    assert.deepEqual(pauses, pause === undefined ? [] : [pause, pause]);
  });
}

test('Events whose connection broke are sent again', async (t) => {
  const { url } = await door(t, (one, nth) => (nth === 0 ? { status: 0, hangUp: true } : take(one)));
  assert.equal((await run(url, logOf(3))).summary?.accepted, 3);
});

test('A server that stays away ends the import after a bounded number of tries, saying that it may be run again', async (t) => {
  const { url, asked } = await door(t, () => ({ status: 503 }));
  const { error, reports } = await run(url, logOf(3), { retryMs: 0.01 });
  assert.ok(error instanceof ImportError);
  assert.equal(error.message, `${url} answers 503, 11 times in a row: run the same command again, what is already in is not counted twice`);
  assert.equal(asked.length, 11);
  assert.deepEqual(reports, [`${url} answers 503: trying again`]);
});

test('A refusal ends the import with what the problem details say, without sending it again or telling a key', async (t) => {
  const { url, asked } = await door(t, ({ key }) => ({ status: 401, json: { title: 'No valid key', detail: `Bearer ${key}\u001b[2J is unknown` } }));
  const { error, reports } = await run(url, logOf(3));
  assert.ok(error instanceof ImportError);
  assert.equal(error.message, `${url} refused the events with status 401: No valid key, Bearer ff_write_… [2J is unknown`);
  assert.equal(asked.length, 1);
  assert.deepEqual(reports, []);
});

test('A refusal stops the reading of an input that goes on', async (t) => {
  const { url } = await door(t, () => ({ status: 403 }));
  const endless = new Readable({ read: () => undefined });
  endless.push(logOf(1000));
  const { error } = await run(url, endless);
  assert.equal(error?.message, `${url} refused the events with status 403`);
  assert.ok(endless.destroyed);
});

test('Something that answers but is no Footfall server is said to be none', async (t) => {
  const { url } = await door(t, () => ({ status: 202, json: 'welcome' }));
  assert.match((await run(url, logOf(1))).error?.message ?? '', /without saying how many: is this a Footfall server\?$/);
});

for (const [name, chunks] of [
  ['plain', [logOf(700)]],
  ['plain, byte by byte', [...logOf(3)]],
  ['gzip', [gzipSync(logOf(700))]],
  ['gzip of several members', [gzipSync(logOf(400)), gzipSync(logOf(300))]],
  ['gzip, byte by byte', [...gzipSync(logOf(3))].map((byte) => Buffer.of(byte))],
] as const) {
  test(`An input that is ${name} is read to its end`, async (t) => {
    const { url } = await door(t, take);
    const { summary } = await run(url, Readable.from(chunks.map((chunk) => Buffer.from(chunk))));
    assert.equal(summary?.accepted, chunks.length > 2 ? 3 : 700);
  });
}

test('A gzip file that ends in the middle is an error', async (t) => {
  const { url } = await door(t, take);
  const zipped = gzipSync(logOf(700));
  assert.equal((await run(url, zipped.subarray(0, zipped.length - 20))).error?.message, 'the log cannot be unzipped: unexpected end of file');
});

test('Malformed lines are counted, and the first five shown with their line number', async (t) => {
  const { url } = await door(t, take);
  const { summary, reports } = await run(url, ['', line(1), 'x', '', line(2), ...Array<string>(8).fill('y'), 'z'.repeat(3_000_000)].join('\n'));
  assert.deepEqual([summary?.lines, summary?.malformed, summary?.accepted], [12, 10, 2]);
  assert.deepEqual(reports.map((one) => one.slice(0, 27)), ['Line 3 is malformed: "x" ho', ...[6, 7, 8, 9].map((n) => `Line ${n} is malformed: "y" ho`)]);
});

test('A line too long to be held is malformed, and the next one is read', async (t) => {
  const { url } = await door(t, take);
  const { summary, reports } = await run(url, `${'z'.repeat(3_000_000)}\n${line(1)}`);
  assert.equal(summary?.accepted, 1);
  assert.deepEqual(reports, ['Line 1 is malformed: it is longer than 2,097,152 bytes']);
});

test('Rejected events are counted by reason, and the first five shown with their line number', async (t) => {
  const { url } = await door(t, () => ({
    status: 202,
    json: { accepted: 3, rejected: [1, 2, 3, 4, 5, 6].map((index) => ({ index, reason: index === 6 ? 'bad_url' : 'bad_time', message: `time ${index}` })) },
  }));
  const { summary, reports } = await run(url, `malformed\n${logOf(9)}`);
  assert.deepEqual([...summary!.rejected], [['bad_time', 5], ['bad_url', 1]]);
  assert.deepEqual(reports.slice(1), [1, 2, 3, 4, 5].map((index) => `Line ${index + 2} was rejected (bad_time): time ${index}`));
});

for (const [name, input, says] of [
  ['empty', '', 'it is empty'],
  ['of blank lines', '\n\n', 'it is empty'],
  ['no log', 'a\nb\n', 'all of its 2 lines are malformed'],
] as const) {
  test(`A file that is ${name} is an error, and leaves no site and no key behind`, async (t) => {
    const { url, asked } = await door(t, take);
    const { error } = await run(url, input, { key: ADMIN_KEY });
    assert.equal(error?.message, `the log holds no line in the common or combined log format: ${says}`);
    assert.deepEqual(asked, []);
  });
}

for (const [option, value, says] of [
  ['site', 'My Shop', /^--site "My Shop": accepts a-z, 0-9 and -/],
  ['key', `ff_read_${'r'.repeat(43)}`, /is not a write key \(ff_write_…\) or admin key/],
  ['url', 'localhost:8787', /^--url "localhost:8787": accepts an absolute http\(s\) URL/],
  ['baseUrl', 'shop.example', /^--base-url "shop.example": accepts an absolute http\(s\) URL/],
] as const) {
  test(`The ${option} ${JSON.stringify(value.slice(0, 20))} is refused before anything is sent`, async (t) => {
    const { url, asked } = await door(t, take);
    const { error } = await run(url, logOf(1), { [option]: value });
    assert.match(error?.message ?? '', says);
    assert.doesNotMatch(error?.message ?? '', /rrr/);
    assert.deepEqual(asked, []);
  });
}

test('Without a base URL the paths are taken to be of <site>.example, and this is said', async (t) => {
  const { url, asked } = await door(t, take);
  const reports: string[] = [];
  await importLog({ input: Readable.from([Buffer.from(line(1))]), site: 'shop', key: WRITE_KEY, url, report: (one) => { reports.push(one); } });
  assert.equal(eventsOf(asked[0]!)[0]?.url, 'https://shop.example/p/1');
  assert.deepEqual(reports, ["No --base-url given: the log's paths are taken to be of https://shop.example"]);
});

/** The admin routes of a server that has the site or not. */
function adminDoor(hasSite: boolean, events: (asked: Asked) => Reply): (asked: Asked) => Reply {
  return (asked) => {
    const route = `${asked.method} ${asked.path}`;
    if (route === 'GET /v1/sites/shop') return hasSite ? { status: 200, json: { id: 'shop', timezone: 'Pacific/Auckland' } } : { status: 404 };
    if (route === 'PUT /v1/sites/shop') return { status: 200, json: {} };
    if (route === 'POST /v1/sites/shop/keys') return { status: 201, json: { id: 'k1', key: MADE_KEY } };
    if (route === 'DELETE /v1/sites/shop/keys/k1') return { status: 204 };
    return route === 'POST /v1/events' ? events(asked) : { status: 404 };
  };
}

const routesOf = (asked: Asked[]) => asked.map(({ method, path, key }) => `${method} ${path} ${key.slice(0, 10)}`);

test('With an admin key a missing site is created, and the events go in with a write key that is revoked at the end', async (t) => {
  const { url, asked } = await door(t, adminDoor(false, take));
  const { summary, reports } = await run(url, logOf(2), { key: ADMIN_KEY });
  assert.equal(summary?.accepted, 2);
  assert.deepEqual(routesOf(asked), [
    'GET /v1/sites/shop ff_admin_a', 'PUT /v1/sites/shop ff_admin_a', 'POST /v1/sites/shop/keys ff_admin_a',
    'POST /v1/events ff_write_m', 'DELETE /v1/sites/shop/keys/k1 ff_admin_a',
  ]);
  assert.deepEqual([asked[1]!.body, asked[2]!.body].map((body) => JSON.parse(body) as unknown), [
    { name: 'shop', timezone: 'UTC', currency: 'USD' }, { scope: 'write', label: 'import' },
  ]);
  assert.deepEqual(reports, ['Created the site shop, in UTC and USD']);
});

test('A site that exists is left as it is, and its time zone gives the dates of the summary', async (t) => {
  const { url, asked } = await door(t, adminDoor(true, take));
  const { summary } = await run(url, line(1).replace('10:05', '20:05'), { key: ADMIN_KEY });
  assert.ok(asked.every(({ method }) => method !== 'PUT'));
  assert.match(summaryLines(summary!, 1).at(-1)!, /from=2015-05-18&to=2015-05-18"$/);
});

test('The write key made for an import is revoked after a failure too', async (t) => {
  const { url, asked } = await door(t, adminDoor(true, () => ({ status: 413, json: { title: 'Content too large' } })));
  const { error } = await run(url, logOf(1200), { key: ADMIN_KEY });
  assert.equal(error?.message, `${url} refused the events with status 413: Content too large`);
  assert.equal(routesOf(asked).at(-1), 'DELETE /v1/sites/shop/keys/k1 ff_admin_a');
});

test('The write key made for an import is revoked when the import is interrupted', async (t) => {
  const interruption = new AbortController();
  const { url, asked } = await door(t, adminDoor(true, (one) => {
    interruption.abort();
    return take(one);
  }));
  const endless = new Readable({ read: () => undefined });
  endless.push(logOf(600));
  const { error } = await run(url, endless, { key: ADMIN_KEY, signal: interruption.signal });
  assert.match(error?.message ?? '', /^interrupted: run the same command again/);
  assert.equal(routesOf(asked).at(-1), 'DELETE /v1/sites/shop/keys/k1 ff_admin_a');
});

test('A write key that cannot be revoked is reported by its id', async (t) => {
  const inner = adminDoor(true, take);
  const { url } = await door(t, (asked) => (asked.method === 'DELETE' ? { status: 500, json: { title: 'Internal error' } } : inner(asked)));
  const { summary, reports } = await run(url, logOf(1), { key: ADMIN_KEY });
  assert.equal(summary?.accepted, 1);
  assert.match(reports[0] ?? '', /^The write key of this import is still valid: .*Internal error\. Revoke it with DELETE .*\/v1\/sites\/shop\/keys\/k1$/);
});

test('A key is made once: a connection that breaks meanwhile is not tried again, a busy server is', async (t) => {
  for (const [first, tries] of [[{ status: 0, hangUp: true }, 1], [{ status: 503 }, 2]] as const) {
    let made = 0;
    const inner = adminDoor(true, take);
    const { url } = await door(t, (asked) => (asked.path.endsWith('/keys') && made++ === 0 ? first : inner(asked)));
    const { error } = await run(url, logOf(1), { key: ADMIN_KEY });
    assert.equal(made, tries);
    assert.equal(error === undefined, tries === 2);
  }
});

test('The summary tells the counts, the most frequent reasons, and the command that shows the numbers', () => {
  const summary: ImportSummary = {
    site: 'shop', url: 'http://localhost:8787', timeZone: 'UTC', bytes: 1, lines: 4000, malformed: 2, sent: 586, accepted: 580, rejected: new Map([['bad_time', 6]]),
    notPageViews: new Map([['method POST', 5], ['other file', 3000], ['status 404', 213], ...Array.from({ length: 7 }, (_, n): [string, number] => [`status ${500 + n}`, 1])]),
    earliest: Date.UTC(2015, 4, 17, 10), latest: Date.UTC(2015, 4, 20, 21),
  };
  assert.deepEqual(summaryLines(summary, 1.25), [
    'lines: 4,000', 'page views sent: 586', 'accepted: 580', 'rejected: 6 (bad_time 6)',
    'not a page view: 3,225 (other file 3,000 · status 404 213 · method POST 5 · status 500 1 · status 501 1 · status 502 1 · status 503 1 · status 504 1 · 2 other reasons 2)',
    'malformed: 2', 'seconds: 1.3',
    'The numbers, in about a minute, with a read or admin key in FOOTFALL_KEY:',
    '  curl -H "Authorization: Bearer $FOOTFALL_KEY" "http://localhost:8787/v1/sites/shop/stats?from=2015-05-17&to=2015-05-20"',
  ]);
});

/** Runs the command itself, as `npm run import -- …` does. */
async function command(args: string[], environment: Record<string, string>, input = ''): Promise<{ code: number | null; out: string; err: string }> {
  const env = { ...process.env, FOOTFALL_KEY: '', FOOTFALL_ADMIN_KEY: '', ...environment };
  const child = spawn(process.execPath, ['--import', 'tsx', COMMAND, ...args], { env });
  child.stdin.on('error', () => undefined); // It may end before it reads.
  child.stdin.end(input);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit') as Promise<[number | null]>]);
  return { code, out, err };
}

test('The command reads the standard input, takes the key from the environment, and ends with 0 though lines are malformed', async (t) => {
  const { url, asked } = await door(t, take);
  const { code, out, err } = await command(['-', '--site', 'shop', '--url', url], { FOOTFALL_KEY: WRITE_KEY, FOOTFALL_ADMIN_KEY: ADMIN_KEY }, `${logOf(3)}malformed\n`);
  assert.equal(code, 0, err);
  assert.equal(asked[0]?.key, WRITE_KEY);
  assert.match(out, /^lines: 4\npage views sent: 3\naccepted: 3\n/);
  assert.match(err, /Line 4 is malformed/);
  assert.doesNotMatch(out + err, /www/);
});

test('The command reads a gzip file and passes its options on', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'footfall-import-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'access.log.gz'), gzipSync(logOf(3)));
  const { url, asked } = await door(t, adminDoor(true, take));
  const args = [join(folder, 'access.log.gz'), '--site', 'shop', '--url', `${url}/`, '--base-url', 'https://www.shop.example/'];
  const { code, out, err } = await command(args, { FOOTFALL_ADMIN_KEY: ADMIN_KEY });
  assert.equal(code, 0, err);
  assert.equal(eventsOf(asked.find(({ path }) => path === '/v1/events')!)[0]?.url, 'https://www.shop.example/p/0');
  assert.doesNotMatch(out + err, /aaa|mmm/);
});

test('The command ends with 1 and a sentence where the file or the key is missing, the log is empty or the key refused', async (t) => {
  const { url } = await door(t, () => ({ status: 401, json: { title: 'No valid key' } }));
  const cases: [args: string[], environment: Record<string, string>, input: string, says: RegExp][] = [
    [['no-such.log'], { FOOTFALL_KEY: WRITE_KEY }, '', /^import: "no-such\.log" cannot be read: ENOENT/m],
    [[import.meta.dirname], { FOOTFALL_KEY: WRITE_KEY }, '', /is a folder: accepts a log file/],
    [['-'], {}, '', /^import: no key: pass --key, or set FOOTFALL_KEY or FOOTFALL_ADMIN_KEY$/m],
    [['-'], { FOOTFALL_KEY: WRITE_KEY }, '', /it is empty$/m],
    [['-', '--key', WRITE_KEY], {}, logOf(1), /refused the events with status 401: No valid key$/m],
  ];
  await Promise.all(cases.map(async ([args, environment, input, says]) => {
    const { code, err, out } = await command([...args, '--site', 'shop', '--url', url], environment, input);
    assert.equal(code, 1);
    assert.match(err, says);
    assert.doesNotMatch(out + err, /www|\n {4}at /);
  }));
});
