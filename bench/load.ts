// The load generator, a process of its own so that it has the other core: so many requests over so many connections.
// before: bench/collect.ts; next: the server that is measured
import autocannon from 'autocannon';
import { randomFrom } from '../local/demo-shop.ts';
import { answerOf, endWithParent, startChild, stopChild } from './child.ts';
import { beaconBody, pixelPath, visitor } from './events.ts';
import { percentile } from './report.ts';

export interface LoadOptions {
  kind: 'beacon' | 'pixel';
  url: string;
  site: string;
  connections: number;
  /** Requests in all; each is waited for, so that what was answered is known exactly. */
  amount: number;
}

export interface LoadResult {
  /** Requests answered with 2xx, and those answered otherwise, not at all, or too late. */
  good: number;
  bad: number;
  perSecond: number;
  /** ms */
  p50: number;
  p99: number;
  /** Average size of a request's body, bytes. */
  bodyBytes: number;
}

/** Different requests; each connection sends them all, round and round. */
const REQUESTS = 400;
/** More than any amount takes; the load ends then in any case. */
export const LOAD_MS = 180_000;

/** Runs a load in a process of its own. */
export async function load(options: LoadOptions): Promise<LoadResult> {
  const child = startChild('bench/load.ts', { args: [JSON.stringify(options)] });
  try {
    return await answerOf<LoadResult>(child, LOAD_MS);
  } finally {
    await stopChild(child);
  }
}

async function fire({ kind, url, site, connections, amount }: LoadOptions): Promise<LoadResult> {
  const random = randomFrom(1);
  const requests: autocannon.Request[] = Array.from({ length: REQUESTS }, () => {
    const { userAgent, language } = visitor(random);
    const headers = { 'user-agent': userAgent, 'accept-language': language, 'accept-encoding': 'gzip, deflate, br', origin: `https://${site}.example` };
    return kind === 'pixel'
      ? { method: 'GET', path: pixelPath(random, site), headers }
      : { method: 'POST', path: '/e', headers: { ...headers, 'content-type': 'text/plain;charset=UTF-8' }, body: beaconBody(random, site, 1, true) };
  });
  const times: number[] = [];
  const began = performance.now();
  let last = began;
  const result = await new Promise<autocannon.Result>((done, failed) => {
    const instance = autocannon({ url, connections, amount, requests }, (error: Error | null, ended) => {
      if (error) failed(error);
      else done(ended);
    });
    instance.on('response', (_client, _status, _bytes, ms) => {
      times.push(ms);
      last = performance.now();
    });
  });
  const bodies = requests.map(({ body }) => Buffer.byteLength(body ?? ''));
  return {
    good: result['2xx'],
    bad: result.non2xx + result.errors,
    perSecond: (1000 * times.length) / (last - began),
    p50: percentile(times, 0.5),
    p99: percentile(times, 0.99),
    bodyBytes: bodies.reduce((sum, bytes) => sum + bytes, 0) / bodies.length,
  };
}

if (process.send && import.meta.filename === process.argv[1]) {
  endWithParent();
  process.send(await fire(JSON.parse(process.argv[2]!) as LoadOptions), () => process.disconnect());
}
