import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { beaconEnvelope, packBatch, pixelEnvelope } from '../../core/collect.ts';
import { transform, type Delivered } from '../../core/deliver.ts';
import { rowLine } from '../../core/deliver/row.ts';
import { REJECTIONS, ROW_COLUMNS, type ColumnType, type Envelope, type Rejection, type Via } from '../../core/event.ts';
import type { Site } from '../../core/sites.ts';
import { HOUR, NOW, envelopeOf, siteOf, transformPorts } from '../memory.ts';

/** The address of every visitor here; it must not turn up in any row. */
const IP = '203.0.113.77';
const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0';
const SEED = 20261120;

type Columns = Record<string, string | number | boolean>;
const COLUMNS: Readonly<Record<string, ColumnType>> = ROW_COLUMNS;

/** The rows of one record. */
function rowsOf(delivered: Delivered | undefined): Columns[] {
  assert.ok(delivered?.kind === 'rows', delivered?.kind === 'failed' ? delivered.message : 'nothing was delivered');
  return delivered.rows.map((row) => JSON.parse(row) as Columns);
}

async function deliver(envelope: Envelope, ...sites: Site[]): Promise<Columns[]> {
  return rowsOf((await transform([JSON.stringify(envelope)], transformPorts(...(sites.length > 0 ? sites : [siteOf()]))))[0]);
}

const pixel = (query: Record<string, string>, more: Partial<Envelope> = {}) => envelopeOf({ via: 'pixel', query: { site: 'shop', ...query }, ...more });
const beacon = (events: unknown, more: Partial<Envelope> = {}) => envelopeOf({ body: JSON.stringify({ site: 'shop', events }), ...more });
const api = (events: unknown, more: Partial<Envelope> = {}) => envelopeOf({ via: 'api', body: JSON.stringify({ site: 'shop', events }), ...more });
const x = (fields: object) => [{ name: 'x', ...fields }];

const REFUSED: Record<Rejection, Envelope[]> = {
  unknown_site: [pixel({ site: 'other' }), beacon(x({}), { body: '{"site":"other","events":[{"name":"x"}]}' }), api(x({}), { body: '{"site":"other","events":[{"name":"x"}]}' })],
  host_not_allowed: [pixel({ url: 'https://other.example/' }), pixel({}, { referer: 'https://other.example/' }), beacon(x({ url: 'https://other.example/' })), api(x({ url: 'https://other.example/' }))],
  bad_body: [envelopeOf({ body: 'hello' }), envelopeOf(), envelopeOf({ body: '{"site":"shop"}' }), envelopeOf({ via: 'api', body: 'hello' }), envelopeOf({ via: 'api', body: '{"site":"shop"}' })],
  bad_event: [beacon([5]), beacon([null]), beacon([[]]), api(['x'])],
  too_many_events: [beacon(Array.from({ length: 101 }, () => ({ name: 'x' }))), api(Array.from({ length: 501 }, () => ({ name: 'x' })))],
  bad_name: [pixel({ name: 'Page view' }), beacon([{}]), api([{}])],
  bad_id: [pixel({ id: 'i'.repeat(65) }), beacon(x({ id: 5 })), api(x({ id: '' }))],
  bad_url: [pixel({ url: '/p/1' }), pixel({}, { referer: 'android-app://com.example/' }), beacon(x({ url: 'x' })), api(x({ url: 5 }))],
  bad_referrer: [pixel({ referrer: 'x' }), beacon(x({ referrer: 'x' })), api(x({ referrer: 'x' }))],
  bad_age: [pixel({ age: '1800001' }), beacon(x({ age: -1 })), api(x({ age: '5' }))],
  bad_time: [api(x({ time: 'yesterday' })), api([{ name: 'x', time: HOUR }, { name: 'x', time: HOUR + 3_600_000 }], { at: HOUR + 7_200_000 })],
  bad_visitor: [pixel({ visitor: 'v'.repeat(65) }), beacon(x({ visitor: '' })), api(x({ visitor: 5 }))],
  bad_value: [pixel({ value: '19,99' }), beacon(x({ value: 2e9 })), api(x({ value: '5' }))],
  bad_currency: [pixel({ currency: 'eur' }), beacon(x({ currency: 'QQQ' })), api(x({ currency: 978 }))],
  bad_transaction_id: [pixel({ transaction_id: 't'.repeat(65) }), beacon(x({ transaction_id: 5 })), api(x({ transaction_id: {} }))],
  bad_items: [pixel({ items: 'sku' }), beacon(x({ items: [{}] })), api(x({ items: {} }))],
  bad_props: [pixel({ 'p.k': 'v'.repeat(257) }), pixel({ 'p.': 'v' }), pixel({ props: '{}' }), beacon(x({ props: [] })), api(x({ props: { k: null } }))],
  bad_ip: [api(x({ ip: 'localhost' }))],
  bad_user_agent: [api(x({ user_agent: '' }))],
  bad_country: [api(x({ country: 'Germany' }))],
};

for (const reason of REJECTIONS) {
  test(`refused and stored: ${reason}`, async () => {
    const cases = REFUSED[reason] as Envelope[] | undefined;
    assert.ok(cases && cases.length > 0, `no case for ${reason}`);
    for (const envelope of cases) {
      const rows = await deliver(envelope, siteOf({ hosts: ['shop.example'] }));
      const refused = rows.filter(({ rejected }) => rejected !== undefined);
      assert.deepEqual(refused.map(({ rejected }) => rejected), [reason], JSON.stringify(envelope).slice(0, 200));
      assert.equal(refused[0]!.via, envelope.via);
      assert.equal(refused[0]!.bot, false);
      assert.equal(refused[0]!.visitor, undefined);
    }
  });
}

test('an event of an unknown site is stored under _unknown, whatever the site was called', async () => {
  for (const site of ['other', '', '_unknown', '__proto__', 'shop '.repeat(1000), 'SHOP']) {
    const rows = await deliver(pixel({ site }));
    assert.deepEqual(rows.map(({ site_id, rejected, local_day }) => [site_id, rejected, local_day]), [['_unknown', 'unknown_site', '2026-11-20']]);
  }
});

test('a body that tells no site is stored under _unknown', async () => {
  assert.deepEqual((await deliver(envelopeOf({ body: 'hello' }))).map(({ site_id }) => site_id), ['_unknown']);
});

test('a refused event of a known site is stored under it, on its local day, when it was received', async () => {
  const late = Date.UTC(2026, 10, 20, 18, 45);
  const [row] = await deliver(beacon(x({ value: 'dear', age: 1_800_000 }), { at: late }), siteOf({ timezone: 'Asia/Kolkata' }));
  assert.deepEqual([row!.site_id, row!.rejected, row!.local_day, row!.ts, row!.quantity], ['shop', 'bad_value', '2026-11-21', late, 1]);
});

for (const [via, most] of [['beacon', 100], ['api', 500]] as const) {
  test(`${via}: beyond ${most} events one row speaks for the rest`, async () => {
    const events = Array.from({ length: most + 7 }, (_, i) => ({ name: 'x', id: String(i) }));
    const rows = await deliver(via === 'beacon' ? beacon(events) : api(events));
    assert.equal(rows.length, most + 1);
    assert.ok(rows.slice(0, most).every(({ rejected }) => rejected === undefined));
    assert.deepEqual([rows[most]!.rejected, rows[most]!.quantity], ['too_many_events', 7]);
  });
  test(`${via}: ${most} events are all taken`, async () => {
    const events = Array.from({ length: most }, (_, i) => ({ name: 'x', id: String(i) }));
    const rows = await deliver(via === 'beacon' ? beacon(events) : api(events));
    assert.deepEqual([rows.length, rows.filter(({ rejected }) => rejected !== undefined).length], [most, 0]);
  });
}

test('30,000 empty events in 64 KB are 101 rows', async () => {
  const body = `{"site":"shop","events":[${Array.from({ length: 30_000 }, () => '5').join(',')}]}`;
  assert.ok(body.length < 65_536);
  const rows = await deliver(envelopeOf({ body }));
  assert.equal(rows.length, 101);
  assert.equal(rows.reduce((sum, { quantity }) => sum + Number(quantity), 0), 30_000);
});

test('what is no envelope fails whole, and the records beside it are delivered in their order', async () => {
  const records = ['hello', JSON.stringify(beacon(x({ id: '1' }))), '{}', '', JSON.stringify(pixel({})), '['.repeat(100_000)];
  const delivered = await transform(records, transformPorts(siteOf()));
  assert.deepEqual(delivered.map(({ kind }) => kind), ['failed', 'rows', 'failed', 'failed', 'rows', 'failed']);
  for (const one of delivered) if (one.kind === 'failed') assert.ok(one.message.length > 0);
});

test('a record that looks like an envelope cannot stop those beside it', async () => {
  const odd = [
    '{"v":1,"via":"pixel","id":"r","at":1,"query":{"site":{"toString":1}}}',
    `{"v":1,"via":"pixel","id":"r","at":${NOW},"query":{"site":"shop","value":{"valueOf":1,"toString":1}}}`,
    `{"v":1,"via":"pixel","id":"r","at":${NOW},"query":{"site":${'['.repeat(50_000)}${']'.repeat(50_000)}}}`,
    `{"v":1,"via":"pixel","id":"r","at":${NOW},"query":["shop"]}`,
    '{"v":1,"via":"pixel","id":"r","at":8640000000000000,"query":{"site":"kolkata"}}',
    '{"v":1,"via":"pixel","id":"r","at":1,"query":{"site":"new-york"}}',
    `{"v":1,"via":"api","id":"r","at":${NOW}}`,
    `{"v":1,"via":"api","id":"r","at":${NOW},"body":"{\\"site\\":\\"shop\\",\\"events\\":[{\\"name\\":\\"x\\",\\"note\\":${'['.repeat(50_000)}${']'.repeat(50_000)}}]}"}`,
  ];
  const sites = [siteOf(), siteOf({ id: 'kolkata', timezone: 'Asia/Kolkata' }), siteOf({ id: 'new-york', timezone: 'America/New_York' })];
  for (const record of odd) {
    await assert.doesNotReject(transform([record, JSON.stringify(pixel({}))], transformPorts(...sites)), record.slice(0, 100));
  }
});

test('no records, no answers', async () => { assert.deepEqual(await transform([], transformPorts()), []); });

test('an envelope without events has no rows', async () => { assert.deepEqual(await deliver(beacon([])), []); });

test('an envelope belongs to the partition of its hour', async () => {
  const cases: [Envelope, string, string][] = [
    [beacon(x({ age: 1_800_000 })), '2026-11-20', '10'],
    [beacon(x({ age: 1_800_000 }), { at: HOUR }), '2026-11-20', '10'],
    [pixel({ age: '5' }, { at: Date.UTC(2026, 11, 31, 23, 59) }), '2026-12-31', '23'],
    [api(x({ time: '2012-02-29T05:59:59Z' })), '2012-02-29', '05'],
    [api(x({})), '2026-11-20', '10'],
    [api([{ name: 'BAD' }, ...x({ time: HOUR - 3_600_000 })]), '2026-11-20', '09'],
  ];
  for (const [envelope, dt, hr] of cases) {
    const [delivered] = await transform([JSON.stringify(envelope)], transformPorts(siteOf()));
    assert.ok(delivered?.kind === 'rows');
    assert.deepEqual(delivered.partition, { dt, hr });
    for (const { ts } of rowsOf(delivered)) assert.equal(new Date(Number(ts)).toISOString().slice(0, 13), `${dt}T${hr}`);
  }
});

test('sites and salts are read once for all records, and only for what needs them', async () => {
  const asked: string[][] = [];
  const ports = transformPorts(siteOf({ timezone: 'Asia/Kolkata' }));
  const records = [pixel({}), beacon(x({})), pixel({ site: 'other' }), pixel({}, { at: Date.UTC(2026, 10, 20, 18, 45) })].map((envelope) => JSON.stringify(envelope));
  await transform([...records, 'hello'], {
    ...ports,
    sites: { read: async (ids) => { asked.push([...ids].sort()); return ports.sites.read(['shop']); } },
    salts: { read: async (days) => { asked.push([...days].sort()); return ports.salts.read(days); } },
  });
  assert.deepEqual(asked.map((list) => [...new Set(list)]), [['other', 'shop'], ['2026-11-20', '2026-11-21']]);
});

test('where sites or salts cannot be read nothing is delivered', async () => {
  const ports = transformPorts(siteOf());
  const record = JSON.stringify(pixel({}));
  await assert.rejects(transform([record], { ...ports, sites: { read: () => Promise.reject(new Error('no registry')) } }), /no registry/);
  await assert.rejects(transform([record], { ...ports, salts: { read: () => Promise.reject(new Error('no salts')) } }), /no salts/);
});

test('a page view from end to end', async () => {
  const at = Date.UTC(2026, 10, 20, 18, 45, 0, 7);
  const envelope = pixelEnvelope(
    { id: 'request-1', at, ip: IP, userAgent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1', language: 'de-AT,de;q=0.9', country: 'AT' },
    new URLSearchParams('site=shop&url=https%3A%2F%2Fshop.example%2Fp%2F1%3Futm_source%3DNews%26utm_medium%3Demail%26utm_campaign%3Dspring&referrer=https%3A%2F%2Fwww.google.com%2F&p.colour=red&age=7'),
  );
  const [row, ...more] = await deliver(envelope, siteOf({ timezone: 'Asia/Kolkata' }));
  assert.equal(more.length, 0);
  const { event_key, visitor, sketch_bucket, sketch_rank, v, ...rest } = row!;
  for (const hash of [event_key, visitor, sketch_bucket, sketch_rank, v]) assert.equal(typeof hash, 'number');
  assert.deepEqual(rest, {
    site_id: 'shop', name: 'page_view', ts: at - 7, quarter: Math.trunc(at / 900_000), local_day: '2026-11-21', host: 'shop.example', path: '/p/1',
    referrer_host: 'google.com', source: 'news', channel: 'Email', utm_source: 'News', utm_medium: 'email', utm_campaign: 'spring', country: 'AT',
    device: 'mobile', browser: 'Safari', os: 'iOS', language: 'de-AT', props: '{"colour":"red"}', bot: false, via: 'pixel', place: 0, received_at: at, processed_at: NOW,
  });
});

// ---- Hostile input -------------------------------------------------------------------------------------------------

const TEN_MB = 'n'.repeat(10 * 1024 * 1024);
const DEEP = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;

/** What every answer must be, whatever was sent: so many event rows or refusals, each one line of clean JSON. */
function checkRows(delivered: readonly Delivered[], events: number): void {
  let told = 0;
  for (const one of delivered) {
    assert.ok(one.kind === 'rows', one.kind === 'failed' ? one.message : '');
    assert.match(`${one.partition.dt}T${one.partition.hr}`, /^\d{4}-\d{2}-\d{2}T\d{2}$/);
    for (const line of one.rows) {
      assert.ok(!line.includes(IP), `the address is in the row: ${line.slice(0, 300)}`);
      assert.ok(!/[\r\n]/.test(line), 'a row is one line');
      const row = JSON.parse(line) as Columns;
      for (const [name, value] of Object.entries(row)) {
        const type = Object.hasOwn(COLUMNS, name) ? COLUMNS[name] : assert.fail(`no column ${name}`);
        assert.equal(typeof value, type === 'string' ? 'string' : type === 'boolean' ? 'boolean' : 'number', name);
        if (typeof value === 'number') assert.ok(Number.isInteger(value), `${name} ${value}`);
        if (typeof value === 'string') assert.ok(!/\p{Cc}/u.test(value) && value.isWellFormed(), `${name} ${JSON.stringify(value)}`);
      }
      if (row.product_id === undefined) told += row.rejected === undefined ? 1 : Number(row.quantity);
    }
  }
  assert.equal(told, events, 'every event is one row or one refusal');
}

/** Transforms records, checks the rows, and that those of one machine say the same. */
async function checkRecords(records: readonly string[], events: number): Promise<void> {
  const delivered = await transform(records, ports);
  checkRows(delivered, events);
  const texts = (of: readonly Delivered[]) => of.flatMap((one) => (one.kind === 'rows' ? one.rows : []));
  const lines = texts(await transform(records, ports, rowLine));
  const rows = texts(delivered).map((json) => JSON.parse(json) as Columns);
  assert.equal(lines.length, rows.length);
  lines.forEach((line, i) => {
    const values = line.split('\u001f');
    assert.equal(values.length, Object.keys(COLUMNS).length);
    assert.ok(!/[\0-\x1f]/.test(values.join('')), JSON.stringify(line.slice(0, 300)));
    for (const [at, [name, type]] of Object.entries(COLUMNS).entries()) {
      const value = rows[i]![name];
      assert.notEqual(value, '', `${name}: nothing would become null`);
      // Of 64 bits JSON.parse keeps 53.
      if (type === 'hash') assert.equal(Number(values[at]), value ?? 0, name);
      else assert.equal(values[at], value === undefined ? '' : String(value), name);
    }
  });
}

type Facts = Parameters<typeof beaconEnvelope>[0];
const FACTS: Facts = { id: 'request-1', at: NOW, ip: IP, userAgent: BROWSER };
const ports = transformPorts(siteOf({ timezone: 'Asia/Kolkata' }));

/** Sends events through a door and the transform, and checks what comes out. */
async function sendThrough(via: Via, events: readonly unknown[], facts: Facts = FACTS): Promise<void> {
  let envelopes: Envelope[];
  let expected = events.length;
  if (via === 'pixel') {
    envelopes = events.map((event) => {
      const query = new URLSearchParams({ site: 'shop' });
      for (const [key, value] of Object.entries(event as object)) {
        if (key === 'props' && typeof value === 'object' && value !== null) for (const [prop, entry] of Object.entries(value as object)) query.append(`p.${prop}`, String(entry));
        else query.append(key, typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
      }
      return pixelEnvelope(facts, new URLSearchParams(query.toString()));
    });
  } else if (via === 'beacon') {
    envelopes = [beaconEnvelope(facts, JSON.stringify({ site: 'shop', events }))];
  } else {
    const { envelopes: packed, receipt } = packBatch(siteOf(), JSON.stringify({ events }), facts);
    assert.equal(receipt.accepted + receipt.rejected.length, events.length);
    expected = receipt.accepted;
    envelopes = packed;
  }
  await checkRecords(envelopes.map((envelope) => JSON.stringify(envelope)), expected);
}

const HOSTILE: [name: string, text: string][] = [
  ['quotes', `'"\`"'`],
  ['a backslash at the end', 'a\\'],
  ['JSON that would close the row', '"},{"site_id":"other"'],
  ['newlines', 'a\nb\r\nc'],
  ['line separators of Unicode', 'a\u2028b\u2029c'],
  ['NUL', 'a\u0000b'],
  ['every control character of ASCII', String.fromCharCode(...Array.from({ length: 32 }, (_, i) => i), 127)],
  ['every control character beyond ASCII', String.fromCharCode(...Array.from({ length: 32 }, (_, i) => 128 + i))],
  ['a lone high surrogate', 'a\ud800'],
  ['a lone low surrogate', '\udc00a'],
  ['surrogates in the wrong order', '\udc00\ud800'],
  ['right-to-left marks', '\u202eabc\u200f\u2066x\u2069'],
  ['emoji', '👩‍👩‍👧🏳️‍🌈'],
  ['what is left of invalid UTF-8', '\ufffd\ufffd'],
  ['a byte order mark', '\ufeffa'],
  ['zero-width characters', '\u200b\u200d'],
  ['a formula', '=cmd|\'/c calc\'!A0'],
  ['markup', '<script>alert(1)</script>'],
  ['SQL', `'; drop table events; --`],
  ['a template', '${7*7}{{7*7}}#set($x=1)'],
  ['__proto__', '__proto__'],
  ['constructor', 'constructor'],
  ['blanks', '   '],
  ['the visitor\'s own address', IP],
  ['a number too large', '9'.repeat(400)],
  ['10 MB', TEN_MB],
];
const TEXT_FIELDS = ['name', 'id', 'url', 'referrer', 'visitor', 'currency', 'transaction_id', 'time', 'user_agent', 'country', 'age', 'value', 'items', 'props'];

for (const via of ['pixel', 'beacon', 'api'] as const) {
  for (const [name, text] of HOSTILE) {
    test(`${via}: ${name} in every field`, async () => {
      // The address may be what a client calls itself or its product; that is no leak of ours.
      const own = text === IP ? ['name', 'currency', 'age', 'value'] : TEXT_FIELDS;
      const events: unknown[] = own.map((field) => ({ name: 'x', [field]: text }));
      if (text !== IP) {
        events.push(
          { name: 'x', url: `https://shop.example/${text}`.slice(0, 2000) }, { name: 'x', url: `https://shop.example/?utm_source=${encodeURIComponent(text.toWellFormed()).slice(0, 1500)}` },
          { name: 'x', url: `https://${text.slice(0, 50)}.example/` }, { name: 'x', referrer: `https://shop${text.slice(0, 50)}/` },
          { name: 'x', items: [{ id: text.slice(0, 64), name: text.slice(0, 200) }] }, { name: 'x', items: [{ id: 'a', price: text }] },
          { name: 'x', props: { [text.slice(0, 64)]: text.slice(0, 256) } }, { name: 'x', [text]: text },
        );
      }
      if (text === TEN_MB) for (const event of events.filter((_, i) => i % 4 === 0)) await sendThrough(via, [event]);
      else await sendThrough(via, events);
    });
    if (via === 'api') continue;
    test(`${via}: ${name} in every header`, async () => {
      const at = { id: text, at: NOW, ip: IP };
      const own = text === IP ? { userAgent: BROWSER } : { userAgent: `${text}/1.0 x`, referer: text, language: text, country: text, purpose: text };
      await sendThrough(via, [{ name: 'x' }], { ...at, ...own });
      if (text !== IP) await sendThrough(via, [{ name: 'x' }], { ...FACTS, ...own, referer: `https://shop.example/${text.slice(0, 1000)}` });
    });
  }
  test(`${via}: JSON of 100,000 levels in every field`, async () => {
    const deep: unknown = JSON.parse(DEEP);
    if (via === 'pixel') {
      for (const field of ['items', 'props', 'name', 'p.deep']) await sendThrough('pixel', [{ [field]: DEEP }]);
      return;
    }
    assert.ok(Array.isArray(deep));
    for (const field of ['name', 'url', 'value', 'items', 'props', 'note']) {
      const body = `{"site":"shop","events":[{"name":"x","${field}":${DEEP}},${DEEP},{"name":"x","props":{"k":${DEEP}}},{"name":"x"}]}`;
      if (via === 'beacon') {
        await checkRecords([JSON.stringify(beaconEnvelope(FACTS, body))], 4);
      } else {
        const { envelopes, receipt } = packBatch(siteOf(), body, FACTS);
        assert.deepEqual(receipt.rejected.map(({ index, reason }) => [index, reason]), [[0, 'bad_event'], [1, 'bad_event'], [2, 'bad_event']]);
        await checkRecords(envelopes.map((envelope) => JSON.stringify(envelope)), 1);
      }
    }
  });
  test(`${via}: keys that mean something to JavaScript`, async () => {
    const keys = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', 'toJSON', '__defineGetter__', 'length', 'then'];
    const events = keys.flatMap((key) => [key, `p.${key}`].map((name) => JSON.parse(`{"name":"x",${JSON.stringify(name)}:${via === 'pixel' ? '"x"' : '{"name":"y","toString":null}'}}`) as object));
    const props = via === 'pixel' ? [] : keys.map((key) => JSON.parse(`{"name":"x","props":{${JSON.stringify(key)}:"v"},"items":[{"id":${JSON.stringify(key)}}]}`) as object);
    await sendThrough(via, [...events, ...props]);
    assert.equal(({} as Columns).name, undefined);
  });
}

test('urls that drop characters when they are parsed', async () => {
  for (const url of ['https://sh\top.example/', 'https://sh\nop.example/', 'https://shop.example:4\r43/', 'h\tttps://shop.example/', 'https://shop.example\t/', 'https:/\t/shop.example/', '\thttps://shop.example/']) {
    for (const via of ['pixel', 'beacon', 'api'] as const) await sendThrough(via, [{ name: 'x', url }, { name: 'x', referrer: url }]);
    await checkRecords([JSON.stringify(pixelEnvelope({ ...FACTS, referer: url }, new URLSearchParams('site=shop')))], 1);
  }
});

// ---- Arbitrary input -----------------------------------------------------------------------------------------------

/** Any sequence of UTF-16 units, lone surrogates and control characters among them. */
const units = fc.string({ unit: fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0, max: 0xa0 }), fc.constantFrom(0xd800, 0xdfff, 0x202e)).map((unit) => String.fromCharCode(unit)), maxLength: 80 });
const anything = fc.oneof({ weight: 3, arbitrary: units }, { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 4 }) }, { weight: 1, arbitrary: fc.double() }, { weight: 1, arbitrary: fc.integer() });
const url = fc.oneof(
  fc.webUrl({ withQueryParameters: true, withFragments: true }),
  units.map((text) => `https://shop.example/${text}`),
  units.map((text) => `https://shop.example/?utm_source=${text}&utm_medium=${text}&gclid=${text}`),
  units.map((text) => `https://${text}.example/`),
  fc.tuple(fc.webUrl(), fc.nat({ max: 30 }), fc.constantFrom('\t', '\n', '\r', ' ', '\u0000', '\u00ad', '\ud800', '@', ':', '\\')).map(([text, at, odd]) => text.slice(0, at) + odd + text.slice(at)),
);
const text = fc.oneof(units, fc.string({ minLength: 1, maxLength: 64 }), fc.constantFrom('__proto__', 'constructor'));
const either = <T>(valid: fc.Arbitrary<T>) => fc.oneof({ weight: 4, arbitrary: valid }, { weight: 1, arbitrary: anything });
const fields = fc.record({
  name: either(fc.constantFrom('page_view', 'purchase', 'refund', 'add_to_cart', 'custom_1')),
  id: either(text),
  url: either(url),
  referrer: either(url),
  age: either(fc.double({ min: 0, max: 1_800_000, noNaN: true })),
  visitor: either(text),
  value: either(fc.double({ min: -1e9, max: 1e9, noNaN: true })),
  currency: either(fc.constantFrom('EUR', 'USD', 'JPY')),
  transaction_id: either(text),
  items: either(fc.array(fc.record({ id: text, name: text, quantity: fc.integer({ min: 1, max: 1000 }), price: fc.double({ min: -1e6, max: 1e6, noNaN: true }) }, { requiredKeys: ['id'] }), { maxLength: 5 })),
  props: either(fc.dictionary(text, fc.oneof(text, fc.boolean(), fc.double({ noNaN: true, noDefaultInfinity: true })), { maxKeys: 5 })),
  time: either(fc.oneof(fc.integer({ min: Date.UTC(2010, 0, 1), max: NOW }), fc.date({ min: new Date('2010-01-01'), max: new Date(NOW), noInvalidDate: true }).map((date) => date.toISOString()))),
  user_agent: either(text),
  country: either(fc.constantFrom('DE', 'XX')),
}, { requiredKeys: ['name'] });
const event = fc.oneof({ weight: 5, arbitrary: fields }, { weight: 1, arbitrary: anything }, { weight: 1, arbitrary: fc.dictionary(units, anything) });
const facts = fc.record({ userAgent: text, referer: fc.oneof(url, units), language: units, country: fc.oneof(units, fc.constant('DE')), purpose: units }, { requiredKeys: [] }).map((some) => ({ id: 'request-1', at: NOW, ip: IP, ...some }));

for (const via of ['pixel', 'beacon', 'api'] as const) {
  test(`${via}: whatever is sent becomes clean rows, one for each event (seed ${SEED})`, async () => {
    const sent = via === 'pixel' ? fields as fc.Arbitrary<unknown> : event;
    await fc.assert(fc.asyncProperty(fc.array(sent, { maxLength: 8 }), facts, async (events, some) => { await sendThrough(via, events, some); }), { seed: SEED, numRuns: 300 });
  });
}

test(`whatever is in the stream, it is delivered or it failed (seed ${SEED})`, async () => {
  const record = fc.oneof(units, fc.json(), fc.record({ v: fc.constant(1), via: fc.constantFrom('pixel', 'beacon', 'api'), id: units, at: fc.integer({ min: 1, max: NOW }), body: fc.oneof(units, fc.json()), query: fc.dictionary(units, units) }).map((envelope) => JSON.stringify(envelope)));
  await fc.assert(fc.asyncProperty(fc.array(record, { maxLength: 5 }), async (records) => {
    const delivered = await transform(records, ports);
    assert.equal(delivered.length, records.length);
    for (const one of delivered) if (one.kind === 'rows') for (const row of one.rows) JSON.parse(row);
  }), { seed: SEED, numRuns: 300 });
});

test('a step that breaks on one record sends that one to failed, and the others on', async () => {
  const ports = { ...transformPorts(siteOf()), countryOf: (ip: string) => { if (ip === '192.0.2.66') throw new Error('broken table'); return 'DE'; } };
  const records = ['192.0.2.1', '192.0.2.66', '192.0.2.2'].map((ip) => JSON.stringify(envelopeOf({ ip, body: '{"site":"shop","events":[{"name":"page_view"}]}' })));
  const delivered = await transform(records, ports);
  assert.deepEqual(delivered.map((one) => one.kind), ['rows', 'failed', 'rows']);
  assert.deepEqual(delivered[1], { kind: 'failed', message: 'a step failed: broken table' });
});
