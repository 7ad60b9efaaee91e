// The whole pipeline inside the test: real engines in a folder of its own, and a clock that the test sets.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { beaconEnvelope, packBatch } from '../core/collect.ts';
import type { Pays } from '../core/difference.ts';
import { loaderOf } from '../core/load.ts';
import type { Store, StoreItem } from '../core/ports.ts';
import { statsQuery, timeseriesQuery, breakdownQuery } from '../core/query.ts';
import { storedSalts } from '../core/salts.ts';
import { breakdown, stats, timeseries, type MetricValues } from '../core/serve.ts';
import { cachedSites, checkSite, readSite, writeSite } from '../core/sites.ts';
import { advanceReprocess, beginReprocess, listJobs, type Job, type Reprocess } from '../core/reprocess.ts';
import { deliver } from '../local/deliver.ts';
import { duckdbLake } from '../local/lake.ts';
import { openEnvironment } from '../local/lmdb.ts';
import { rollupRound } from '../local/rollup.ts';
import { lmdbStore } from '../local/store.ts';
import { lmdbLog } from '../local/stream.ts';
import { lmdbTasks, type TaskQueue } from '../local/tasks.ts';
import { PACE } from './memory.ts';
import { temporaryFolder } from './process.ts';

/** A store that remembers what was put into it. */
function noting(store: Store, put: StoreItem[]): Store {
  return { ...store, put: (items) => { put.push(...items); return store.put(items); } };
}

/** @param difference when hours are counted by difference, where that is not left to the rollup's round */
export async function openPipeline(t: TestContext, now: string, difference?: Pays) {
  const folder = temporaryFolder();
  const time = { now: Date.parse(now) };
  const clock = () => time.now;
  const lakeFolder = join(folder, 'lake');
  const temporary = join(folder, 'temporary');
  mkdirSync(lakeFolder);
  const lake = await duckdbLake(lakeFolder, { enginePath: join(folder, 'engine.duckdb'), temporary, memory: '1GB', threads: 1 });
  const environments = [openEnvironment(join(folder, 'stream')), openEnvironment(join(folder, 'store'))] as const;
  t.after(async () => {
    lake.close();
    for (const environment of environments) await environment.close();
  });
  const reports: string[] = [];
  const report = (line: string) => { reports.push(line); };
  const written: StoreItem[] = [];
  const log = lmdbLog(environments[0], clock, report);
  const registry = lmdbStore(environments[1], 'registry');
  const metrics = noting(lmdbStore(environments[1], 'metrics'), written);
  const tasks = lmdbTasks(environments[1], clock);
  const sites = cachedSites(registry, clock, 0);
  const deliverPorts = { log, lake, tasks, lakeFolder, temporary, sites, salts: storedSalts(registry, clock, 1000), countryOf: (() => undefined) as (ip: string) => string | undefined, clock, report };
  const reprocessPorts = { lake, registry, stream: log, tasks, clock, rawKeptMs: 30 * 86_400_000, deliveredThrough: clock, pace: PACE };
  let requests = 0;

  const ask = async (site: string, parameters: Record<string, string>) => ({
    site: (await readSite(registry, site))!,
    given: new Map(Object.entries(parameters).map(([name, value]) => [name, [value]])),
  });

  return {
    folder, lakeFolder, lake, log, registry, metrics, tasks, reports, clock, load: loaderOf({ lake, metrics }), sitesAtOnce: 10_000,
    /** Items put into the metrics store so far. */
    written,
    /** Sets the clock. */
    at(iso: string) { time.now = Date.parse(iso); },
    async site(id: string, timezone = 'UTC') {
      await writeSite(registry, checkSite(id, { name: id, timezone, currency: 'EUR' }, undefined, now));
    },
    /** Events through the browser door, now. */
    async send(site: string, events: object[], userAgent = 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0') {
      await log.put([JSON.stringify(beaconEnvelope({ id: `r${requests++}`, at: clock(), ip: '192.0.2.1', userAgent }, JSON.stringify({ site, events })))]);
    },
    /** Events through the server door. */
    async sendBatch(site: string, events: object[]) {
      const { envelopes, receipt } = packBatch((await readSite(registry, site))!, JSON.stringify({ events }), { id: `b${requests++}`, at: clock() });
      if (receipt.rejected.length > 0) throw new Error(JSON.stringify(receipt.rejected));
      await log.put(envelopes.map((envelope) => JSON.stringify(envelope)));
    },
    /** Delivers what the log holds; the tasks may be replaced by ones that fail. */
    async deliver(announcing: Pick<TaskQueue, 'announce'> = tasks) {
      time.now += 1;
      await deliver({ ...deliverPorts, tasks: announcing });
    },
    /** What deliver asks of the outside; a test may set it otherwise. */
    deliverPorts,
    reprocessPorts,
    async rollup() {
      time.now += 1;
      return rollupRound({ lake, registry, metrics, tasks, clock, report, budgetMs: 60_000, deliveredThrough: clock, ...(difference && { difference }) });
    },
    /** Begins a job of reprocessing, and sees it through with rounds of delivery and rollup in between. */
    async reprocess(range: Reprocess): Promise<Job> {
      const { id } = await beginReprocess(range, reprocessPorts);
      for (let round = 0; round < 50; round++) {
        time.now += 1;
        await advanceReprocess(reprocessPorts);
        await this.deliver();
        await this.rollup();
        const job = (await listJobs(registry)).find((one) => one.id === id)!;
        if (job.state === 'done') return job;
      }
      throw new Error(`job ${id} is not done after 50 rounds`);
    },
    async stats(site: string, parameters: Record<string, string>): Promise<MetricValues> {
      const query = await ask(site, parameters);
      return (await stats(metrics, statsQuery(query.given, query.site, clock()), undefined)).results[0]!.metrics;
    },
    async timeseries(site: string, parameters: Record<string, string>): Promise<Record<string, MetricValues>> {
      const query = await ask(site, parameters);
      const { results } = await timeseries(metrics, timeseriesQuery(query.given, query.site, clock()), undefined);
      return Object.fromEntries(results.map((result) => [result.time, result.metrics]));
    },
    async breakdown(site: string, parameters: Record<string, string>): Promise<Record<string, MetricValues>> {
      const query = await ask(site, parameters);
      const { results } = await breakdown(metrics, breakdownQuery(query.given, query.site, clock()), undefined);
      return Object.fromEntries(results.map((result) => [result.value, result.metrics]));
    },
  };
}

export type Pipeline = Awaited<ReturnType<typeof openPipeline>>;
