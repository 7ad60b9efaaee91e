// Trouble of the machine: each is told in one clear sentence, ends the process only where it cannot run, and loses nothing.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { ADMIN_KEY, BROWSER, api, beacon, countedUntilNow, eventsOf, makeSite, runToRefusal, startProcess, temporaryFolder, type Ended } from './process.ts';

const RANGE = 'range=today';

function assertOneSentence({ code, stderr, stdout }: Ended, sentence: RegExp): void {
  assert.match(stderr, sentence);
  assert.equal(stderr.trim().split('\n').length, 1, stderr);
  assert.equal(code, 1);
  assert.doesNotMatch(stdout, /ready/);
}

test('A port in use ends the start with its number and what to do', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => { taken.close(); });
  const { port } = taken.address() as AddressInfo;
  assertOneSentence(await runToRefusal(t, temporaryFolder(), { PORT: String(port) }), new RegExp(`^Port ${port} on 127\\.0\\.0\\.1 is in use`));
});

test('A second process on the same data folder is refused, and the first goes on', async (t) => {
  const data = temporaryFolder();
  const first = await startProcess(t, data);
  await makeSite(first.url, 'shop');
  assertOneSentence(await runToRefusal(t, data), new RegExp(`in use by another Footfall \\(process ${first.child.pid}\\)`));
  assert.equal((await beacon(first.url, 'shop', [{ name: 'page_view' }])).status, 204);
  await countedUntilNow(first.url);
  assert.equal(await eventsOf(first.url, 'shop', RANGE), 1);
});

test('A data folder that cannot be written ends the start with its name', async (t) => {
  const folder = temporaryFolder();
  const file = join(folder, 'file');
  writeFileSync(file, '');
  assertOneSentence(await runToRefusal(t, join(file, 'data')), /^The data folder .*file.data cannot be used: (ENOTDIR|ENOENT)/);
});

test('A read-only data folder ends the start with its name', { skip: process.platform === 'win32' && 'Windows has no read-only folders' }, async (t) => {
  // Root may write everywhere but where the kernel says no.
  const folder = process.getuid?.() === 0 ? '/sys/footfall' : join(temporaryFolder(), 'data');
  if (!folder.startsWith('/sys')) mkdirSync(folder, { mode: 0o555 });
  assertOneSentence(await runToRefusal(t, folder), /^The data folder .* cannot be used: /);
});

for (const [name, value, sentence] of [
  ['PORT', 'eighty', /^PORT is "eighty": it accepts a number from 0 to 65535/],
  ['FOOTFALL_ADMIN_KEY', 'secret', /^FOOTFALL_ADMIN_KEY is not an admin key: it accepts ff_admin_ and 43 letters and digits/],
] as const) {
  test(`A wrong ${name} ends the start with what it accepts`, async (t) => {
    const ended = await runToRefusal(t, temporaryFolder(), { [name]: value });
    assertOneSentence(ended, sentence);
    if (name === 'FOOTFALL_ADMIN_KEY') assert.doesNotMatch(ended.stderr, /secret/);
  });
}

test('On a full disk senders are told 503, the process lives on, and all that was acknowledged is counted', { skip: process.platform === 'win32' && 'a limit on file sizes stands in for the full disk' }, async (t) => {
  const data = temporaryFolder();
  // Blocks of 512 bytes or of 1 KB, by the shell: the log is full after 2 or 4 MB.
  const limited = ['sh', '-c', 'ulimit -f 4000; exec "$0" "$@"', process.execPath];
  const full = await startProcess(t, data, { FOOTFALL_DELIVER_SECONDS: '600' }, limited);
  await makeSite(full.url, 'shop');
  const props = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`p${i}`, 'x'.repeat(256)]));
  const statuses = new Map<number, number>();
  for (let i = 0; i < 200; i++) {
    const { status, headers } = await beacon(full.url, 'shop', Array.from({ length: 6 }, () => ({ name: 'view', props })));
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    if (status === 503) assert.match(headers.get('retry-after') ?? '', /^\d+$/);
  }
  assert.deepEqual([...statuses.keys()].sort(), [204, 503]);
  assert.equal((await fetch(`${full.url}/v1/health`)).status, 200);
  assert.equal(full.output().match(/The log takes no records/g)?.length, 1, full.output());
  await full.end('SIGKILL');

  const roomy = await startProcess(t, data);
  await countedUntilNow(roomy.url);
  assert.equal(await eventsOf(roomy.url, 'shop', RANGE), 6 * statuses.get(204)!);
});

test('Garbage, half a request and a client that goes away harm nobody', async (t) => {
  const { url } = await startProcess(t, temporaryFolder());
  await makeSite(url, 'shop');
  const port = Number(new URL(url).port);
  const say = async (text: string, hangUp: boolean) => {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    let heard = '';
    socket.on('data', (chunk: Buffer) => { heard += chunk.toString(); });
    const closed = once(socket, 'close');
    if (hangUp) socket.end(text);
    else socket.write(text);
    await closed;
    return heard;
  };
  assert.match(await say('GARBAGE\r\n\r\n', false), /^HTTP\/1\.1 400 /);
  assert.match(await say(`GET /p.gif?x=${'y'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, false), /^HTTP\/1\.1 431 /);
  await say('POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{"site":"shop"', true);
  await say('POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', true);
  assert.equal((await beacon(url, 'shop', [{ name: 'page_view' }])).status, 204);
  await countedUntilNow(url);
  assert.equal(await eventsOf(url, 'shop', RANGE), 1);
});

const REFUSALS: [name: string, method: string, path: string, body: string | undefined, status: number][] = [
  ['A beacon over 64 KB', 'POST', '/e', 'x'.repeat(65_537), 413],
  ['A batch over 1 MB', 'POST', '/v1/events', 'x'.repeat(1_048_577), 413],
  ['A pixel by DELETE', 'DELETE', '/p.gif', undefined, 405],
  ['A beacon by GET', 'GET', '/e', undefined, 405],
  ['A site by PATCH', 'PATCH', '/v1/sites/shop', undefined, 405],
  ['An unknown path', 'GET', '/nowhere', undefined, 404],
  ['A path with broken encoding', 'GET', '/v1/sites/%ff/stats', undefined, 400],
  ['A query with broken encoding', 'GET', '/v1/sites/shop/stats?range=%ff', undefined, 400],
  ['A site that does not exist', 'GET', '/v1/sites/nobody/stats', undefined, 404],
  ['A site with a hostile id', 'GET', `/v1/sites/${'a'.repeat(4000)}/stats`, undefined, 404],
  ['A site called __proto__', 'PUT', '/v1/sites/__proto__', '{"name":"a","timezone":"UTC","currency":"EUR"}', 422],
  ['Settings that are no JSON', 'PUT', '/v1/sites/other', '{', 400],
  ['A parameter nobody knows', 'GET', '/v1/sites/shop/stats?rang=today', undefined, 400],
  ['A key in a scope there is not', 'POST', '/v1/sites/shop/keys', '{"scope":"admin"}', 422],
  ['A key that does not exist', 'DELETE', `/v1/sites/shop/keys/${'x'.repeat(3000)}`, undefined, 404],
];

test('Each wrong request gets its status as problem JSON, and the process lives on', async (t) => {
  const { url } = await startProcess(t, temporaryFolder());
  await makeSite(url, 'shop');
  for (const [name, method, path, body, status] of REFUSALS) {
    const response = await fetch(url + path, { method, headers: { authorization: `Bearer ${ADMIN_KEY}`, 'user-agent': BROWSER }, ...(body !== undefined && { body }) });
    const problem = await response.json() as { status: number; title: string; detail: string };
    assert.deepEqual([name, response.status, problem.status], [name, status, status]);
    assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
    assert.ok(problem.title.length > 0 && problem.detail.length > 0 && problem.detail.length < 2000, name);
    if (status === 405) assert.match(response.headers.get('allow') ?? '', /[A-Z]/);
  }
  assert.equal((await fetch(`${url}/v1/health`)).status, 200);
});

/** Values that have broken parsers, logs, columns and pages before, as JSON. */
const HOSTILE: [name: string, json: string][] = [
  ...Object.entries({
    'quotes': '"\'`\\"', 'newlines': 'a\r\nb\u2028c', 'NUL': 'a\u0000b', 'a lone surrogate': '\ud800', 'right-to-left': '\u202egnp',
    'markup': '<script>alert(1)</script>', 'a formula': '=HYPERLINK("https://evil.example")', 'SQL': "'; drop table events; --",
    'a path': '../../etc/passwd', 'a name of 10 MB': 'n'.repeat(10_000_000), 'null': null, 'a number': 1e308,
  }).map(([name, value]): [string, string] => [name, JSON.stringify(value)]),
  ['__proto__', '{"__proto__":{"polluted":true},"constructor":1}'],
  ['10,000 levels', '['.repeat(10_000) + ']'.repeat(10_000)],
];
const FIELDS = ['name', 'id', 'url', 'referrer', 'visitor', 'value', 'currency', 'transaction_id', 'items', 'props', 'age'];

test('Hostile values in every field, through every door, break nothing, and each that is refused has its reason', async (t) => {
  const { url } = await startProcess(t, temporaryFolder());
  const writeKey = await makeSite(url, 'shop');
  const post = (path: string, body: string, headers: Record<string, string>) => fetch(url + path, { method: 'POST', headers, body });
  let browser = 0;
  let told = 0;
  for (const [name, json] of HOSTILE) {
    const events = [...FIELDS.map((field) => (field === 'name' ? `{"name":${json}}` : `{"name":"page_view",${JSON.stringify(field)}:${json}}`)), json];
    for (const event of events) {
      const { status } = await post('/e', `{"site":"shop","events":[${event}]}`, { 'user-agent': BROWSER });
      assert.equal(status, event.length > 65_000 ? 413 : 204, `${name} by beacon`);
      if (status === 204) browser++;
    }
    const text = encodeURIComponent(json.slice(0, 30_000));
    const pixel = await fetch(`${url}/p.gif?site=shop&name=x&id=${text}`, { headers: { 'user-agent': BROWSER } });
    assert.equal(pixel.status, text.length > 15_000 ? 431 : 200, `${name} by pixel`);
    if (pixel.status === 200) browser++;
    const batch = await post('/v1/events', `{"events":[${events.join()}]}`, { authorization: `Bearer ${writeKey}` });
    assert.equal(batch.status, events.join().length > 1_000_000 ? 413 : 202, `${name} by the server door`);
    if (batch.status === 202) {
      const { accepted, rejected } = await batch.json() as { accepted: number; rejected: object[] };
      assert.equal(accepted + rejected.length, events.length);
      told += accepted;
    }
  }
  await countedUntilNow(url);
  const { results } = await api<{ results: { metrics: Record<'events' | 'rejected', number> }[] }>(url, 'GET', `/v1/sites/shop/stats?${RANGE}&metrics=events,rejected`);
  const { events, rejected } = results[0]!.metrics;
  // What browsers sent is all there. Of what servers sent some is the same event twice: by its id, or by its content.
  assert.ok(rejected > 50 && events + rejected <= browser + told, `${events} counted and ${rejected} refused of ${browser} and ${told}`);
  const { results: reasons } = await api<{ results: { metrics: { rejected: number } }[] }>(url, 'GET', `/v1/sites/shop/breakdown?${RANGE}&dimension=rejection&limit=100`);
  assert.equal(reasons.reduce((sum, { metrics }) => sum + metrics.rejected, 0), rejected);
  assert.equal((await beacon(url, 'shop', [{ name: 'page_view' }])).status, 204);
});
