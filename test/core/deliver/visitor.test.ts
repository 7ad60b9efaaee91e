import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { Draft } from '../../../core/deliver/draft.ts';
import { visitor } from '../../../core/deliver/visitor.ts';
import { hash64 } from '../../../core/hash.ts';
import { contextOf, draftOf, envelopeOf, siteOf } from '../../memory.ts';
import { saidBy } from './said-by.ts';

const IP = '203.0.113.7';
const UA = 'Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0';
const context = contextOf({ salts: new Map([['2026-11-20', 'salt A'], ['2026-11-21', 'salt B']]) });

function who(more: Partial<Draft>): bigint | undefined {
  const said = saidBy(visitor, draftOf({ envelope: envelopeOf({ ip: IP, ua: UA }), ...more }), context) as { visitor?: bigint };
  if (said.visitor !== undefined) assert.equal(said.visitor, BigInt.asIntN(64, said.visitor));
  return said.visitor;
}

const named = { name: 'x', visitor: 'v-1' };
const api = envelopeOf({ via: 'api', ip: '198.51.100.1', ua: 'curl/8.5.0' });

const PAIRS: [name: string, a: Partial<Draft>, b: Partial<Draft>, same: boolean][] = [
  ['an id is the same visitor whatever the address and the browser', { event: named }, { event: named, envelope: envelopeOf({ ip: '198.51.100.9', ua: 'other' }) }, true],
  ['an id is the same visitor on another day', { event: named }, { event: named, local_day: '2026-11-21' }, true],
  ['an id is the same visitor through another door', { event: named }, { event: named, envelope: api }, true],
  ['an id on two sites is two visitors', { event: named }, { event: named, site: siteOf({ id: 'shop-2' }) }, false],
  ['two ids are two visitors', { event: named }, { event: { name: 'x', visitor: 'v-2' } }, false],
  ['cookieless: the same address and browser on the same day', {}, { index: 5 }, true],
  ['cookieless: another day has another salt', {}, { local_day: '2026-11-21' }, false],
  ['cookieless: another site', {}, { site: siteOf({ id: 'shop-2' }) }, false],
  ['cookieless: another address', {}, { envelope: envelopeOf({ ip: '203.0.113.8', ua: UA }) }, false],
  ['cookieless: another browser', {}, { envelope: envelopeOf({ ip: IP, ua: 'other' }) }, false],
  ['cookieless: no browser is as good as an empty one', { envelope: envelopeOf({ ip: IP }) }, { envelope: envelopeOf({ ip: IP, ua: '' }) }, true],
  ['an id that looks like an address is not that address', {}, { event: { name: 'x', visitor: IP } }, false],
  ['the server door: the address and browser it speaks for', { envelope: api, event: { name: 'x', ip: IP, user_agent: UA } }, {}, true],
  ['the server door: another address it speaks for', { envelope: api, event: { name: 'x', ip: '203.0.113.8', user_agent: UA } }, {}, false],
];
for (const [name, a, b, same] of PAIRS) {
  test(`${name}: ${same ? 'the same' : 'different'}`, () => {
    assert.notEqual(who(a), undefined);
    assert.equal(who(a) === who(b), same);
  });
}

test('the server door: with neither visitor nor address there is none, whatever the server\'s own address', () => {
  assert.equal(who({ envelope: api, event: { name: 'x', user_agent: UA } }), undefined);
});

test('a browser door without an address has none', () => {
  assert.equal(who({ envelope: envelopeOf({ ua: UA }) }), undefined);
});

test('a salt that was not loaded is an error of ours, not a visitor', () => {
  assert.throws(() => who({ local_day: '2026-11-22' }), /2026-11-22/);
});

test('the hash is the first 64 bits of SHA-256 over the parts with their lengths', () => {
  const expected = createHash('sha256').update('1:a2:bc0:').digest().readBigInt64BE(0);
  assert.equal(hash64('a', 'bc', ''), expected);
  assert.notEqual(hash64('ab', 'c', ''), expected);
});
