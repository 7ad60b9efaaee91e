// What tests of core/ stand on: a store in memory that counts its reads, a moment that stands still, a site, and an
// event on its way through deliver.
import type { Context, Draft } from '../core/deliver/draft.ts';
import type { TransformPorts } from '../core/deliver.ts';
import type { Envelope } from '../core/event.ts';
import type { Pace } from '../core/reprocess.ts';
import type { Clock, Lake, Store, StoreItem, Tasks } from '../core/ports.ts';
import type { Site } from '../core/sites.ts';
import { httpPorts as httpPortsOf, type HttpPorts } from '../lambdas/http.ts';

/** 2026-11-20T10:17:30.250Z, a Friday. */
export const NOW = Date.UTC(2026, 10, 20, 10, 17, 30, 250);
/** 2026-11-20T10:00Z, the start of its hour. */
export const HOUR = Date.UTC(2026, 10, 20, 10);

export class MemoryStore implements Store {
  /** Calls of `get` and `range` so far. */
  reads = 0;
  private readonly items = new Map<string, StoreItem>();
  private static key({ pk, sk }: { pk: string; sk: string }): string { return JSON.stringify([pk, sk]); }

  /** Everything stored. */
  all(): StoreItem[] { return [...this.items.values()]; }

  async get(pk: string, sk: string): Promise<StoreItem | undefined> {
    this.reads++;
    const item = this.items.get(MemoryStore.key({ pk, sk }));
    return item && structuredClone(item);
  }

  async range(pk: string, from: string, to: string, limit = Infinity): Promise<StoreItem[]> {
    this.reads++;
    const found = this.all().filter((item) => item.pk === pk && item.sk >= from && item.sk <= to);
    return structuredClone(found.sort((a, b) => (a.sk < b.sk ? -1 : 1)).slice(0, limit));
  }

  async put(items: readonly StoreItem[]): Promise<void> {
    for (const item of items) this.items.set(MemoryStore.key(item), structuredClone(item));
  }

  async create(item: StoreItem): Promise<boolean> {
    if (this.items.has(MemoryStore.key(item))) return false;
    await this.put([item]);
    return true;
  }

  async remove(keys: readonly { pk: string; sk: string }[]): Promise<void> {
    for (const key of keys) this.items.delete(MemoryStore.key(key));
  }
}

/** A lake and a queue for functions that are not asked about them. */
export const NO_LAKE = {} as Lake;
export const NO_TASKS: Tasks = { send: async () => undefined, parked: async () => [] };

/** What HTTP functions stand on: keys and sites as the registry has them now, and a test that fails on an error that is ours. */
export function httpPorts(registry: Store, clock: Clock): HttpPorts {
  return httpPortsOf(registry, clock, 0, (error) => { throw error; });
}

/** How much jobs of reprocessing have under way, as on one machine. */
export const PACE: Pace = { hours: 100, records: 20_000, recordsRead: 200_000, waits: true };

export function siteOf(settings: Partial<Site> = {}): Site {
  const created = '2026-01-01T00:00:00.000Z';
  return { id: 'shop', name: 'Shop', timezone: 'UTC', currency: 'EUR', hosts: [], origins: [], rate_limit: { per_second: 10, burst: 50 }, created_at: created, updated_at: created, ...settings };
}

export function envelopeOf(facts: Partial<Envelope> = {}): Envelope {
  return { v: 1, via: 'beacon', id: 'request-1', at: NOW, ...facts };
}

export function draftOf(more: Partial<Draft> = {}): Draft {
  const event = more.event ?? { name: 'page_view' };
  return { envelope: envelopeOf(), raw: event, index: 0, claimed: 'shop', event, site: siteOf(), ts: NOW, local_day: '2026-11-20', ...more };
}

export function contextOf(more: Partial<Context> = {}): Context {
  return { sites: new Map([['shop', siteOf()]]), salts: new Map([['2026-11-20', 'salt']]), countryOf: () => undefined, processedAt: NOW, ...more };
}

/** The ports of `transform` where these sites exist, and no address has a country. */
export function transformPorts(...sites: readonly Site[]): TransformPorts {
  return {
    sites: { read: async (ids) => new Map(sites.filter(({ id }) => [...ids].includes(id)).map((site) => [site.id, site])) },
    salts: { read: async (days) => new Map([...days].map((day) => [day, `salt of ${day}`])) },
    countryOf: () => undefined,
    clock: () => NOW,
  };
}
