// Where from? The network's word, else a table of addresses. The address itself is never written to a row.
import { isIP } from 'node:net';
import { Reader, type Response } from 'mmdb-lib';
import QuickLRU from 'quick-lru';
import type { Step } from './draft.ts';

const COUNTRY = /^[A-Z]{2}$/;
// What CloudFront and others say when they do not know, or for Tor.
const NO_COUNTRY = new Set(['XX', 'ZZ', 'T1']);

export const place: Step = ({ envelope, event }, { countryOf }) => {
  const [said, ip] = envelope.via === 'api' ? [event.country, event.ip] : [envelope.country, envelope.ip];
  if (said !== undefined && COUNTRY.test(said) && !NO_COUNTRY.has(said)) return { country: said };
  return { country: ip === undefined ? undefined : countryOf(ip) };
};

/**
 * Look-up of addresses in a MaxMind DB file of countries.
 * @param table the file's bytes
 */
export function countryTable(table: Buffer): (ip: string) => string | undefined {
  const reader = new Reader<Response & { country_code?: string }>(table);
  const known = new QuickLRU<string, string | undefined>({ maxSize: 50_000 });
  return (ip) => {
    if (isIP(ip) === 0) return undefined;
    if (!known.has(ip)) known.set(ip, reader.get(ip)?.country_code);
    return known.get(ip);
  };
}
