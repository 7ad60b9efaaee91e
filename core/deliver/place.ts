// Where from? The network's word, else a table of addresses. The address itself is never written to a row.
import { BlockList, isIP } from 'node:net';
import { Reader, type Response } from 'mmdb-lib';
import QuickLRU from 'quick-lru';
import type { Step } from './draft.ts';

const COUNTRY = /^[A-Z]{2}$/;
// What CloudFront and others say when they do not know, or for Tor.
const NO_COUNTRY = new Set(['XX', 'ZZ', 'T1']);

export const place: Step = (draft, { countryOf }) => {
  const { country, ip } = draft.envelope.via === 'api' ? draft.event : draft.envelope;
  if (country !== undefined && COUNTRY.test(country) && !NO_COUNTRY.has(country)) draft.country = country;
  else draft.country = ip === undefined ? undefined : countryOf(ip);
  return undefined;
};

/**
 * Look-up of addresses in a MaxMind DB file of countries.
 * @param table the file's bytes
 */
export function countryTable(table: Buffer): (ip: string) => string | undefined {
  const reader = new Reader<Response & { country_code?: string }>(table);
  const known = new QuickLRU<string, string | null>({ maxSize: 50_000 });
  function lookUp(ip: string): string | undefined {
    const plain = ip.replace(MAPPED, '');
    const family = isIP(plain);
    return family === 0 || NOWHERE.check(plain, family === 4 ? 'ipv4' : 'ipv6') ? undefined : reader.get(plain)?.country_code;
  }
  return (ip) => {
    let country = known.get(ip);
    if (country === undefined) {
      country = lookUp(ip) ?? null;
      if (ip.length <= LONGEST) known.set(ip, country);
    }
    return country ?? undefined;
  };
}

/** Characters of the longest address, an IPv4 address in IPv6; what is longer names an interface, or is none. */
const LONGEST = 45;

/** An IPv4 address as a server of both families writes it. */
const MAPPED = /^::ffff:(?=\d+\.)/i;

// Addresses of private networks (RFC 1918, 6598, 4193), of links and of the machine itself lie in no country; the
// table has countries for some of them.
const NOWHERE = new BlockList();
for (const [network, prefix] of [['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12], ['192.168.0.0', 16]] as const) {
  NOWHERE.addSubnet(network, prefix, 'ipv4');
}
for (const [network, prefix] of [['::1', 128], ['fc00::', 7], ['fe80::', 10]] as const) NOWHERE.addSubnet(network, prefix, 'ipv6');
