// The load generator, a process of its own so that it has the other core: beacons, pixels and reads at a rate, or as fast
// as they are answered. before: bench/pipeline.ts and bench/collect.ts; next: bench/lane.ts, and the server that is measured
import { answerOf, endWithParent, startChild, stopChild } from './child.ts';
import { Lane, type LaneOptions, type LaneResult } from './lane.ts';
import { Traffic, siteId, type TrafficOptions } from './traffic.ts';

/** A run of the generator. */
export interface Order {
  port: number;
  seconds: number;
  lanes: (LaneOptions & { name: Door })[];
  /** Keys to read with, of the first sites in their order; the last one is the admin key, for all others. */
  keys?: readonly string[];
}

export type Door = 'beacon' | 'pixel' | 'read';

export interface LoadResult {
  lanes: Partial<Record<Door, LaneResult>>;
  /** From the first request to the last answer. */
  seconds: number;
  /** Processor time of the generator, seconds. */
  processor: number;
}

/** A generator that waits for orders. What it makes up goes on from one order to the next. */
export interface Generator {
  run(order: Order): Promise<LoadResult>;
  stop(): Promise<void>;
}

/** Node's timers go by the millisecond; this one is also how exactly a request is sent when it is due. */
const TICK_MS = 1;
/** The longest an answer is waited for, after the last request. */
const ANSWERS_MS = 30_000;
const MADE_MS = 60_000;

/** Starts a generator in a process of its own. */
export async function startLoad(options: TrafficOptions): Promise<Generator> {
  const child = startChild('bench/load.ts', { args: [JSON.stringify(options)] });
  const stop = () => stopChild(child);
  try {
    await answerOf<'made'>(child, MADE_MS);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    async run(order) {
      child.send(order);
      return await answerOf<LoadResult>(child, order.seconds * 1000 + ANSWERS_MS + MADE_MS);
    },
    stop,
  };
}

const READS = ['timeseries?range=today&interval=hour', 'timeseries?range=7d&interval=day', 'breakdown?range=today&dimension=page'];

/** Writes a request for one of the reads, of a site as often as it has visitors. */
function putRead(into: Buffer, count: number, traffic: Traffic, keys: readonly string[]): number {
  const site = traffic.site();
  const key = keys[Math.min(site, keys.length - 1)];
  return into.write(`GET /v1/sites/${siteId(site)}/${READS[count % READS.length]} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${key}\r\n\r\n`, 'latin1');
}

/** Calls `tick` again and again until a moment, or until the lanes are over. One timer for all: a promise a tick would be a tenth of the work. */
function ticks(until: number, lanes: readonly Lane[], tick: (now: number) => void): Promise<void> {
  return new Promise((done) => {
    const timer = setInterval(() => {
      const now = performance.now();
      if (now < until && !lanes.every((lane) => lane.isOver)) {
        tick(now);
        return;
      }
      clearInterval(timer);
      done();
    }, TICK_MS);
  });
}

/** Runs an order in this process. Rejects where nothing listens on the port. */
export async function load({ port, seconds, lanes: options, keys = [] }: Order, traffic: Traffic): Promise<LoadResult> {
  let reads = 0;
  const write: Record<Door, (into: Buffer) => number> = {
    beacon: (into) => traffic.beacon(into), pixel: (into) => traffic.pixel(into), read: (into) => putRead(into, reads++, traffic, keys),
  };
  const lanes = options.map((of) => new Lane(port, of, write[of.name]));
  await Promise.all(lanes.map((lane) => lane.open()));
  const cpu = process.cpuUsage();
  const began = performance.now();
  const end = began + seconds * 1000;
  for (const lane of lanes) lane.begin(began, end);
  await ticks(end, lanes, (now) => { for (const lane of lanes) lane.pump(now); });
  const lasted = Math.min(seconds, (performance.now() - began) / 1000);
  for (const lane of lanes) lane.end();
  await ticks(end + ANSWERS_MS, lanes, () => undefined);
  const took = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  for (const lane of lanes) lane.close();
  const results = options.map(({ name }, i) => [name, lanes[i]!.result(lasted)] as const);
  return { lanes: Object.fromEntries(results), seconds: took, processor: (user + system) / 1e6 };
}

if (process.send && import.meta.filename === process.argv[1]) {
  endWithParent();
  const traffic = new Traffic(JSON.parse(process.argv[2]!) as TrafficOptions);
  process.on('message', (order: Order) => {
    load(order, traffic).then((result) => process.send!(result), (error: unknown) => { throw error; });
  });
  process.send('made');
}
