// Sites: their settings, how they are checked, and the bounded cache through which deliver and the server door
// read them. Registry keys: `site#<id>` / `settings`, and `sites` / `<id>` to list them.
import QuickLRU from 'quick-lru';
import { Refused, isCurrency, quote } from './event.ts';
import type { Clock, Store, StoreItem } from './ports.ts';
import { DEFAULT_RATE_LIMIT, type RateLimit } from './rate-limit.ts';
import { Problem, type FieldError } from './problem.ts';
import { partsOf } from './url.ts';
import { isTimeZone } from './zone.ts';

export interface Site {
  id: string;
  name: string;
  /** IANA zone; its local days are the days of the metrics. */
  timezone: string;
  /** ISO 4217; `revenue` counts this currency. */
  currency: string;
  /** Hosts whose events are accepted, with their subdomains; none listed = any. */
  hosts: string[];
  /** Origins whose pages may read the site's metrics with a read key. */
  origins: string[];
  /** How often each of its read keys may ask. */
  rate_limit: RateLimit;
  /** ISO times. */
  created_at: string;
  updated_at: string;
}

/** In place of a site's id in rows that name no site we know; never the id of a site. */
export const UNKNOWN_SITE = '_unknown';

export const SITE_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;
const HOST = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

export function isSiteId(id: unknown): id is string {
  return typeof id === 'string' && SITE_ID.test(id);
}

/**
 * Refuses an event whose page lies on a host that is none of the site's nor a subdomain of one. A site without hosts
 * accepts all, and an event without a page has no host to refuse.
 */
export function refuseHost({ hosts }: Site, url: string | undefined): Refused | undefined {
  if (url === undefined || hosts.length === 0) return undefined;
  const { host } = partsOf(url);
  if (hosts.some((allowed) => host === allowed || host.endsWith(`.${allowed}`))) return undefined;
  return new Refused('host_not_allowed', `url host ${quote(host)}: the site accepts ${hosts.join(', ')}`);
}

const FIELDS = ['name', 'timezone', 'currency', 'hosts', 'origins', 'rate_limit'];
/** What a rate limit accepts. */
export const MOST_PER_SECOND = 1000;
export const MOST_BURST = 10_000;

function isOrigin(value: string): boolean {
  return URL.canParse(value) && new URL(value).origin === value && /^https?:/.test(value);
}

function listOf(accepts: (value: string) => boolean, value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= 100 && value.every((entry) => typeof entry === 'string' && accepts(entry));
}

function isRateLimit(value: unknown): value is RateLimit {
  if (typeof value !== 'object' || value === null) return false;
  const { per_second, burst, ...rest } = value as Record<string, unknown>;
  const within = (number: unknown, most: number) => typeof number === 'number' && number >= 1 && number <= most && Number.isInteger(number);
  return within(per_second, MOST_PER_SECOND) && within(burst, MOST_BURST) && Object.keys(rest).length === 0;
}

/**
 * Checks the body of `PUT /v1/sites/{site}`. Throws a 422 Problem that names every wrong field at once.
 * @param now ISO time for `created_at` (of a new site) and `updated_at`
 */
export function checkSite(id: string, body: unknown, existing: Site | undefined, now: string): Site {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new Problem(422, `the body ${quote(body)}: accepts an object with ${FIELDS.join(', ')}`);
  }
  const { name, timezone, currency, hosts = [], origins = [], rate_limit = DEFAULT_RATE_LIMIT } = body as Record<string, unknown>;
  const errors: FieldError[] = [];
  const need = (fine: boolean, parameter: string, value: unknown, accepts: string) => {
    if (!fine) errors.push({ parameter, value: quote(value ?? null), accepts });
  };
  for (const key of Object.keys(body)) need(FIELDS.includes(key), key, (body as Record<string, unknown>)[key], `nothing: the fields are ${FIELDS.join(', ')}`);
  need(typeof name === 'string' && name.trim().length > 0 && name.length <= 100, 'name', name, 'text of 1 to 100 characters');
  need(typeof timezone === 'string' && isTimeZone(timezone), 'timezone', timezone, 'an IANA time zone such as Europe/Berlin');
  need(typeof currency === 'string' && isCurrency(currency), 'currency', currency, 'an ISO 4217 code in capitals, such as EUR');
  need(listOf((host) => HOST.test(host), hosts), 'hosts', hosts, 'at most 100 lower-case host names such as shop.example');
  need(listOf(isOrigin, origins), 'origins', origins, 'at most 100 origins such as https://shop.example');
  need(isRateLimit(rate_limit), 'rate_limit', rate_limit, `{"per_second": 1 to ${MOST_PER_SECOND}, "burst": 1 to ${MOST_BURST}}, whole numbers`);
  if (errors.length > 0) throw Problem.ofFields(422, errors);
  return {
    id,
    name: name as string,
    timezone: timezone as string,
    currency: currency as string,
    hosts: hosts as string[],
    origins: origins as string[],
    rate_limit: rate_limit as RateLimit,
    created_at: existing?.created_at ?? now,
    updated_at: now,
  };
}

export async function readSite(registry: Store, id: string): Promise<Site | undefined> {
  const item = await registry.get(`site#${id}`, 'settings');
  return item && siteOf(item);
}

export async function writeSite(registry: Store, site: Site): Promise<void> {
  await registry.put([
    { pk: `site#${site.id}`, sk: 'settings', ...site },
    { pk: 'sites', sk: site.id, name: site.name },
  ]);
}

/** Ids and names of the sites after `after`, in order of id. ('!' sorts before every character of an id, '~' after.) */
export async function listSites(registry: Store, after: string, limit: number): Promise<{ id: string; name: string }[]> {
  const items = await registry.range('sites', `${after}!`, '~', limit);
  return items.map((item) => ({ id: item.sk, name: item.name as string }));
}

function siteOf(item: StoreItem): Site {
  const { id, name, timezone, currency, hosts, origins, rate_limit = DEFAULT_RATE_LIMIT, created_at, updated_at } = item as unknown as Partial<Site> & Omit<Site, 'rate_limit'>;
  return { id, name, timezone, currency, hosts, origins, rate_limit, created_at, updated_at };
}

/** Reads sites through a cache. */
export interface Sites {
  /** The sites among these ids; ids without a site are left out. */
  read(ids: Iterable<string>): Promise<Map<string, Site>>;
}

export interface CachedSites extends Sites {
  /** Has all sites read anew, also those that are remembered. */
  forget(): void;
}

/**
 * Sites of the registry, remembered for `maxAgeMs`. Ids without a site are remembered in a cache of their own, so
 * that a flood of made-up ids can push out only each other.
 */
export function cachedSites(registry: Store, clock: Clock, maxAgeMs: number): CachedSites {
  const known = new QuickLRU<string, { site: Site; at: number }>({ maxSize: 100_000 });
  const unknown = new QuickLRU<string, number>({ maxSize: 10_000 });
  return {
    async read(ids) {
      const now = clock();
      const found = new Map<string, Site>();
      const toRead: string[] = [];
      for (const id of new Set(ids)) {
        const entry = known.get(id);
        if (entry && now - entry.at < maxAgeMs) found.set(id, entry.site);
        else if (isSiteId(id) && now - (unknown.get(id) ?? -Infinity) >= maxAgeMs) toRead.push(id);
      }
      await Promise.all(toRead.map(async (id) => {
        const site = await readSite(registry, id);
        if (site) {
          known.set(id, { site, at: now });
          found.set(id, site);
        } else {
          known.delete(id);
          unknown.set(id, now);
        }
      }));
      return found;
    },
    forget() {
      known.clear();
      unknown.clear();
    },
  };
}
