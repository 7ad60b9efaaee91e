// Reads paths of a server, so many at once, from a process of its own. before: bench/serve.ts
import { Agent, get } from 'node:http';
import { once } from 'node:events';
import { answerOf, endWithParent, startChild, stopChild } from './child.ts';
import { percentile } from './report.ts';

export interface ReadOptions {
  url: string;
  /** For `Authorization: Bearer`. */
  key: string;
  paths: string[];
  /** Requests at once, each over its own connection. */
  concurrency: number;
}

export interface ReadTimes { /** ms */ p50: number; p99: number; perSecond: number; count: number }

/** Reads to warm up: a fifth of those that are measured, and no more than these. */
const WARM_UP = 500;
const READ_MS = 300_000;

/** Reads all paths, after some of them to warm up; every answer has to be a 200. `count` includes the warm-up. */
export async function readAll(options: ReadOptions): Promise<ReadTimes> {
  const child = startChild('bench/reader.ts');
  try {
    child.send(options);
    return await answerOf<ReadTimes>(child, READ_MS);
  } finally {
    await stopChild(child);
  }
}

async function read({ url, key, paths, concurrency }: ReadOptions): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const headers = { authorization: `Bearer ${key}` };
  const times: number[] = [];
  let next = 0;
  const one = (path: string) => new Promise<void>((done, failed) => {
    const began = performance.now();
    get(url + path, { agent, headers }, (response) => {
      response.resume();
      response.once('error', failed);
      response.once('end', () => {
        times.push(performance.now() - began);
        if (response.statusCode === 200) done();
        else failed(new Error(`${path} was answered ${response.statusCode}`));
      });
    }).once('error', failed);
  });
  await Promise.all(Array.from({ length: concurrency }, async () => {
    for (let i = next++; i < paths.length; i = next++) await one(paths[i]!);
  }));
  agent.destroy();
  return times;
}

if (process.send && import.meta.filename === process.argv[1]) {
  endWithParent();
  const [options] = await once(process, 'message') as [ReadOptions];
  const warm = { ...options, paths: options.paths.slice(0, Math.min(WARM_UP, Math.ceil(options.paths.length / 5))) };
  await read(warm);
  const began = performance.now();
  const times = await read(options);
  const answer: ReadTimes = {
    p50: percentile(times, 0.5), p99: percentile(times, 0.99), perSecond: (1000 * times.length) / (performance.now() - began), count: times.length + warm.paths.length,
  };
  process.send(answer, () => process.disconnect());
}
