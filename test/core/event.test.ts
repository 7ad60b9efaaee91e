import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse, Undeliverable } from '../../core/deliver/parse.ts';
import { EVENT_FIELDS, Refused, ROW_COLUMNS, checkEvent, cleanText, isCurrency, quote, type Rejection, type Via } from '../../core/event.ts';
import { hourStart } from '../../core/hour.ts';
import { NOW, envelopeOf } from '../memory.ts';

type Fields = Record<string, unknown>;

/** The fields as a client of the door sends them, and what the check makes of them there. */
function throughDoor(via: Via, fields: Fields): Fields | Rejection {
  let raw: unknown = fields;
  if (via === 'pixel') {
    const query: Record<string, string> = { site: 'shop' };
    for (const [key, value] of Object.entries(fields)) {
      if (key === 'props') for (const [prop, text] of Object.entries(value as Fields)) query[`p.${prop}`] = String(text);
      else query[key] = typeof value === 'string' ? value : JSON.stringify(value);
    }
    const parsed = parse(JSON.stringify(envelopeOf({ via, query })));
    assert.ok(!(parsed instanceof Undeliverable) && Array.isArray(parsed.events));
    raw = parsed.events[0];
  }
  const checked = checkEvent(raw, via, NOW);
  if (!(checked instanceof Refused)) return { ...checked };
  const field = Object.entries(EVENT_FIELDS).find(([, { reason }]) => reason === checked.reason);
  if (field) assert.ok(checked.message.startsWith(`${field[0]} `) && checked.message.includes(`accepts ${field[1].accepts}`), checked.message);
  return checked.reason;
}

const list = <T>(length: number, of: (i: number) => T) => Array.from({ length }, (_, i) => of(i));
const propsOf = (count: number) => Object.fromEntries(list(count, (i) => [`k${i}`, 'v']));
const urlOf = (length: number) => 'https://shop.example/'.padEnd(length, 'a');

/** `reason` where the value is refused, `same` where it is accepted as it is, or what it is accepted as. */
const same = Symbol('accepted as it is');
type Case = [name: string, value: unknown, expected: unknown];

/** What holds on every door. */
const EVERYWHERE: Record<string, [Rejection, Case[]]> = {
  name: ['bad_name', [
    ['one letter', 'a', same],
    ['64 characters', `a${'b'.repeat(63)}`, same],
    ['digits and _ after the first letter', 'a_1', same],
    ['65 characters', `a${'b'.repeat(64)}`, 'bad_name'],
    ['a capital', 'Purchase', 'bad_name'],
    ['a digit at the start', '1a', 'bad_name'],
    ['_ at the start', '_a', 'bad_name'],
    ['a hyphen', 'page-view', 'bad_name'],
    ['a space', 'page view', 'bad_name'],
    ['a letter beyond a-z', 'käufe', 'bad_name'],
    ['a newline at the end', 'page_view\n', 'bad_name'],
  ]],
  id: ['bad_id', [
    ['one character', 'x', same],
    ['64 characters', 'x'.repeat(64), same],
    ['65 characters', 'x'.repeat(65), 'bad_id'],
    ['control characters become a space', 'a\u0000\r\nb', 'a b'],
  ]],
  url: ['bad_url', [
    ['https', 'https://shop.example/p/1?a=b#c', same],
    ['http with a port', 'http://shop.example:8080/', same],
    ['capitals in scheme and host', 'HTTPS://SHOP.EXAMPLE/P', same],
    ['an IPv6 host', 'https://[2001:db8::1]/', same],
    ['2,048 characters', urlOf(2048), same],
    ['2,049 characters', urlOf(2049), 'bad_url'],
    ['a path alone', '/p/1', 'bad_url'],
    ['no scheme', 'shop.example/p', 'bad_url'],
    ['a scheme-relative address', '//shop.example/', 'bad_url'],
    ['no host', 'https://', 'bad_url'],
    ['no host before the path', 'https:///p', 'bad_url'],
    ['ftp', 'ftp://shop.example/', 'bad_url'],
    ['javascript', 'javascript:alert(1)', 'bad_url'],
    ['an app', 'android-app://com.example.shop/', 'bad_url'],
    ['a space in the host', 'https://shop example/', 'bad_url'],
    ['a port beyond 65,535', 'https://shop.example:65536/', 'bad_url'],
  ]],
  referrer: ['bad_referrer', [
    ['https', 'https://www.google.com/search?q=shoes', same],
    ['2,048 characters', urlOf(2048), same],
    ['2,049 characters', urlOf(2049), 'bad_referrer'],
    ['a word', 'google', 'bad_referrer'],
    ['an app', 'android-app://com.google.android.gm/', 'bad_referrer'],
  ]],
  age: ['bad_age', [
    ['0', 0, same],
    ['half a millisecond', 0.5, same],
    ['half an hour', 1_800_000, same],
    ['more than half an hour', 1_800_000.5, 'bad_age'],
    ['less than 0', -1, 'bad_age'],
    ['a word', 'soon', 'bad_age'],
    ['blanks', ' ', 'bad_age'],
  ]],
  visitor: ['bad_visitor', [
    ['one character', 'v', same],
    ['64 characters', 'v'.repeat(64), same],
    ['65 characters', 'v'.repeat(65), 'bad_visitor'],
    ['a lone surrogate is replaced', 'v\ud800', 'v\ufffd'],
  ]],
  value: ['bad_value', [
    ['0', 0, same],
    ['a fraction', 19.99, same],
    ['less than 0', -5, same],
    ['1,000,000,000', 1_000_000_000, same],
    ['-1,000,000,000', -1_000_000_000, same],
    ['just above 1,000,000,000', 1_000_000_000.001, 'bad_value'],
    ['just below -1,000,000,000', -1_000_000_000.001, 'bad_value'],
    ['a price tag', '19.99 €', 'bad_value'],
    ['a decimal comma', '19,99', 'bad_value'],
    ['blanks', ' ', 'bad_value'],
    ['Infinity', 'Infinity', 'bad_value'],
    ['NaN', 'NaN', 'bad_value'],
  ]],
  currency: ['bad_currency', [
    ['EUR', 'EUR', same],
    ['JPY, which has no cents', 'JPY', same],
    ['lower case', 'eur', 'bad_currency'],
    ['a code that does not exist', 'QQQ', 'bad_currency'],
    ['a sign', '€', 'bad_currency'],
    ['two letters', 'EU', 'bad_currency'],
    ['a blank after it', 'EUR ', 'bad_currency'],
  ]],
  transaction_id: ['bad_transaction_id', [
    ['one character', 't', same],
    ['64 characters', 't'.repeat(64), same],
    ['65 characters', 't'.repeat(65), 'bad_transaction_id'],
  ]],
  items: ['bad_items', [
    ['none', [], same],
    ['an id alone', [{ id: 'sku-1' }], same],
    ['all four fields', [{ id: 'sku-1', name: 'Shoe', quantity: 2, price: 9.99 }], same],
    ['null fields count as absent', [{ id: 'sku-1', name: null, quantity: null, price: null }], [{ id: 'sku-1' }]],
    ['other fields are left out', [{ id: 'sku-1', colour: 'red' }], [{ id: 'sku-1' }]],
    ['a number as id becomes text', [{ id: 12 }], [{ id: '12' }]],
    ['50 entries', list(50, (i) => ({ id: `sku-${i}` })), same],
    ['51 entries', list(51, (i) => ({ id: `sku-${i}` })), 'bad_items'],
    ['an object in place of the list', { id: 'sku-1' }, 'bad_items'],
    ['text in place of the list', 'sku-1', 'bad_items'],
    ['an entry that is text', ['sku-1'], 'bad_items'],
    ['an entry that is null', [null], 'bad_items'],
    ['an entry that is a list', [[]], 'bad_items'],
    ['an entry without id', [{ name: 'Shoe' }], 'bad_items'],
    ['an empty id', [{ id: '' }], 'bad_items'],
    ['an id of 64 characters', [{ id: 's'.repeat(64) }], same],
    ['an id of 65 characters', [{ id: 's'.repeat(65) }], 'bad_items'],
    ['a name of 256 characters', [{ id: 's', name: 'n'.repeat(256) }], same],
    ['a name of 257 characters', [{ id: 's', name: 'n'.repeat(257) }], 'bad_items'],
    ['a name that is a number', [{ id: 's', name: 5 }], 'bad_items'],
    ['1,000,000 pieces', [{ id: 's', quantity: 1_000_000 }], same],
    ['1,000,001 pieces', [{ id: 's', quantity: 1_000_001 }], 'bad_items'],
    ['no piece', [{ id: 's', quantity: 0 }], 'bad_items'],
    ['half a piece', [{ id: 's', quantity: 1.5 }], 'bad_items'],
    ['less than no piece', [{ id: 's', quantity: -1 }], 'bad_items'],
    ['a quantity as text', [{ id: 's', quantity: '2' }], 'bad_items'],
    ['a price of 1,000,000,000', [{ id: 's', price: 1_000_000_000 }], same],
    ['a price above it', [{ id: 's', price: 1_000_000_000.5 }], 'bad_items'],
    ['a price below -1,000,000,000', [{ id: 's', price: -1_000_000_000.5 }], 'bad_items'],
    ['price times quantity of 1,000,000,000', [{ id: 's', price: 1000, quantity: 1_000_000 }], same],
    ['a basket above it in all', [{ id: 's', price: 600_000_000 }, { id: 't', price: 600_000_000 }], 'bad_items'],
    ['price times quantity above it', [{ id: 's', price: 1000.01, quantity: 1_000_000 }], 'bad_items'],
  ]],
  props: ['bad_props', [
    ['one', { colour: 'red' }, same],
    ['30 keys', propsOf(30), same],
    ['31 keys', propsOf(31), 'bad_props'],
    ['a key of 64 characters', { ['k'.repeat(64)]: 'v' }, same],
    ['a key of 65 characters', { ['k'.repeat(65)]: 'v' }, 'bad_props'],
    ['an empty key', { '': 'v' }, 'bad_props'],
    ['text of 256 characters', { k: 'v'.repeat(256) }, same],
    ['text of 257 characters', { k: 'v'.repeat(257) }, 'bad_props'],
    ['a key called __proto__ stays a key', Object.fromEntries([['__proto__', 'v']]), same],
    ['a key called constructor stays a key', { constructor: 'v' }, same],
    ['control characters become a space in keys too', { 'a\tb': 'c\nd' }, { 'a b': 'c d' }],
  ]],
};

/** What only JSON can say. */
const IN_JSON: Record<string, Case[]> = {
  name: [['a number', 5, 'bad_name'], ['an empty text', '', 'bad_name'], ['null, as if it were absent', null, 'bad_name']],
  id: [['a number', 7, 'bad_id'], ['an empty text', '', 'bad_id'], ['a list', ['x'], 'bad_id']],
  url: [['an empty text', '', 'bad_url'], ['an object', {}, 'bad_url']],
  referrer: [['an empty text', '', 'bad_referrer']],
  age: [['a number as text', '5', 'bad_age'], ['true', true, 'bad_age']],
  visitor: [['an empty text', '', 'bad_visitor'], ['a number', 5, 'bad_visitor']],
  value: [['a number as text', '5', 'bad_value'], ['beyond what a number holds', Infinity, 'bad_value'], ['a list', [5], 'bad_value']],
  currency: [['an empty text', '', 'bad_currency'], ['a number', 978, 'bad_currency']],
  transaction_id: [['an empty text is accepted', '', same], ['a number', 5, 'bad_transaction_id']],
  props: [
    ['none', {}, same],
    ['numbers, booleans and an empty text', { n: 1.5, yes: true, no: false, empty: '' }, same],
    ['null in it', { k: null }, 'bad_props'],
    ['an object in it', { k: {} }, 'bad_props'],
    ['a list in it', { k: [] }, 'bad_props'],
    ['beyond what a number holds', { k: Infinity }, 'bad_props'],
    ['a list in its place', ['a'], 'bad_props'],
    ['text in its place', 'a', 'bad_props'],
  ],
};

/** What only a server may say. */
const ON_SERVER_DOOR: Record<string, [Rejection, Case[]]> = {
  time: ['bad_time', [
    ['ISO 8601 in UTC', '2026-11-20T10:00:00Z', Date.UTC(2026, 10, 20, 10)],
    ['ISO 8601 with an offset', '2026-11-20T10:00:00+05:30', Date.UTC(2026, 10, 20, 4, 30)],
    ['ISO 8601 with a negative offset', '2026-11-20T01:00:00.250-08:00', Date.UTC(2026, 10, 20, 9, 0, 0, 250)],
    ['without seconds', '2026-11-20T10:00Z', Date.UTC(2026, 10, 20, 10)],
    ['microseconds are cut', '2026-11-20T10:00:00.123999Z', Date.UTC(2026, 10, 20, 10, 0, 0, 123)],
    ['epoch ms', NOW - 1, same],
    ['a part of a millisecond is cut', NOW - 0.5, NOW - 1],
    ['the first moment of 2010', '2010-01-01T00:00:00Z', Date.UTC(2010, 0, 1)],
    ['the last moment of 2009', '2009-12-31T23:59:59.999Z', 'bad_time'],
    ['the last moment of 2009 in epoch ms', Date.UTC(2010, 0, 1) - 1, 'bad_time'],
    ['10 minutes ahead', NOW + 600_000, same],
    ['a millisecond more', NOW + 600_001, 'bad_time'],
    ['epoch seconds', NOW / 1000, 'bad_time'],
    ['a date alone', '2026-11-20', 'bad_time'],
    ['a time without offset', '2026-11-20T10:00:00', 'bad_time'],
    ['epoch ms as text', String(NOW), 'bad_time'],
    ['a date that does not exist', '2026-02-30T10:00:00Z', 'bad_time'],
    ['a month that does not exist', '2026-13-01T10:00:00Z', 'bad_time'],
    ['an hour that does not exist', '2026-11-19T25:00:00Z', 'bad_time'],
    ['words', 'yesterday', 'bad_time'],
    ['true', true, 'bad_time'],
    ['an empty text', '', 'bad_time'],
  ]],
  ip: ['bad_ip', [
    ['IPv4', '203.0.113.7', same],
    ['IPv6', '2001:db8::1', same],
    ['IPv6 in capitals', '2001:DB8::A', same],
    ['IPv4 in IPv6', '::ffff:203.0.113.7', same],
    ['an empty text', '', 'bad_ip'],
    ['a name', 'localhost', 'bad_ip'],
    ['hexadecimal letters', 'cafe', 'bad_ip'],
    ['an address with a port', '203.0.113.7:443', 'bad_ip'],
    ['three numbers', '203.0.113', 'bad_ip'],
    ['a number above 255', '203.0.113.256', 'bad_ip'],
    ['two addresses', '203.0.113.7, 10.0.0.1', 'bad_ip'],
    ['a number', 3405803783, 'bad_ip'],
  ]],
  user_agent: ['bad_user_agent', [
    ['one character', 'x', same],
    ['2,048 characters', 'x'.repeat(2048), same],
    ['2,049 characters', 'x'.repeat(2049), 'bad_user_agent'],
    ['an empty text', '', 'bad_user_agent'],
    ['a number', 5, 'bad_user_agent'],
  ]],
  country: ['bad_country', [
    ['two capitals', 'DE', same],
    ['lower case', 'de', 'bad_country'],
    ['three letters', 'DEU', 'bad_country'],
    ['one letter', 'D', 'bad_country'],
    ['an empty text', '', 'bad_country'],
  ]],
};

function testField(via: Via, field: string, [name, value, expected]: Case): void {
  test(`${via}: ${field}: ${name}`, () => {
    const fields: Fields = { name: 'x', [field]: value };
    const outcome = expected === same ? { ...fields } : typeof expected === 'string' && expected.startsWith('bad_') ? expected : { ...fields, [field]: expected };
    assert.deepEqual(throughDoor(via, fields), outcome);
  });
}

for (const [field, [, cases]] of Object.entries(EVERYWHERE)) for (const via of ['pixel', 'beacon', 'api'] as const) for (const one of cases) testField(via, field, one);
for (const [field, cases] of Object.entries(IN_JSON)) for (const via of ['beacon', 'api'] as const) for (const one of cases) testField(via, field, one);
for (const [field, [, cases]] of Object.entries(ON_SERVER_DOOR)) for (const one of cases) testField('api', field, one);

test('every field has an accepted and a refused case above, with its own reason', () => {
  const tables = { ...EVERYWHERE, ...ON_SERVER_DOOR };
  for (const [field, { reason }] of Object.entries(EVENT_FIELDS)) {
    const [stated, cases] = tables[field] ?? assert.fail(`no cases for ${field}`);
    assert.equal(stated, reason);
    assert.ok(cases.some(([, , expected]) => expected === same), `${field}: no accepted value`);
    assert.ok(cases.some(([, , expected]) => expected === reason), `${field}: no refused value`);
  }
});

for (const via of ['pixel', 'beacon'] as const) {
  test(`${via}: what only a server may say is not heard, nor refused`, () => {
    const fields = { name: 'x', time: 'yesterday', ip: 'nowhere', user_agent: 'x'.repeat(3000), country: 'Germany' };
    assert.deepEqual(throughDoor(via, fields), { name: 'x' });
    assert.deepEqual(throughDoor(via, { name: 'x', time: NOW - 5, ip: '203.0.113.7', user_agent: 'x', country: 'DE' }), { name: 'x' });
  });
}

test('the pixel: an event without a name is a page view', () => {
  assert.deepEqual(throughDoor('pixel', {}), { name: 'page_view' });
});

test('the other doors: an event without a name is refused', () => {
  assert.equal(throughDoor('beacon', {}), 'bad_name');
  assert.equal(throughDoor('api', {}), 'bad_name');
});

test('null counts as absent in every field', () => {
  const fields = Object.fromEntries(Object.keys(EVENT_FIELDS).map((field) => [field, null]));
  assert.deepEqual(throughDoor('api', { ...fields, name: 'x' }), { name: 'x' });
});

test('fields we do not know are left out, __proto__ among them', () => {
  const raw: unknown = JSON.parse('{"name":"x","colour":"red","__proto__":{"id":"inherited"},"constructor":1}');
  assert.deepEqual(throughDoor('api', raw as Fields), { name: 'x' });
});

test('fields an event inherits are not its own', () => {
  assert.equal(throughDoor('beacon', Object.create({ name: 'x' }) as Fields), 'bad_name');
});

for (const raw of [undefined, null, 5, 'page_view', true, [], [{ name: 'x' }]]) {
  test(`${quote(raw)} is no event`, () => {
    const refused = checkEvent(raw, 'beacon', NOW);
    assert.ok(refused instanceof Refused);
    assert.equal(refused.reason, 'bad_event');
  });
}

// Browsers and URL parsers drop tabs and newlines; whoever reads the accepted text again must get the same page.
for (const url of ['https://shop\t.example/', 'https://sh\nop.example/p', 'https://\rshop.example/', 'https://shop.example:8\t0/', 'https://shop.example/a\tb', 'ht\ttps://shop.example/', ' https://shop.example/', 'https://shop.example/\ud800', 'https://sh\ud800op.example/', 'https://shop.example/\u0000']) {
  test(`the url ${JSON.stringify(url)} is refused, or accepted as one that still parses`, () => {
    for (const field of ['url', 'referrer'] as const) {
      const checked = checkEvent({ name: 'x', [field]: url }, 'beacon', NOW);
      if (!(checked instanceof Refused)) assert.ok(URL.canParse(checked[field]!), JSON.stringify(checked[field]));
    }
  });
}

test('a refusal quotes at most 80 characters of the value', () => {
  const refused = checkEvent({ name: 'N'.repeat(10_000_000) }, 'beacon', NOW);
  assert.ok(refused instanceof Refused);
  assert.ok(refused.message.length < 250, refused.message.slice(0, 300));
});

const CLEAN: [string, string, string][] = [
  ['plain text stays', 'Füße, 東京, 👩‍👩‍👧, ‏עברית‎', 'Füße, 東京, 👩‍👩‍👧, ‏עברית‎'],
  ['a newline becomes a space', 'a\nb', 'a b'],
  ['a run of control characters becomes one space', 'a\r\n\t\u0000\u001fb', 'a b'],
  ['DEL becomes a space', 'a\u007fb', 'a b'],
  ['the control characters beyond ASCII become a space', 'a\u0085\u009bb', 'a b'],
  ['a lone surrogate is replaced', '\ud83d', '\ufffd'],
  ['a pair of surrogates stays', '\ud83d\ude00', '\ud83d\ude00'],
  ['surrogates in the wrong order are replaced', '\ude00\ud83d', '\ufffd\ufffd'],
  ['an empty text stays', '', ''],
];
for (const [name, input, expected] of CLEAN) test(`cleanText: ${name}`, () => { assert.equal(cleanText(input), expected); });

const circular: Record<string, unknown> = {};
circular.self = circular;
const QUOTED: [string, unknown, string][] = [
  ['text in quotation marks', 'a"b', '"a\\"b"'],
  ['a number', 5, '5'],
  ['nothing', undefined, 'undefined'],
  ['an object', { a: 1 }, '{"a":1}'],
  ['one that refers to itself, by its type', circular, 'object'],
  ['a bigint, by its type', 5n, 'bigint'],
  ['one nested too deeply, by its type', JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)), 'object'],
  ['a newline as a space', 'a\nb', '"a b"'],
  ['the first 80 characters of long text', 'x'.repeat(81), `"${'x'.repeat(78)}…`],
];
for (const [name, input, expected] of QUOTED) test(`quote: ${name}`, () => { assert.equal(quote(input), expected); });

test('currencies are those of ISO 4217, in capitals', () => {
  for (const code of ['EUR', 'USD', 'JPY', 'INR', 'BHD', 'XAF']) assert.ok(isCurrency(code), code);
  for (const code of ['', 'eur', 'EURO', 'QQQ', '__proto__']) assert.ok(!isCurrency(code), code);
});

test('hourStart: the hour a moment falls in', () => {
  const start = Date.UTC(2026, 10, 20, 10);
  assert.equal(hourStart(start), start);
  assert.equal(hourStart(start + 3_599_999), start);
  assert.equal(hourStart(start + 3_600_000), start + 3_600_000);
  assert.equal(hourStart(0), 0);
});

test('a row has the columns of the contract', () => {
  const contract = `site_id event_key name ts quarter local_day visitor sketch_bucket sketch_rank host path referrer_host source channel
    utm_source utm_medium utm_campaign utm_content utm_term country device browser os language value_micros currency transaction_id
    product_id quantity props bot rejected via received_at processed_at v`.split(/\s+/);
  for (const column of contract) assert.ok(Object.hasOwn(ROW_COLUMNS, column), column);
  assert.ok(!Object.keys(ROW_COLUMNS).some((column) => /^ip|address/.test(column)), 'no column for the address');
});
