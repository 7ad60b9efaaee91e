import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Undeliverable, parse } from '../../../core/deliver/parse.ts';
import { Refused } from '../../../core/event.ts';
import { NOW, envelopeOf } from '../../memory.ts';

const pixel = (query: unknown, more = {}) => JSON.stringify({ ...envelopeOf({ via: 'pixel' }), query, ...more });
const beacon = (body: unknown) => JSON.stringify({ ...envelopeOf(), body });
const deep = '['.repeat(100_000) + ']'.repeat(100_000);

const NO_ENVELOPES: [name: string, record: string][] = [
  ['nothing at all', ''],
  ['text that is not JSON', 'hello'],
  ['half an envelope', pixel({ site: 'shop' }).slice(0, -5)],
  ['null', 'null'],
  ['a number', '5'],
  ['a list', '[]'],
  ['an object without anything', '{}'],
  ['a very deep list', deep],
  ['another version', pixel({}, { v: 2 })],
  ['no version', pixel({}, { v: undefined })],
  ['a door that does not exist', pixel({}, { via: 'telex' })],
  ['a door called constructor', pixel({}, { via: 'constructor' })],
  ['no id', pixel({}, { id: undefined })],
  ['an id that is a number', pixel({}, { id: 5 })],
  ['no time', pixel({}, { at: undefined })],
  ['time 0', pixel({}, { at: 0 })],
  ['a time before 1970', pixel({}, { at: -1 })],
  ['a time that is text', pixel({}, { at: String(NOW) })],
  ['a part of a millisecond', pixel({}, { at: NOW + 0.5 })],
  ['a time beyond what dates hold', pixel({}, { at: 8.64e15 + 1 })],
  ['a time beyond the year 9999, which no partition is named after', pixel({}, { at: Date.UTC(10_000, 0, 1) })],
  ['an address that is no text', pixel({}, { ip: 5 })],
  ['a user agent that is no text', pixel({}, { ua: ['x'] })],
  ['a country that is null', pixel({}, { country: null })],
  ['a pixel without parameters', pixel(undefined)],
  ['a pixel whose parameters are null', pixel(null)],
  ['a pixel whose parameters are text', pixel('site=shop')],
  ['a pixel with a site that is no text', pixel({ site: { toString: 1 } })],
  ['a pixel with a value that is no text', pixel({ site: 'shop', value: { valueOf: 1, toString: 1 } })],
  ['a body that is no text', beacon({ site: 'shop', events: [] })],
];
for (const [name, record] of NO_ENVELOPES) {
  test(`no envelope: ${name}`, () => {
    const parsed = parse(record);
    assert.ok(parsed instanceof Undeliverable);
    assert.ok(parsed.message.length > 0 && parsed.message.length < 300, parsed.message.slice(0, 300));
  });
}

type Outcome = { claimed: string; events: unknown[] | 'bad_body' };
const ENVELOPES: [name: string, record: string, expected: Outcome][] = [
  ['the pixel: its parameters are the fields of one event', pixel({ site: 'shop', name: 'signup', id: '7', url: 'https://a.example/' }),
    { claimed: 'shop', events: [{ name: 'signup', id: '7', url: 'https://a.example/' }] }],
  ['the pixel: value and age are numbers', pixel({ site: 'shop', url: 'https://a.example/', value: '12.50', age: '0' }),
    { claimed: 'shop', events: [{ url: 'https://a.example/', value: 12.5, age: 0 }] }],
  ['the pixel: a value that is no number stays text', pixel({ site: 'shop', url: 'https://a.example/', value: '12,50' }),
    { claimed: 'shop', events: [{ url: 'https://a.example/', value: '12,50' }] }],
  ['the pixel: items are JSON', pixel({ site: 'shop', url: 'https://a.example/', items: '[{"id":"1"}]' }),
    { claimed: 'shop', events: [{ url: 'https://a.example/', items: [{ id: '1' }] }] }],
  ['the pixel: items that are no JSON stay text', pixel({ site: 'shop', url: 'https://a.example/', items: '[{' }),
    { claimed: 'shop', events: [{ url: 'https://a.example/', items: '[{' }] }],
  ['the pixel: p.<key> are props, as text', pixel({ site: 'shop', url: 'https://a.example/', 'p.colour': 'red', 'p.size': '42', 'p.p.x': 'y' }),
    { claimed: 'shop', events: [{ url: 'https://a.example/', props: { colour: 'red', size: '42', 'p.x': 'y' } }] }],
  ['the pixel: empty parameters count as absent', pixel({ site: 'shop', name: '', url: '', value: '', 'p.colour': '' }, { referer: 'https://b.example/' }),
    { claimed: 'shop', events: [{ url: 'https://b.example/' }] }],
  ['the pixel: without url the page is the Referer', pixel({ site: 'shop' }, { referer: 'https://b.example/p' }),
    { claimed: 'shop', events: [{ url: 'https://b.example/p' }] }],
  ['the pixel: a url beats the Referer', pixel({ site: 'shop', url: 'https://a.example/' }, { referer: 'https://b.example/' }),
    { claimed: 'shop', events: [{ url: 'https://a.example/' }] }],
  ['the pixel: no site', pixel({ url: 'https://a.example/' }), { claimed: '', events: [{ url: 'https://a.example/' }] }],
  ['the beacon: its events as they are', beacon('{"site":"shop","events":[{"name":"a"},5,null]}'), { claimed: 'shop', events: [{ name: 'a' }, 5, null] }],
  ['the beacon: no events', beacon('{"site":"shop","events":[]}'), { claimed: 'shop', events: [] }],
  ['the beacon: a site that is no text', beacon('{"site":5,"events":[{}]}'), { claimed: '', events: [{}] }],
  ['the beacon: no site', beacon('{"events":[{}]}'), { claimed: '', events: [{}] }],
  ['the beacon: events that are no list', beacon('{"site":"shop","events":{"0":{}}}'), { claimed: 'shop', events: 'bad_body' }],
  ['the beacon: no events field', beacon('{"site":"shop"}'), { claimed: 'shop', events: 'bad_body' }],
  ['the beacon: a body that is not JSON', beacon('site=shop'), { claimed: '', events: 'bad_body' }],
  ['the beacon: an empty body', beacon(''), { claimed: '', events: 'bad_body' }],
  ['the beacon: no body', beacon(undefined), { claimed: '', events: 'bad_body' }],
  ['the beacon: a body that is null', beacon('null'), { claimed: '', events: 'bad_body' }],
  ['the beacon: a body that is a number', beacon('5'), { claimed: '', events: 'bad_body' }],
  ['the beacon: a body that is a list', beacon('[{"name":"a"}]'), { claimed: '', events: 'bad_body' }],
  ['the beacon: a very deep body', beacon(deep), { claimed: '', events: 'bad_body' }],
  ['the server door: its events as they are', JSON.stringify(envelopeOf({ via: 'api', body: '{"site":"shop","events":[{"name":"a"}]}' })), { claimed: 'shop', events: [{ name: 'a' }] }],
];
for (const [name, record, expected] of ENVELOPES) {
  test(name, () => {
    const parsed = parse(record);
    assert.ok(!(parsed instanceof Undeliverable), parsed instanceof Undeliverable ? parsed.message : '');
    const { claimed, events } = parsed;
    assert.deepEqual({ claimed, events: events instanceof Refused ? events.reason : events }, expected);
  });
}

test('the pixel: parameters called __proto__ and constructor change nothing', () => {
  const parsed = parse(`{"v":1,"via":"pixel","id":"r","at":${NOW},"query":{"site":"shop","__proto__":"x","constructor":"y","p.__proto__":"z"}}`);
  assert.ok(!(parsed instanceof Undeliverable) && Array.isArray(parsed.events));
  const event = parsed.events[0] as { props: object };
  assert.equal(Object.getPrototypeOf(event), Object.prototype);
  assert.deepEqual(Object.entries(event.props), [['__proto__', 'z']]);
});
