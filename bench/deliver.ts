// Deliver: what the transform costs an event, on one core. In this process, from the records' bytes to the rows' lines.
import { readFile } from 'node:fs/promises';
import { Session, type Profiler } from 'node:inspector/promises';
import { createRequire } from 'node:module';
import { beaconEnvelope } from '../core/collect.ts';
import { transform, type TransformPorts } from '../core/deliver.ts';
import { countryTable } from '../core/deliver/place.ts';
import { DEFAULT_RATE_LIMIT } from '../core/rate-limit.ts';
import type { Site } from '../core/sites.ts';
import { randomFrom } from '../local/demo-shop.ts';
import { beaconBody, visitor, USER_AGENTS } from './events.ts';
import { median, type BenchOptions, type Measurement } from './report.ts';

const SITES = 200;
const VISITORS = 5000;
/** Records given to the transform at once, as the delivery loop does. */
const SLICE = 250;
const ZONES = ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'UTC'];
const HOUR_START = Date.UTC(2026, 0, 15, 14);

function portsOf(countryOf: TransformPorts['countryOf']): TransformPorts {
  const sites = new Map(Array.from({ length: SITES }, (_, i): [string, Site] => [`site-${i}`, {
    id: `site-${i}`, name: `Site ${i}`, timezone: ZONES[i % ZONES.length]!, currency: 'EUR', hosts: [`site-${i}.example`], origins: [], rate_limit: DEFAULT_RATE_LIMIT,
    created_at: '2026-01-01T00:00:00Z', updated_at: '2026-01-01T00:00:00Z',
  }]));
  return {
    sites: {
      read: async (ids) => {
        const found = new Map<string, Site>();
        for (const id of ids) {
          const site = sites.get(id);
          if (site) found.set(id, site);
        }
        return found;
      },
    },
    salts: { read: async (days) => new Map([...days].map((day) => [day, `salt of ${day}`])) },
    countryOf,
    clock: Date.now,
  };
}

/** Stream records as bytes, each an envelope of a beacon with so many events. */
function recordsOf(count: number, events: number): Buffer[] {
  const random = randomFrom(7);
  const visitors = Array.from({ length: VISITORS }, () => visitor(random));
  return Array.from({ length: count }, (_, i) => {
    const { ip, userAgent, language } = visitors[Math.floor(random() * VISITORS)]!;
    const facts = { id: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`, at: HOUR_START + Math.floor(random() * 3_000_000), ip, userAgent, language };
    return Buffer.from(JSON.stringify(beaconEnvelope(facts, beaconBody(random, `site-${Math.floor(random() * SITES)}`, events))));
  });
}

async function transformAll(records: readonly Buffer[], ports: TransformPorts): Promise<void> {
  for (let i = 0; i < records.length; i += SLICE) {
    const delivered = await transform(records.slice(i, i + SLICE).map((record) => record.toString()), ports);
    const wrong = delivered.find((one) => one.kind === 'failed' || one.rows.length === 0 || one.rows[0]!.includes('"rejected"'));
    if (wrong) throw new Error(`the measurement's own events are not accepted: ${JSON.stringify(wrong)}`);
  }
}

/** The limit: the bytes decoded, parsed and written again. Its result is used, so that none of it is optimised away. */
function parseAll(records: readonly Buffer[]): number {
  let length = 0;
  for (const record of records) {
    const envelope = JSON.parse(record.toString()) as { body: string };
    length += JSON.stringify({ ...envelope, body: JSON.parse(envelope.body) as unknown }).length;
  }
  return length;
}

/** Microseconds an event, of the transform and of its limit: the medians of rounds that take turns. */
async function microseconds(records: readonly Buffer[], events: number, rounds: number, ports: TransformPorts): Promise<{ transform: number; limit: number }> {
  const taken = { transform: [] as number[], limit: [] as number[] };
  const each = (began: number) => (1000 * (performance.now() - began)) / (records.length * events);
  for (let round = -2; round < rounds; round++) { // Two to warm up.
    let began = performance.now();
    await transformAll(records, ports);
    if (round >= 0) taken.transform.push(each(began));
    began = performance.now();
    parseAll(records);
    if (round >= 0) taken.limit.push(each(began));
  }
  return { transform: median(taken.transform), limit: median(taken.limit) };
}

/** The share of each file of core/deliver/ in a round, with all that it calls; by a CPU profile. */
async function shares(records: readonly Buffer[], ports: TransformPorts): Promise<string> {
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: 200 });
    await session.post('Profiler.start');
    await transformAll(records, ports);
    return sharesOf((await session.post('Profiler.stop')).profile);
  } finally {
    session.disconnect();
  }
}

function sharesOf({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): string {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const labels = new Map<number, string>();
  const label = (node: Profiler.ProfileNode, parents: string): void => {
    const { url, functionName } = node.callFrame;
    const step = /core\/deliver\/(\w+)\.ts$/.exec(url)?.[1];
    const own = step ?? (functionName === '(garbage collector)' ? 'garbage collection' : functionName === '(idle)' ? 'idle' : parents);
    labels.set(node.id, own);
    for (const child of node.children ?? []) label(byId.get(child)!, own);
  };
  label(nodes[0]!, 'between the steps');
  const spent = new Map<string, number>();
  samples.forEach((id, i) => {
    const name = labels.get(id)!;
    spent.set(name, (spent.get(name) ?? 0) + timeDeltas[i]!);
  });
  spent.delete('idle');
  const total = [...spent.values()].reduce((sum, one) => sum + one, 0);
  return [...spent].sort(([, a], [, b]) => b - a).map(([name, one]) => `${name} ${((100 * one) / total).toFixed(0)} %`).join(', ');
}

/** Measures µs an event of the transform, for beacons of one event and of ten. */
export async function measure({ quick }: BenchOptions): Promise<Measurement[]> {
  const table = createRequire(import.meta.url).resolve('@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb');
  const ports = portsOf(countryTable(await readFile(table)));
  const rounds = quick ? 3 : 25;
  const count = quick ? 10_000 : 20_000;
  const singles = recordsOf(count, 1);
  const batches = recordsOf(count / 10, 10);
  const single = await microseconds(singles, 1, rounds, ports);
  const batch = await microseconds(batches, 10, rounds, ports);
  const profile = await shares(singles, ports);
  const bytes = (records: readonly Buffer[], events: number) => (records.reduce((sum, { length }) => sum + length, 0) / records.length / events).toFixed(0);
  return [
    {
      what: 'transform, one event an envelope', value: single.transform, unit: 'µs/event', limit: single.limit, target: { atMost: 15 },
      note: `median of ${rounds} rounds of ${singles.length} envelopes of ${bytes(singles, 1)} bytes: ${VISITORS} visitors, ${USER_AGENTS.length} user agents, ${SITES} sites, caches warm; by step: ${profile}`,
    },
    {
      what: 'transform, ten events an envelope', value: batch.transform, unit: 'µs/event', limit: batch.limit, target: { atMost: 15 },
      note: `${batches.length} envelopes, ${bytes(batches, 10)} bytes an event`,
    },
  ];
}
