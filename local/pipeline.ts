// What happens behind the log of one machine: delivery, rollups, reprocessing and housekeeping, each in a loop.
// before: local/stream.ts; next: core/serve.ts
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { RootDatabase } from 'lmdb';
import { countryTable } from '../core/deliver/place.ts';
import { DAY_MS } from '../core/hour.ts';
import { advanceReprocess, type Pace } from '../core/reprocess.ts';
import { removeOldRuns } from '../core/rollup.ts';
import { removeExpiredSalts, storedSalts } from '../core/salts.ts';
import { cachedSites } from '../core/sites.ts';
import { deliver, removeRecordsBefore } from './deliver.ts';
import { duckdbLake, type LocalLake } from './lake.ts';
import { openEnvironment } from './lmdb.ts';
import { every, type Loop } from './loop.ts';
import { rollupRound } from './rollup.ts';
import { lmdbStore, type StoreWrites } from './store.ts';
import { lmdbLog, type Log } from './stream.ts';
import { lmdbTasks } from './tasks.ts';

/** Something that keeps the process from running, as one sentence for the operator. */
export class CannotStart extends Error {
  override name = 'CannotStart';
}

export interface PipelineOptions {
  dataFolder: string;
  /** Pauses between rounds of delivery and of rollups, ms. */
  deliverEveryMs: number;
  rollupEveryMs: number;
  /** The largest share of the time that rollups take, above 0 and up to 1. */
  rollupShare: number;
  /** Whether another process has the log, and this one only reads it. */
  readsLog: boolean;
}

/** What the pipeline asks of the process that has the doors, and alone writes the log. */
export interface Outside {
  /** Where the records of a replay go, and what of the log writes it, or knows what is being written. */
  log: Pick<Log, 'put' | 'checkpoint'> & { firstUnderWay: () => Promise<number | undefined> };
  /** News for the operator, a line each. */
  report: (line: string) => void;
}

export interface Pipeline {
  /** Writes the registry, which is the pipeline's to write. */
  registry: StoreWrites;
  /** Starts the loops. Called once, when the data folder has been found to be of this version, and the log is there. */
  begin(): Promise<void>;
  /** Lets the rounds that run finish, and closes the data folder. */
  stop(): Promise<void>;
}

/** Longer than a request takes from its receive time to the log. */
const IN_FLIGHT_MS = 1_000;
const REPROCESS_EVERY_MS = 1_000;
const HOUSEKEEPING_EVERY_MS = 60_000;
/** A round of rollups with more to do lets newer hours go first after so long. */
const ROLLUP_BUDGET_MS = 10_000;
/** Bytes the engine holds in memory, if that is no more than half of the machine's. */
const ENGINE_MEMORY = 2.5 * 2 ** 30;
/** A job's steps: no more than 100 hours wait at once, and no more than 20,000 records stand before live events. */
const REPROCESS_PACE: Pace = { hours: 100, records: 20_000, recordsRead: 200_000, waits: true };
/** How long raw records are kept, and with them the salts of cookieless visitors. */
export const RAW_KEPT_MS = 30 * DAY_MS;
/** Longer than any task takes, so that none loses the runs it reads. */
const OLD_RUNS_KEPT_MS = 60 * 60_000;

/** Where LMDB's environments are in the data folder. */
export function environmentFolders(dataFolder: string): { stream: string; store: string } {
  return { stream: join(dataFolder, 'stream'), store: join(dataFolder, 'store') };
}

/** Opens the data folder, and creates the databases of its store. Throws CannotStart where it cannot be used. */
export async function openPipeline(options: PipelineOptions, outside: Outside): Promise<Pipeline> {
  const { dataFolder } = options;
  const { report } = outside;
  const temporary = join(dataFolder, 'temporary');
  const lake = await openLake(dataFolder, temporary);
  const folders = environmentFolders(dataFolder);
  const storeEnvironment = openEnvironment(folders.store);
  const clock = Date.now;
  const registry = lmdbStore(storeEnvironment, 'registry');
  const metrics = lmdbStore(storeEnvironment, 'metrics');
  const tasks = lmdbTasks(storeEnvironment, clock);
  // Nothing else writes sites, so they are read again when one has been written: every two seconds it was 2 µs an event.
  const sites = cachedSites(registry, clock, Infinity);
  let loops: readonly Loop[] = [];
  let streamEnvironment: RootDatabase | undefined;
  return {
    registry: {
      async put(items) {
        await registry.put(items);
        sites.forget();
      },
      create: (item) => registry.create(item),
      async remove(keys) {
        await registry.remove(keys);
        sites.forget();
      },
    },
    async begin() {
      const environment = openEnvironment(folders.stream, options.readsLog);
      streamEnvironment = environment;
      const { put, checkpoint, firstUnderWay } = outside.log;
      const log: Log = {
        ...lmdbLog(environment, clock, report),
        async checkpoint(position) {
          await checkpoint(position);
          // What was delivered must not be read once more.
          environment.resetReadTxn();
        },
      };
      const country = createRequire(import.meta.url).resolve('@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb');
      const countryOf = countryTable(await readFile(country));
      const deliverPorts = {
        log, lake, tasks, temporary, countryOf, clock, report,
        lakeFolder: join(dataFolder, 'lake'), sites, salts: storedSalts(registry, clock, RAW_KEPT_MS),
      };
      // What had been received when a round began, and is not in the log when it has ended, is in the lake.
      let deliveredThrough = 0;
      loops = [
        every('delivery', options.deliverEveryMs, 0, async () => {
          await deliver(deliverPorts, async (began) => {
            const since = log.undeliveredSince(await firstUnderWay());
            deliveredThrough = Math.max(deliveredThrough, Math.min(began, since ?? began) - IN_FLIGHT_MS);
          });
        }, report),
        every('rollup', options.rollupEveryMs, 1 / options.rollupShare - 1, async () => {
          await rollupRound({ lake, registry, metrics, tasks, clock, report, budgetMs: ROLLUP_BUDGET_MS, deliveredThrough: () => deliveredThrough });
        }, report),
        every('reprocessing', REPROCESS_EVERY_MS, 0, async () => {
          await advanceReprocess({ lake, registry, stream: { put }, tasks, clock, rawKeptMs: RAW_KEPT_MS, pace: REPROCESS_PACE, deliveredThrough: () => deliveredThrough });
        }, report),
        every('housekeeping', HOUSEKEEPING_EVERY_MS, 0, async () => {
          await removeOldRuns({ lake, registry, clock }, OLD_RUNS_KEPT_MS);
          await removeExpiredSalts(registry, clock);
          await removeRecordsBefore(new Date(clock() - RAW_KEPT_MS).toISOString().slice(0, 10), deliverPorts.lakeFolder);
        }, report),
      ];
    },
    async stop() {
      await Promise.all(loops.map((loop) => loop.stop()));
      lake.close();
      for (const environment of [streamEnvironment, storeEnvironment]) await environment?.close();
    },
  };
}

/** A process that was killed lets go of the data folder when its pipeline's process, too, has seen that: within moments. */
const LOCK_MS = 3_000;
const TRY_LOCK_EVERY_MS = 100;

/** Opens the lake; its engine's file is the lock on the data folder. */
async function openLake(dataFolder: string, temporary: string, until = performance.now() + LOCK_MS): Promise<LocalLake> {
  try {
    await mkdir(dataFolder, { recursive: true });
    return await duckdbLake(join(dataFolder, 'lake'), {
      enginePath: join(dataFolder, 'engine.duckdb'), temporary, memory: `${Math.floor(Math.min(ENGINE_MEMORY, totalmem() / 2) / 2 ** 20)}MiB`, threads: availableParallelism(),
    });
  } catch (error) {
    const { message } = error as Error;
    const holder = /Conflicting lock is held in .*?\(PID (\d+)\)/.exec(message)?.[1];
    if (holder !== undefined && performance.now() < until) {
      await pause(TRY_LOCK_EVERY_MS);
      return openLake(dataFolder, temporary, until);
    }
    if (holder !== undefined) throw new CannotStart(`The data folder ${dataFolder} is in use by another Footfall (process ${await parentOf(holder)}); stop it, or set FOOTFALL_DATA to another folder.`);
    throw new CannotStart(`The data folder ${dataFolder} cannot be used: ${message.split('\n')[0]}`);
  }
}

/** The process that started a pipeline's; that one itself where the system does not tell (it is Linux that does). */
async function parentOf(pid: string): Promise<string> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return /^PPid:\s+(\d+)$/m.exec(status)?.[1] ?? pid;
}
