// Start-up: how long a process is away that is started again, with a month of data behind it: from its start to where it
// is ready, and to its first answer. before: bench/month-data.ts; next: local/start.ts
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memoryOf } from './child.ts';
import { makeSites, startFootfall, withFootfall } from './footfall.ts';
import { fillMonth, type Month, type MonthSize } from './month-data.ts';
import { count, median, secondsSince, type BenchOptions, type Measurement } from './report.ts';
import { siteId } from './traffic.ts';

const READ = `/v1/sites/${siteId(0)}/timeseries?range=30d&interval=day`;

interface Started { /** s */ ready: number; answered: number; /** MiB */ memory: number | null }

/** Starts the process on a data folder, reads once, and ends it. Rejects unless the answer has numbers where there should be some. */
async function startOnce(data: string, isFull: boolean): Promise<Started> {
  const began = performance.now();
  const footfall = await startFootfall(data);
  try {
    const { results } = await footfall.ask<{ results: { metrics: { pageviews: number } }[] }>(READ);
    if (results.some(({ metrics }) => metrics.pageviews > 0) !== isFull) throw new Error(`${READ} was answered ${JSON.stringify(results)}`);
    return { ready: footfall.startedIn, answered: secondsSince(began), memory: (await memoryOf(footfall.pid))?.all ?? null };
  } finally {
    await footfall.end();
  }
}

/** Measures starts with a month of data, in turns with starts with none. */
export async function measure({ quick }: BenchOptions): Promise<Measurement[]> {
  const size: MonthSize = quick ? { sites: 2_000, active: 30 } : { sites: 20_000, active: 2_000 };
  const rounds = quick ? 2 : 5;
  const folder = await mkdtemp(join(tmpdir(), 'footfall-bench-startup-'));
  try {
    const [full, empty] = [join(folder, 'month'), join(folder, 'empty')];
    for (const data of [full, empty]) await withFootfall(data, {}, (footfall) => makeSites(footfall, 1));
    const month = await fillMonth(full, size);
    const started: Record<'full' | 'empty', Started[]> = { full: [], empty: [] };
    for (let round = 0; round < rounds; round++) { // In turns, so that a busy moment strikes both.
      started.empty.push(await startOnce(empty, false));
      started.full.push(await startOnce(full, true));
    }
    return measurements(started, month, size);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function measurements({ full, empty }: Record<'full' | 'empty', Started[]>, { hours, items, files }: Month, { sites, active }: MonthSize): Measurement[] {
  const of = (name: 'ready' | 'answered') => ({ value: median(full.map((one) => one[name])), unit: 's', limit: median(empty.map((one) => one[name])) });
  const memory = full.map((one) => one.memory).filter((one) => one !== null);
  return [
    {
      what: 'from the start of the process until it is ready', ...of('ready'),
      note: `median of ${full.length}, in turns: ${count(hours)} hours committed, ${count(files)} files in the lake, ${count(items)} items of ${count(active)} sites, ${count(sites)} sites; all of it in the system's cache`,
    },
    { what: 'until its first read is answered, 30 days by day', ...of('answered') },
    ...(memory.length === 0 ? [] : [{ what: 'memory then', value: median(memory), unit: 'MiB', limit: median(empty.map((one) => one.memory ?? 0)) }]),
  ];
}
