import assert from 'node:assert/strict';
import { test } from 'node:test';
import { site } from '../../../core/deliver/site.ts';
import { Refused } from '../../../core/event.ts';
import { contextOf, draftOf, siteOf } from '../../memory.ts';
import { saidBy } from './said-by.ts';

const url = (host: string) => `https://${host}/p/1`;
const CASES: [name: string, claimed: string, hosts: string[], url: string | undefined, expected: 'accepted' | 'unknown_site' | 'host_not_allowed'][] = [
  ['a site we know', 'shop', [], url('anything.example'), 'accepted'],
  ['a site we do not know', 'other', [], url('shop.example'), 'unknown_site'],
  ['no site', '', [], url('shop.example'), 'unknown_site'],
  ['a site called __proto__', '__proto__', [], url('shop.example'), 'unknown_site'],
  ['a site called constructor', 'constructor', [], url('shop.example'), 'unknown_site'],
  ['a listed host', 'shop', ['shop.example'], url('shop.example'), 'accepted'],
  ['a listed host in capitals', 'shop', ['shop.example'], url('SHOP.example'), 'accepted'],
  ['a listed host with a port', 'shop', ['shop.example'], url('shop.example:8443'), 'accepted'],
  ['a subdomain of a listed host', 'shop', ['shop.example'], url('www.shop.example'), 'accepted'],
  ['a subdomain of a subdomain', 'shop', ['shop.example'], url('a.b.shop.example'), 'accepted'],
  ['the second of two hosts', 'shop', ['shop.example', 'shop.test'], url('shop.test'), 'accepted'],
  ['the domain above a listed host', 'shop', ['www.shop.example'], url('shop.example'), 'host_not_allowed'],
  ['a host that only ends like a listed one', 'shop', ['shop.example'], url('evilshop.example'), 'host_not_allowed'],
  ['a host that only begins like a listed one', 'shop', ['shop.example'], url('shop.example.evil.test'), 'host_not_allowed'],
  ['a listed host as user name', 'shop', ['shop.example'], url('shop.example@evil.test'), 'host_not_allowed'],
  ['another host', 'shop', ['shop.example'], url('other.example'), 'host_not_allowed'],
  ['an event without a page has no host to refuse', 'shop', ['shop.example'], undefined, 'accepted'],
];
for (const [name, claimed, hosts, page, expected] of CASES) {
  test(`${name}: ${expected}`, () => {
    const found = siteOf({ hosts });
    const said = saidBy(site, draftOf({ claimed, event: { name: 'x', ...(page !== undefined && { url: page }) } }), contextOf({ sites: new Map([['shop', found]]) }));
    if (expected === 'accepted') assert.deepEqual(said, { site: found });
    else assert.equal((said as Refused).reason, expected);
  });
}
