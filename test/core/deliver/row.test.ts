import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Draft } from '../../../core/deliver/draft.ts';
import { eventKey, itemRows, refusedRow, row, rowJson, rowLine } from '../../../core/deliver/row.ts';
import { ROW_COLUMNS, Refused, type Event, type Row } from '../../../core/event.ts';
import { NOW, contextOf, draftOf, envelopeOf, siteOf } from '../../memory.ts';

const beacon = envelopeOf();
const api = envelopeOf({ via: 'api', id: 'request-1.0' });

type Sent = [site: string, raw: unknown, envelope?: typeof beacon, index?: number];
const KEYS: [name: string, a: Sent, b: Sent, same: boolean][] = [
  ['the same id in another request', ['shop', { name: 'x', id: '1' }], ['shop', { name: 'x', id: '1' }, envelopeOf({ id: 'request-2' }), 3], true],
  ['the same id, whatever else changed', ['shop', { name: 'x', id: '1' }], ['shop', { name: 'y', id: '1', value: 5 }], true],
  ['another id', ['shop', { name: 'x', id: '1' }], ['shop', { name: 'x', id: '2' }], false],
  ['the same id on another site', ['shop', { name: 'x', id: '1' }], ['shop-2', { name: 'x', id: '1' }], false],
  ['a purchase of the same transaction under another id', ['shop', { name: 'purchase', id: '1', transaction_id: 'T' }], ['shop', { name: 'purchase', id: '2', transaction_id: 'T' }], true],
  ['a purchase of another transaction under the same id', ['shop', { name: 'purchase', id: '1', transaction_id: 'T' }], ['shop', { name: 'purchase', id: '1', transaction_id: 'U' }], false],
  ['the same transaction on another site', ['shop', { name: 'purchase', transaction_id: 'T' }], ['shop-2', { name: 'purchase', transaction_id: 'T' }], false],
  ['an empty transaction never collapses', ['shop', { name: 'purchase', transaction_id: '' }], ['shop', { name: 'purchase', transaction_id: '' }, beacon, 1], false],
  ['an empty transaction leaves the id to tell', ['shop', { name: 'purchase', id: '1', transaction_id: '' }], ['shop', { name: 'purchase', id: '1', transaction_id: '' }, envelopeOf({ id: 'request-2' })], true],
  ['a refund of the transaction is not its purchase', ['shop', { name: 'purchase', transaction_id: 'T' }], ['shop', { name: 'refund', transaction_id: 'T' }], false],
  ['two refunds of one transaction are two', ['shop', { name: 'refund', transaction_id: 'T' }], ['shop', { name: 'refund', transaction_id: 'T' }, beacon, 1], false],
  ['an id and a transaction of the same text', ['shop', { name: 'purchase', transaction_id: 'T' }], ['shop', { name: 'purchase', id: 'T' }], false],
  ['no id: the same place in the same request', ['shop', { name: 'x' }], ['shop', { name: 'x' }], true],
  ['no id: another place in the request', ['shop', { name: 'x' }], ['shop', { name: 'x' }, beacon, 1], false],
  ['no id: another request', ['shop', { name: 'x' }], ['shop', { name: 'x' }, envelopeOf({ id: 'request-2' })], false],
  ['the server door, no id: the same content in another request', ['shop', { name: 'x', value: 1 }, api], ['shop', { name: 'x', value: 1 }, envelopeOf({ via: 'api', id: 'request-2.5' }), 7], true],
  ['the server door, no id: other content', ['shop', { name: 'x', value: 1 }, api], ['shop', { name: 'x', value: 2 }, api], false],
  ['an id as long as it may be', ['shop', { name: 'x', id: 'i'.repeat(64) }], ['shop', { name: 'x', id: 'i'.repeat(64) }, beacon, 1], true],
  ['an id that is too long does not count', ['shop', { name: 'x', id: 'i'.repeat(65) }], ['shop', { name: 'x', id: 'i'.repeat(65) }, beacon, 1], false],
  ['an id that is no text does not count', ['shop', { name: 'x', id: 5 }], ['shop', { name: 'x', id: 5 }, beacon, 1], false],
  ['what is no event has its place', ['shop', null], ['shop', 'x'], true],
];
for (const [name, a, b, same] of KEYS) {
  test(`event key: ${name}: ${same ? 'the same' : 'different'}`, () => {
    const [one, other] = [a, b].map(([site, raw, envelope = beacon, index = 0]) => eventKey(site, raw, envelope, index));
    assert.equal(one === other, same);
    assert.equal(one, BigInt.asIntN(64, one!));
  });
}

test('event key: the server door has one too for what has no content', () => {
  assert.equal(typeof eventKey('shop', undefined, api, 0), 'bigint');
});

function rowsFor(event: Event, more: Partial<Draft> = {}): Row[] {
  const draft = draftOf({ event, raw: event, name: event.name, ts: NOW, quarter: Math.trunc(NOW / 900_000), bot: false, ...more });
  row(draft, contextOf());
  return [Object.fromEntries(Object.keys(ROW_COLUMNS).map((name) => [name, draft[name as keyof Row]])), ...itemRows(draft)];
}

const MICROS: [value: number, expected: number][] = [
  [0, 0], [1, 1_000_000], [19.99, 19_990_000], [0.1 + 0.2, 300_000], [1.005, 1_005_000], [0.000001, 1], [0.0000004, 0],
  [-5.5, -5_500_000], [1_000_000_000, 1_000_000_000_000_000], [-1_000_000_000, -1_000_000_000_000_000], [999_999_999.999999, 999_999_999_999_999], [4.35, 4_350_000],
];
for (const [value, expected] of MICROS) {
  test(`a value of ${value} is ${expected} millionths`, () => { assert.equal(rowsFor({ name: 'x', value })[0]!.value_micros, expected); });
}

const REVENUE: [name: string, event: Event, currency: string | undefined, revenue: number | undefined][] = [
  ['a purchase in the site\'s currency adds', { name: 'purchase', value: 20, currency: 'EUR' }, 'EUR', 20_000_000],
  ['a purchase without currency is in the site\'s', { name: 'purchase', value: 20 }, 'EUR', 20_000_000],
  ['a purchase of nothing adds 0', { name: 'purchase', value: 0 }, 'EUR', 0],
  ['a purchase in another currency has no revenue', { name: 'purchase', value: 20, currency: 'USD' }, 'USD', undefined],
  ['a purchase without value has none', { name: 'purchase', currency: 'EUR' }, undefined, undefined],
  ['a purchase of less than nothing takes off', { name: 'purchase', value: -20 }, 'EUR', -20_000_000],
  ['a refund takes off', { name: 'refund', value: 20 }, 'EUR', -20_000_000],
  ['a refund written as a negative value takes off too', { name: 'refund', value: -20 }, 'EUR', -20_000_000],
  ['a refund in another currency has no revenue', { name: 'refund', value: 20, currency: 'USD' }, 'USD', undefined],
  ['a product in the cart is no revenue', { name: 'add_to_cart', value: 20 }, 'EUR', undefined],
  ['a custom event with a value is no revenue', { name: 'donation', value: 20 }, 'EUR', undefined],
];
for (const [name, event, currency, revenue] of REVENUE) {
  test(name, () => {
    const [row] = rowsFor(event);
    assert.equal(row!.currency, currency);
    assert.equal(row!.revenue_micros, revenue);
  });
}

const product = ({ name, product_id, quantity, value_micros, currency, revenue_micros }: Row) => ({ name, product_id, quantity, value_micros, currency, revenue_micros });

test('items become rows of their own, folded by product', () => {
  const rows = rowsFor({
    name: 'purchase', transaction_id: 'T', value: 100, currency: 'EUR',
    items: [{ id: 'a', quantity: 2, price: 9.99 }, { id: 'b', price: 5 }, { id: 'a', quantity: 1, price: 0.02 }, { id: 'c' }, { id: '__proto__', quantity: 3 }],
  });
  assert.deepEqual(rows.slice(1).map(product), [
    { name: 'purchase_item', product_id: 'a', quantity: 3, value_micros: 20_000_000, currency: 'EUR', revenue_micros: 20_000_000 },
    { name: 'purchase_item', product_id: 'b', quantity: 1, value_micros: 5_000_000, currency: 'EUR', revenue_micros: 5_000_000 },
    { name: 'purchase_item', product_id: 'c', quantity: 1, value_micros: undefined, currency: undefined, revenue_micros: undefined },
    { name: 'purchase_item', product_id: '__proto__', quantity: 3, value_micros: undefined, currency: undefined, revenue_micros: undefined },
  ]);
  assert.equal(new Set(rows.map(({ event_key }) => event_key)).size, 1);
  assert.equal(rows[0]!.product_id, undefined);
});

test('the items of a refund take off', () => {
  const [, item] = rowsFor({ name: 'refund', items: [{ id: 'a', quantity: 2, price: 5 }] });
  assert.deepEqual(product(item!), { name: 'refund_item', product_id: 'a', quantity: 2, value_micros: 10_000_000, currency: 'EUR', revenue_micros: -10_000_000 });
});

test('items in another currency have no revenue', () => {
  const [, item] = rowsFor({ name: 'purchase', currency: 'USD', items: [{ id: 'a', price: 5 }] });
  assert.deepEqual(product(item!), { name: 'purchase_item', product_id: 'a', quantity: 1, value_micros: 5_000_000, currency: 'USD', revenue_micros: undefined });
});

test('no items, no rows of items', () => {
  assert.equal(rowsFor({ name: 'view_item' }).length, 1);
  assert.equal(rowsFor({ name: 'view_item', items: [] }).length, 1);
});

test('the items of an event repeat when, where and which it was, not who', () => {
  const [row, item] = rowsFor({ name: 'view_item', items: [{ id: 'a' }] }, { visitor: 5n, path: '/p', bot: true });
  for (const column of ['site_id', 'ts', 'quarter', 'local_day', 'bot', 'via', 'received_at', 'processed_at', 'v'] as const) assert.equal(item![column], row![column], column);
  assert.equal(item!.visitor, undefined);
  assert.equal(item!.path, undefined);
});

test('the dearest basket there may be adds up exactly', () => {
  const items = Array.from({ length: 11 }, () => ({ id: 'a', price: 90_909_090.90909 }));
  assert.match(rowJson(rowsFor({ name: 'view_item', items })[1]!), /"value_micros":999999999999990[,}]/);
});

test('an event\'s row has what the steps found, and the site\'s own id', () => {
  const event: Event = { name: 'x', transaction_id: '', props: { colour: 'red', n: 1, yes: true }, visitor: 'v' };
  const [row] = rowsFor(event, { envelope: envelopeOf({ ip: '203.0.113.7', ua: 'browser', via: 'pixel' }), site: siteOf({ id: 'shop-9' }), claimed: 'ignored', visitor: -1n, sketch_bucket: 4095, sketch_rank: 1, source: 'google', country: 'DE' });
  assert.deepEqual(JSON.parse(JSON.stringify(row, (key, value: unknown) => (key === 'event_key' ? undefined : typeof value === 'bigint' ? `${value}n` : value))), {
    site_id: 'shop-9', name: 'x', ts: NOW, quarter: Math.trunc(NOW / 900_000), local_day: '2026-11-20', visitor: '-1n', sketch_bucket: 4095, sketch_rank: 1,
    source: 'google', country: 'DE', props: '{"colour":"red","n":1,"yes":true}', bot: false, via: 'pixel', place: 0, received_at: NOW, processed_at: NOW, v: 1,
  });
});

test('a refused event\'s row says that it was, when, where and why, and nothing of what it said', () => {
  const raw = { name: 'purchase', id: '1', visitor: 'me@mail.example', url: 'https://shop.example/secret' };
  const row = refusedRow(draftOf({ raw, name: 'purchase', site_id: 'shop', ts: NOW, quarter: 1, visitor: 5n, path: '/secret' }), new Refused('bad_value', 'value …'), NOW + 5, 3);
  assert.deepEqual(row, {
    site_id: 'shop', event_key: eventKey('shop', raw, beacon, 0), name: 'purchase', ts: NOW, quarter: 1, local_day: '2026-11-20', quantity: 3,
    bot: false, rejected: 'bad_value', via: 'beacon', place: 0, received_at: NOW, processed_at: NOW + 5, v: row.v,
  });
});

test('an event that is sent again in order has the key it had when it was refused', () => {
  const refused = refusedRow(draftOf({ raw: { name: 'x', id: '1', value: 'dear' } }), new Refused('bad_value', ''), NOW, 1);
  assert.equal(refused.event_key, rowsFor({ name: 'x', id: '1', value: 5 })[0]!.event_key);
});

const JSONS: [name: string, row: Row, expected: string][] = [
  ['the digits of 64 bits are exact', { event_key: 2n ** 63n - 1n, visitor: -(2n ** 63n) }, '{"event_key":9223372036854775807,"visitor":-9223372036854775808}'],
  ['columns that are not there are left out', { site_id: 'shop', name: undefined, bot: false, quarter: 0 }, '{"site_id":"shop","quarter":0,"bot":false}'],
  ['the order is that of the columns', { v: 1, site_id: 'shop' }, '{"site_id":"shop","v":1}'],
  ['numbers are written out', { value_micros: 1_000_000_000_000_000, revenue_micros: -0, ts: NOW }, `{"ts":${NOW},"value_micros":1000000000000000,"revenue_micros":0}`],
  ['text is escaped', { path: '/"\\\n</script>\u2028' }, '{"path":"/\\"\\\\\\n</script>\u2028"}'],
];
for (const [name, row, expected] of JSONS) {
  test(`row as JSON: ${name}`, () => {
    const json = rowJson(row);
    assert.equal(json, expected);
    JSON.parse(json);
  });
}

test('row as JSON: every column is written', () => {
  const row = Object.fromEntries(Object.entries(ROW_COLUMNS).map(([name, type]) => [name, type === 'string' ? 'x' : type === 'boolean' ? true : type === 'hash' ? 1n : 1])) as Row;
  assert.deepEqual(Object.keys(JSON.parse(rowJson(row)) as object), Object.keys(ROW_COLUMNS));
});

test('row as a line: a value for each column, in their order; nothing where there is none', () => {
  const row = Object.fromEntries(Object.entries(ROW_COLUMNS).map(([name, type], i) => [name, type === 'string' ? name : type === 'boolean' ? false : type === 'hash' ? 2n ** 63n - BigInt(i) : i])) as Row;
  const line = Object.entries(ROW_COLUMNS).map(([name, type], i) => (type === 'string' ? name : type === 'boolean' ? 'false' : type === 'hash' ? String(2n ** 63n - BigInt(i)) : String(i)));
  assert.deepEqual(rowLine(row).split('\u001f'), line);
  assert.equal(rowLine({}), '\u001f'.repeat(line.length - 1));
});

for (const text of ['\n', '\r', '\0', '\u001f', '\u001e', 'a\u001fb']) {
  test(`row as a line: ${JSON.stringify(text)} in a text is told, and not written`, () => {
    for (const row of [{ site_id: text }, { path: text }, { props: text }, { via: text }] as Row[]) assert.throws(() => rowLine(row), /control character/);
  });
}
