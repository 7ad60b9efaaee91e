// Collect: how many durable requests a second, and how long each waits. Delivery waits meanwhile; with it and all the rest
// at work it is bench/pipeline.ts that measures.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { START_FLAGS, answerOf, processorOf, startChild, stopChild } from './child.ts';
import { makeSites, withFootfall } from './footfall.ts';
import type { LaneResult } from './lane.ts';
import { startLoad, type Door, type Generator, type Order } from './load.ts';
import type { BenchOptions, Measurement } from './report.ts';

/**
 * Each waits for the commit that its request is in, and commits are ten milliseconds apart: 64 would be answered 6,600 requests a
 * second by the bare server, too. Browsers are more.
 */
const CONNECTIONS = 256;
const READY_MS = 30_000;
const TRAFFIC = { seed: 1, sites: 1, visitors: 100_000, events: 1, name: 'collect' };

interface Seconds { warm: number; beacons: number; pixels: number }
/** A load of one door, and the processor time a request of those who sent and answered it, µs. */
interface Loaded extends LaneResult { generator: number; /** Null where the system does not tell. */ server: number | null }
interface Loads { beacons: Loaded; pixels: Loaded }

async function loads(generator: Generator, { port, pid }: Measured, { warm, beacons, pixels }: Seconds): Promise<Loads> {
  const run = async (name: Door, seconds: number): Promise<Loaded> => {
    const order: Order = { port, seconds, lanes: [{ name, connections: CONNECTIONS }] };
    await generator.run({ ...order, seconds: warm });
    const before = await processorOf(pid);
    const { lanes, processor } = await generator.run(order);
    const after = await processorOf(pid);
    const lane = lanes[name]!;
    return { ...lane, generator: (1e6 * processor) / lane.sent, server: before === null || after === null ? null : (1e6 * (after - before)) / lane.sent };
  };
  return { beacons: await run('beacon', beacons), pixels: await run('pixel', pixels) };
}

/** A process that listens on a port. */
interface Measured { port: number; pid: number }

/** Runs the bare server, which has the same log and does nothing else, as long as `work` takes. */
export async function withBareServer<T>(folder: string, work: (server: Measured) => Promise<T>): Promise<T> {
  const child = startChild('bench/bare-server.ts', { args: [folder], flags: START_FLAGS });
  try {
    return await work({ port: await answerOf<number>(child, READY_MS), pid: child.pid! });
  } finally {
    await stopChild(child);
  }
}

/** Measures durable requests a second at the browser doors of the real process, and of the bare server as the limit. */
export async function measure({ quick }: BenchOptions): Promise<Measurement[]> {
  const seconds: Seconds = quick ? { warm: 0.5, beacons: 1.5, pixels: 0.5 } : { warm: 2, beacons: 20, pixels: 10 };
  const folder = await mkdtemp(join(tmpdir(), 'footfall-bench-collect-'));
  const generator = await startLoad(TRAFFIC);
  try {
    const bare = await withBareServer(join(folder, 'bare'), (server) => loads(generator, server, seconds));
    const alone = await withFootfall(join(folder, 'alone'), { FOOTFALL_DELIVER_SECONDS: '900', FOOTFALL_TRUST_PROXY: 'true' }, async (footfall) => {
      await makeSites(footfall, TRAFFIC.sites);
      return loads(generator, footfall, seconds);
    });
    return measurements(alone, bare, seconds);
  } finally {
    await generator.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function measurements({ beacons, pixels }: Loads, bare: Loads, seconds: Seconds): Measurement[] {
  return [
    {
      what: 'beacons of one event', value: beacons.perSecond, unit: '/s', limit: bare.beacons.perSecond, target: { atLeast: 12_000 },
      note: `${CONNECTIONS} connections for ${seconds.beacons} s, requests of ${(beacons.bytes / beacons.sent).toFixed(0)} bytes, each on disk before its answer; delivery waits. ` +
        `The generator took ${beacons.generator.toFixed(0)} µs of processor time a request, ${bare.beacons.generator.toFixed(0)} at the limit`,
    },
    { what: 'beacons: p50', value: beacons.p50, unit: 'ms', limit: bare.beacons.p50 },
    { what: 'beacons: p99', value: beacons.p99, unit: 'ms', limit: bare.beacons.p99, target: { atMost: 25 } },
    ...(beacons.server === null ? [] : [{ what: "beacons: the server's processor time a request", value: beacons.server, unit: 'µs', limit: bare.beacons.server! }]),
    { what: 'pixels', value: pixels.perSecond, unit: '/s', limit: bare.pixels.perSecond },
    { what: 'pixels: p50', value: pixels.p50, unit: 'ms', limit: bare.pixels.p50 },
    { what: 'pixels: p99', value: pixels.p99, unit: 'ms', limit: bare.pixels.p99 },
    { what: 'not answered 2xx', value: [beacons, pixels].reduce((sum, { bad, lost }) => sum + bad + lost, 0), unit: 'requests', target: { atMost: 0 } },
  ];
}
