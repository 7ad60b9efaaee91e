import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { countryTable, place } from '../../../core/deliver/place.ts';
import type { Envelope, Event } from '../../../core/event.ts';
import { contextOf, draftOf, envelopeOf } from '../../memory.ts';
import { saidBy } from './said-by.ts';

const IP = '203.0.113.7';
const CASES: [name: string, envelope: Partial<Envelope>, event: Partial<Event>, expected: string | undefined][] = [
  ['the network beats the table', { country: 'FR', ip: IP }, {}, 'FR'],
  ['the table is asked where the network says nothing', { ip: IP }, {}, 'table'],
  ['XX means that the network does not know', { country: 'XX', ip: IP }, {}, 'table'],
  ['T1 means Tor', { country: 'T1', ip: IP }, {}, 'table'],
  ['ZZ means that it does not know', { country: 'ZZ', ip: IP }, {}, 'table'],
  ['what is no country code is not believed', { country: 'France', ip: IP }, {}, 'table'],
  ['nor are small letters', { country: 'fr', ip: IP }, {}, 'table'],
  ['nor an empty text', { country: '', ip: IP }, {}, 'table'],
  ['neither country nor address', {}, {}, undefined],
  ['XX and no address', { country: 'XX' }, {}, undefined],
  ['the server door: the country it speaks for', { via: 'api', country: 'US', ip: IP }, { country: 'DE', ip: IP }, 'DE'],
  ['the server door: the address it speaks for', { via: 'api', country: 'US' }, { ip: IP }, 'table'],
  ['the server door: not the server\'s own', { via: 'api', country: 'US', ip: IP }, {}, undefined],
];
for (const [name, envelope, event, expected] of CASES) {
  test(name, () => {
    const said = saidBy(place, draftOf({ envelope: envelopeOf(envelope), event: { name: 'x', ...event } }), contextOf({ countryOf: (ip) => (ip === IP ? 'table' : assert.fail(ip)) }));
    assert.deepEqual(said, { country: expected });
  });
}

const countryOf = countryTable(readFileSync(new URL(import.meta.resolve('@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb'))));

const NETWORKS: [name: string, ip: string, expected: string | undefined][] = [
  ['Humboldt-Universität, Berlin', '141.20.1.1', 'DE'],
  ['Leibniz-Rechenzentrum, Munich', '129.187.1.1', 'DE'],
  ['the German research network', '2001:638::1', 'DE'],
  ['MIT, Cambridge', '128.30.2.36', 'US'],
  ['Apple, Cupertino', '17.1.1.1', 'US'],
  ['Google\'s resolver', '2001:4860:4860::8888', 'US'],
  ['the University of Tokyo', '133.11.0.1', 'JP'],
  ['Kyoto University', '130.54.1.1', 'JP'],
  ['the French research network', '2001:660::1', 'FR'],
  ['the Spanish research network', '130.206.1.1', 'ES'],
  ['a German address written as IPv6', '::ffff:141.20.1.1', 'DE'],
  ['the machine itself', '127.0.0.1', undefined],
  ['the machine itself in IPv6', '::1', undefined],
  ['a private address', '10.0.0.1', undefined],
  ['a private address at home', '192.168.1.1', undefined],
  ['a link-local address with its interface', 'fe80::1%eth0', undefined],
  ['no address', '', undefined],
  ['words', 'not an address', undefined],
  ['a number above 255', '256.1.1.1', undefined],
  ['an address with a port', '141.20.1.1:80', undefined],
  ['hexadecimal letters', 'cafe', undefined],
  ['an inherited name', 'constructor', undefined],
];
for (const [name, ip, expected] of NETWORKS) test(`the table: ${name} (${ip || 'empty'})`, () => { assert.equal(countryOf(ip), expected); });

test('the table answers the same when asked again', () => {
  for (const [, ip] of NETWORKS) assert.equal(countryOf(ip), countryOf(ip));
});
