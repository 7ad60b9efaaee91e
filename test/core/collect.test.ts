import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PIXEL, beaconEnvelope, packBatch, pixelEnvelope } from '../../core/collect.ts';
import { transform } from '../../core/deliver.ts';
import type { Envelope } from '../../core/event.ts';
import { Problem } from '../../core/problem.ts';
import { HOUR, NOW, siteOf, transformPorts } from '../memory.ts';

const FACTS = { id: 'request-1', at: NOW };
const ALL = { ...FACTS, ip: '203.0.113.7', userAgent: 'browser', referer: 'https://a.example/', language: 'de', country: 'DE', purpose: 'prefetch' };

test('the pixel is a transparent GIF of 43 bytes and one by one pixel', () => {
  assert.equal(PIXEL.length, 43);
  assert.equal(PIXEL.toString('latin1', 0, 6), 'GIF89a');
  assert.deepEqual([PIXEL.readUInt16LE(6), PIXEL.readUInt16LE(8)], [1, 1]);
  assert.equal(PIXEL.at(-1), 0x3b);
});

const ENVELOPES: [name: string, envelope: Envelope, expected: object][] = [
  ['the pixel: its facts under the names of an envelope', pixelEnvelope(ALL, new URLSearchParams('site=shop')),
    { v: 1, via: 'pixel', id: 'request-1', at: NOW, ip: '203.0.113.7', ua: 'browser', referer: 'https://a.example/', language: 'de', country: 'DE', purpose: 'prefetch', query: { site: 'shop' } }],
  ['facts that are not known are absent', pixelEnvelope(FACTS, new URLSearchParams('site=shop')), { v: 1, via: 'pixel', id: 'request-1', at: NOW, query: { site: 'shop' } }],
  ['empty facts are absent', pixelEnvelope({ ...FACTS, ip: '', userAgent: '', referer: '', language: '', country: '', purpose: '' }, new URLSearchParams()), { v: 1, via: 'pixel', id: 'request-1', at: NOW, query: {} }],
  ['facts that are undefined are absent', beaconEnvelope({ ...FACTS, ip: undefined, userAgent: undefined }, ''), { v: 1, via: 'beacon', id: 'request-1', at: NOW, body: '' }],
  ['of a parameter given twice the last one counts', pixelEnvelope(FACTS, new URLSearchParams('name=a&name=b')), { v: 1, via: 'pixel', id: 'request-1', at: NOW, query: { name: 'b' } }],
  ['the beacon: the body as it came, whatever it is', beaconEnvelope(ALL, 'not "JSON"\n'),
    { v: 1, via: 'beacon', id: 'request-1', at: NOW, ip: '203.0.113.7', ua: 'browser', referer: 'https://a.example/', language: 'de', country: 'DE', purpose: 'prefetch', body: 'not "JSON"\n' }],
];
for (const [name, envelope, expected] of ENVELOPES) test(name, () => { assert.deepEqual(envelope, expected); });

test('a parameter called __proto__ stays a parameter', () => {
  const { query } = pixelEnvelope(FACTS, new URLSearchParams('__proto__=x&constructor=y'));
  assert.deepEqual(Object.entries(query!), [['__proto__', 'x'], ['constructor', 'y']]);
});

const site = siteOf({ hosts: ['shop.example'] });
const pack = (events: unknown, id = 'request-1', at = NOW) => packBatch(site, JSON.stringify({ events }), { id, at });
const bodiesOf = (envelopes: Envelope[]) => envelopes.map(({ body }) => JSON.parse(body!) as { site: string; events: unknown[] });
const list = <T>(length: number, of: (i: number) => T) => Array.from({ length }, (_, i) => of(i));

test('a batch becomes an envelope of the server door, in the name of the key\'s site', () => {
  const { envelopes, receipt } = pack([{ name: 'a', site: 'other' }, { name: 'b' }]);
  assert.deepEqual(receipt, { accepted: 2, rejected: [] });
  assert.equal(envelopes.length, 1);
  const { body, ...facts } = envelopes[0]!;
  assert.deepEqual(facts, { v: 1, via: 'api', id: 'request-1.0', at: NOW });
  assert.deepEqual(JSON.parse(body!), { site: 'shop', events: [{ name: 'a', site: 'other' }, { name: 'b' }] });
});

test('an empty batch is accepted and makes no envelope', () => {
  assert.deepEqual(pack([]), { envelopes: [], receipt: { accepted: 0, rejected: [] } });
});

test('events are grouped by the hour they happened in, in their order', () => {
  const { envelopes } = pack([
    { name: 'a', time: HOUR + 5 }, { name: 'b', time: HOUR - 1 }, { name: 'c' }, { name: 'd', time: '2026-11-20T09:59:59.999Z' },
    { name: 'e', time: HOUR }, { name: 'f', time: '2026-11-20T15:30:00+05:30' }, { name: 'g', time: HOUR - 3_600_000 },
  ]);
  assert.deepEqual(bodiesOf(envelopes).map(({ events }) => events.map((event) => (event as { name: string }).name).join('')), ['acef', 'bdg']);
  assert.deepEqual(envelopes.map(({ id }) => id), ['request-1.0', 'request-1.1']);
});

test('an event up to ten minutes ahead may belong to the next hour', async () => {
  const late = Date.UTC(2026, 10, 20, 10, 55);
  const { envelopes } = pack([{ name: 'a', time: late + 600_000 }], 'r', late);
  const [delivered] = await transform([JSON.stringify(envelopes[0])], transformPorts(site));
  assert.ok(delivered?.kind === 'rows');
  assert.deepEqual(delivered.partition, { dt: '2026-11-20', hr: '11' });
});

const SIZES: [count: number, chunks: number[]][] = [[1, [1]], [100, [100]], [101, [100, 1]], [250, [100, 100, 50]], [500, [100, 100, 100, 100, 100]]];
for (const [count, chunks] of SIZES) {
  test(`${count} events of one hour: envelopes of ${chunks.join(', ')}`, () => {
    const { envelopes, receipt } = pack(list(count, (i) => ({ name: 'x', id: String(i) })));
    const bodies = bodiesOf(envelopes);
    assert.deepEqual(bodies.map(({ events }) => events.length), chunks);
    assert.deepEqual(bodies.flatMap(({ events }) => events.map((event) => (event as { id: string }).id)), list(count, String));
    assert.equal(new Set(envelopes.map(({ id }) => id)).size, chunks.length);
    assert.equal(receipt.accepted, count);
  });
}

/** An event whose JSON has so many bytes. */
function eventOf(bytes: number, filler = 'x'): object {
  const room = bytes - JSON.stringify({ name: 'x', note: '' }).length;
  return { name: 'x', note: filler.repeat(room / Buffer.byteLength(filler)) };
}

test('the events of an envelope have at most 64 KB of UTF-8', () => {
  for (const filler of ['x', 'é', '😀']) {
    const { envelopes, receipt } = pack([...list(30, () => eventOf(10_000, filler)), ...list(4, () => eventOf(65_536 - 24, filler))]);
    assert.equal(receipt.accepted, 34);
    for (const [i, { events }] of bodiesOf(envelopes).entries()) {
      const bytes = events.reduce<number>((sum, event) => sum + Buffer.byteLength(JSON.stringify(event)), 0);
      assert.ok(bytes <= 65_536, `${bytes} bytes in envelope ${i}`);
      // Beside the events: the site's id (63 characters at most), brackets, and a comma between two.
      assert.ok(Buffer.byteLength(envelopes[i]!.body!) <= bytes + 63 + 22 + 99);
    }
  }
});

test('an event of 64 KB is accepted, one byte more is refused', () => {
  const { receipt, envelopes } = pack([eventOf(65_536), eventOf(65_537), eventOf(600_000)]);
  assert.equal(receipt.accepted, 1);
  assert.deepEqual(receipt.rejected.map(({ index, reason }) => [index, reason]), [[1, 'bad_event'], [2, 'bad_event']]);
  assert.match(receipt.rejected[0]!.message, /65537 bytes: accepts at most 65536/);
  assert.equal(envelopes.length, 1);
});

test('the receipt names the index, the reason and what is accepted of each event that was not taken', () => {
  const { receipt, envelopes } = pack([
    { name: 'a' }, { name: 'B' }, 5, { name: 'c', time: NOW + 600_001 }, { name: 'd', url: 'https://shop.example/' },
    { name: 'e', url: 'https://other.example/' }, { name: 'f', ip: 'x'.repeat(50) }, null, { name: 'g' },
  ]);
  assert.equal(receipt.accepted, 3);
  assert.deepEqual(receipt.rejected.map(({ index, reason }) => [index, reason]), [
    [1, 'bad_name'], [2, 'bad_event'], [3, 'bad_time'], [5, 'host_not_allowed'], [6, 'bad_ip'], [7, 'bad_event'],
  ]);
  for (const { message } of receipt.rejected) assert.match(message, /accepts /);
  assert.match(receipt.rejected[3]!.message, /other\.example.*shop\.example/);
  assert.deepEqual(bodiesOf(envelopes)[0]!.events, [{ name: 'a' }, { name: 'd', url: 'https://shop.example/' }, { name: 'g' }]);
});

const REFUSED: [name: string, body: string, status: number, detail: RegExp][] = [
  ['an empty body', '', 400, /not JSON/],
  ['text', 'hello', 400, /not JSON/],
  ['half a batch', '{"events":[{"name":"a"}', 400, /not JSON/],
  ['null', 'null', 422, /events .* accepts a list/],
  ['a number', '5', 422, /events .* accepts a list/],
  ['a list', '[{"name":"a"}]', 422, /events .* accepts a list/],
  ['no events', '{"site":"shop"}', 422, /events .* accepts a list/],
  ['events that are an object', '{"events":{"0":{"name":"a"}}}', 422, /events \{"0".* accepts a list/],
  ['very deep brackets', '['.repeat(100_000) + ']'.repeat(100_000), 422, /accepts a list/],
  ['501 events', JSON.stringify({ events: list(501, () => ({ name: 'a' })) }), 413, /501 events: accepts at most 500/],
];
for (const [name, body, status, detail] of REFUSED) {
  test(`a batch that is ${name} is refused with ${status}`, () => {
    assert.throws(() => packBatch(site, body, FACTS), (error) => error instanceof Problem && error.status === status && detail.test(error.detail));
  });
}

test('an event that is nested very deeply is refused, the others are taken', () => {
  const deep = '['.repeat(50_000) + ']'.repeat(50_000);
  const { receipt } = packBatch(site, `{"events":[{"name":"a"},{"name":"b","note":${deep}},${deep}]}`, FACTS);
  assert.equal(receipt.accepted, 1);
  assert.deepEqual(receipt.rejected.map(({ index, reason }) => [index, reason]), [[1, 'bad_event'], [2, 'bad_event']]);
});

test('a url that only a browser could read is no error of ours', () => {
  const { receipt } = pack([{ name: 'a', url: 'https://sh\top.example/' }, { name: 'b' }]);
  assert.equal(receipt.accepted + receipt.rejected.length, 2);
});

test('the same batch twice gives the same rows but for the times of receipt', async () => {
  const events = [
    { name: 'page_view', time: HOUR, url: 'https://shop.example/' }, { name: 'x', id: '7', time: HOUR - 5 },
    { name: 'purchase', time: HOUR, transaction_id: 'T', value: 5, items: [{ id: 'a' }] }, ...list(150, (i) => ({ name: 'x', time: HOUR, value: i })),
  ];
  const deliver = async (id: string, at: number) => {
    const { envelopes } = pack(events, id, at);
    const delivered = await transform(envelopes.map((envelope) => JSON.stringify(envelope)), transformPorts(site));
    return delivered.flatMap((one) => (one.kind === 'rows' ? one.rows.map((row) => row.replace(/"received_at":\d+/, '')) : assert.fail(one.message))).sort();
  };
  const first = await deliver('request-1', NOW);
  assert.equal(first.length, events.length + 1);
  assert.deepEqual(await deliver('request-2', NOW + 60_000), first);
  assert.equal(new Set(first.map((row) => /"event_key":(-?\d+)/.exec(row)![1])).size, events.length);
});

test('events of one batch that are equal are told apart, the same way when the batch is sent again', () => {
  const sale = { name: 'purchase', value: 5, transaction_id: '' };
  const send = (id: string) => packBatch(siteOf(), JSON.stringify({ events: [sale, { name: 'refund' }, sale, sale] }), { id, at: NOW })
    .envelopes.map(({ body }) => (JSON.parse(body!) as { events: unknown[] }).events);
  assert.deepEqual(send('first'), [[sale, { name: 'refund' }, { ...sale, copy: 1 }, { ...sale, copy: 2 }]]);
  assert.deepEqual(send('second'), send('first'));
});
