// `npm start`: the whole pipeline in one process. collect → deliver → rollup → serve, on LMDB and DuckDB.
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { countryTable } from '../core/deliver/place.ts';
import { findKey, isKey, listKeys, newKey, storeKey } from '../core/keys.ts';
import type { Store } from '../core/ports.ts';
import { advanceReprocess, type Pace } from '../core/reprocess.ts';
import { removeOldRuns } from '../core/rollup.ts';
import { removeExpiredSalts, storedSalts } from '../core/salts.ts';
import { cachedSites } from '../core/sites.ts';
import { adminHandler } from '../lambdas/admin.ts';
import { httpPorts } from '../lambdas/http.ts';
import { ingestHandler } from '../lambdas/ingest.ts';
import { serveHandler } from '../lambdas/serve.ts';
import { deliverRound, removeRecordsBefore } from './deliver.ts';
import { httpServer } from './http.ts';
import { duckdbLake, type LocalLake } from './lake.ts';
import { openEnvironment } from './lmdb.ts';
import { every } from './loop.ts';
import { isMain } from './main.ts';
import { PAGES_FOLDER, pagesOf } from './pages.ts';
import { rollupRound } from './rollup.ts';
import { lmdbStore } from './store.ts';
import { lmdbLog } from './stream.ts';
import { lmdbTasks } from './tasks.ts';

/** Something that keeps the process from running, as one sentence for the operator. */
export class CannotStart extends Error {
  override name = 'CannotStart';
}

export interface StartOptions {
  dataFolder: string;
  /** 0 = any free port. */
  port: number;
  host: string;
  /** The admin key to use; one is made, and reported once, where absent and there is none yet. */
  adminKey?: string;
  trustProxy?: boolean;
  /** Pauses between rounds of delivery and of rollups, ms. */
  deliverEveryMs?: number;
  rollupEveryMs?: number;
  /** The largest share of the time that rollups take, above 0 and up to 1. */
  rollupShare?: number;
  /** News for the operator, a line each. */
  report: (line: string) => void;
}

export interface Running {
  url: string;
  /** The admin key where it was given or has just been made; '' where only its hash is known. */
  adminKey: string;
  stop: () => Promise<void>;
}

const DELIVER_EVERY_MS = 5_000;
const ROLLUP_EVERY_MS = 10_000;
/** Longer than a request takes from its receive time to the log. */
const IN_FLIGHT_MS = 1_000;
const REPROCESS_EVERY_MS = 1_000;
const HOUSEKEEPING_EVERY_MS = 60_000;
/** A round of rollups with more to do lets newer hours go first after so long. */
const ROLLUP_BUDGET_MS = 10_000;
/** The largest share of the time that rollups take; in the rest they pause. */
const ROLLUP_SHARE = 1 / 3;
/** Bytes the engine holds in memory, if that is no more than half of the machine's. */
const ENGINE_MEMORY = 2.5 * 2 ** 30;
/** A job's steps: no more than 100 hours wait at once, and no more than 20,000 records stand before live events. */
const REPROCESS_PACE: Pace = { hours: 100, records: 20_000, recordsRead: 200_000, waits: true };
const SITE_CACHE_MS = 2_000;
/** How long raw records are kept, and with them the salts of cookieless visitors. */
const RAW_KEPT_MS = 30 * 86_400_000;
/** Longer than any task takes, so that none loses the runs it reads. */
const OLD_RUNS_KEPT_MS = 60 * 60_000;

/** Starts the pipeline. Throws CannotStart with one sentence where it cannot run. */
export async function start(options: StartOptions): Promise<Running> {
  const { report, host, port } = options;
  const clock = Date.now;
  const dataFolder = resolve(options.dataFolder);
  const lakeFolder = join(dataFolder, 'lake');
  const temporary = join(dataFolder, 'temporary');
  const lake = await openData(dataFolder, temporary);
  const environments = [openEnvironment(join(dataFolder, 'stream')), openEnvironment(join(dataFolder, 'store'))] as const;
  const [streamEnvironment, storeEnvironment] = environments;
  const log = lmdbLog(streamEnvironment, clock, report);
  const registry = lmdbStore(storeEnvironment, 'registry');
  const metrics = lmdbStore(storeEnvironment, 'metrics');
  const tasks = lmdbTasks(storeEnvironment, clock);
  const close = async () => {
    lake.close();
    for (const environment of environments) await environment.close();
  };

  const onError = (error: unknown) => { report(`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`); };
  const sites = cachedSites(registry, clock, SITE_CACHE_MS);
  // One process, and a store in its memory: nothing need be remembered, so what an administrator does works at once.
  const shared = { registry, clock, ...httpPorts(registry, clock, 0, onError) };
  const server = httpServer({
    stream: log,
    clock,
    onError,
    trustProxy: options.trustProxy ?? false,
    pages: pagesOf(PAGES_FOLDER),
    handlers: {
      ingest: ingestHandler({ ...shared, stream: log, sites }),
      admin: adminHandler({ ...shared, lake, tasks, usdPerTerabyte: 0, rawKeptMs: RAW_KEPT_MS }),
      serve: serveHandler({
        ...shared,
        metrics,
        health: async () => {
          const waiting = tasks.all();
          const since = log.undeliveredSince();
          return {
            oldest_undelivered_seconds: since === undefined ? null : Math.max(0, Math.round((clock() - since) / 1000)),
            waiting_tasks: waiting.filter(({ parked }) => !parked).length,
            parked_tasks: waiting.filter(({ parked }) => parked).length,
          };
        },
      }),
    },
  });

  let adminKey: string;
  let url: string;
  try {
    await checkFormat(registry, dataFolder);
    adminKey = await provideAdminKey(registry, options);
    url = await listen(server, host, port);
  } catch (error) {
    await close();
    throw error;
  }

  const countryOf = countryTable(await readFile(createRequire(import.meta.url).resolve('@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb')));
  const salts = storedSalts(registry, clock, RAW_KEPT_MS);
  const deliverPorts = { log, lake, tasks, lakeFolder, temporary, sites, salts, countryOf, clock, report };
  // What had been received when a round began, and is not in the log when it has ended, is in the lake.
  let deliveredThrough = 0;
  const loops = [
    every('delivery', options.deliverEveryMs ?? DELIVER_EVERY_MS, 0, async () => {
      for (let more = true; more;) {
        const began = clock();
        more = await deliverRound(deliverPorts);
        deliveredThrough = Math.max(deliveredThrough, Math.min(began, log.undeliveredSince() ?? began) - IN_FLIGHT_MS);
      }
    }, report),
    every('rollup', options.rollupEveryMs ?? ROLLUP_EVERY_MS, 1 / (options.rollupShare ?? ROLLUP_SHARE) - 1, async () => {
      await rollupRound({ lake, registry, metrics, tasks, clock, report, budgetMs: ROLLUP_BUDGET_MS, deliveredThrough: () => deliveredThrough });
    }, report),
    every('reprocessing', REPROCESS_EVERY_MS, 0, async () => {
      await advanceReprocess({ lake, registry, stream: log, tasks, clock, rawKeptMs: RAW_KEPT_MS, pace: REPROCESS_PACE, deliveredThrough: () => deliveredThrough });
    }, report),
    every('housekeeping', HOUSEKEEPING_EVERY_MS, 0, async () => {
      await removeOldRuns({ lake, registry, clock }, OLD_RUNS_KEPT_MS);
      await removeExpiredSalts(registry, clock);
      await removeRecordsBefore(new Date(clock() - RAW_KEPT_MS).toISOString().slice(0, 10), lakeFolder);
    }, report),
  ];

  return {
    url,
    adminKey,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
      await Promise.all(loops.map((loop) => loop.stop()));
      await close();
    },
  };
}

/** Opens the data folder for this process alone. */
async function openData(dataFolder: string, temporary: string): Promise<LocalLake> {
  try {
    await mkdir(dataFolder, { recursive: true });
    return await duckdbLake(join(dataFolder, 'lake'), {
      enginePath: join(dataFolder, 'engine.duckdb'), temporary, memory: `${Math.floor(Math.min(ENGINE_MEMORY, totalmem() / 2) / 2 ** 20)}MiB`, threads: availableParallelism(),
    });
  } catch (error) {
    const { message } = error as Error;
    const holder = /Conflicting lock is held in .*?\(PID (\d+)\)/.exec(message)?.[1];
    if (holder !== undefined) throw new CannotStart(`The data folder ${dataFolder} is in use by another Footfall (process ${holder}); stop it, or set FOOTFALL_DATA to another folder.`);
    throw new CannotStart(`The data folder ${dataFolder} cannot be used: ${message.split('\n')[0]}`);
  }
}

/** Raised when what is stored changes its meaning. */
const DATA_FORMAT = 2;

/** Marks a new data folder, and refuses one whose numbers would be misread. */
async function checkFormat(registry: Store, dataFolder: string): Promise<void> {
  const known = (await registry.get('status', 'format'))?.version ?? ((await registry.range('hours', '', '~', 1)).length > 0 ? 1 : DATA_FORMAT);
  if (known !== DATA_FORMAT) {
    throw new CannotStart(`The data folder ${dataFolder} has format ${Number(known)}, this Footfall reads ${DATA_FORMAT}: set FOOTFALL_DATA to another folder, or run the version that wrote it.`);
  }
  await registry.put([{ pk: 'status', sk: 'format', version: DATA_FORMAT }]);
}

/** Takes the admin key that was given, or makes the first one and reports it, once. */
async function provideAdminKey(registry: Store, { adminKey, report }: StartOptions): Promise<string> {
  const now = new Date().toISOString();
  if (adminKey !== undefined) {
    if (!isKey(adminKey, 'admin')) throw new CannotStart('FOOTFALL_ADMIN_KEY is not an admin key: it accepts ff_admin_ and 43 letters and digits.');
    if (!(await findKey(registry, `Bearer ${adminKey}`))) await storeKey(registry, adminKey, { scope: 'admin', label: 'given at start' }, now);
    return adminKey;
  }
  if ((await listKeys(registry)).length > 0) return '';
  const made = newKey('admin');
  await storeKey(registry, made, { scope: 'admin', label: 'made at first start' }, now);
  report(`Admin key (shown only this once): ${made}`);
  return made;
}

async function listen(server: Server, host: string, port: number): Promise<string> {
  await new Promise<void>((listening, failed) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      failed(new CannotStart(error.code === 'EADDRINUSE'
        ? `Port ${port} on ${host} is in use; stop what uses it, or set PORT to another one.`
        : `Cannot listen on port ${port} of ${host}: ${error.message}`));
    });
    server.listen(port, host, listening);
  });
  const { address, port: bound } = server.address() as AddressInfo;
  const name = address === '127.0.0.1' || address === '::1' ? 'localhost' : address.includes(':') ? `[${address}]` : address;
  return `http://${name}:${bound}`;
}

/** The number of an environment variable; the fallback where it is not set. */
function numberFrom(name: string, fallback: number, max: number): number {
  const value = process.env[name];
  if (value === undefined || value === '') return fallback;
  const number = Number(value);
  if (!/^\d+(\.\d+)?$/.test(value) || number > max) throw new CannotStart(`${name} is ${JSON.stringify(value)}: it accepts a number from 0 to ${max}.`);
  return number;
}

async function main(): Promise<void> {
  const report = (line: string) => { process.stdout.write(`${line}\n`); };
  const { FOOTFALL_DATA, FOOTFALL_ADMIN_KEY, HOST, FOOTFALL_TRUST_PROXY } = process.env;
  const running = await start({
    dataFolder: FOOTFALL_DATA || './data',
    port: numberFrom('PORT', 8787, 65_535),
    host: HOST || '127.0.0.1',
    ...(FOOTFALL_ADMIN_KEY && { adminKey: FOOTFALL_ADMIN_KEY }),
    trustProxy: FOOTFALL_TRUST_PROXY === 'true',
    deliverEveryMs: numberFrom('FOOTFALL_DELIVER_SECONDS', DELIVER_EVERY_MS / 1000, 900) * 1000,
    rollupEveryMs: numberFrom('FOOTFALL_ROLLUP_SECONDS', ROLLUP_EVERY_MS / 1000, 900) * 1000,
    rollupShare: Math.max(0.01, numberFrom('FOOTFALL_ROLLUP_SHARE', ROLLUP_SHARE, 1)),
    report,
  });
  // eslint-disable-next-line no-console -- not ours: LMDB prints a stack for each commit the disk refuses, and whoever asked for the commit reports it.
  console.error = () => undefined;
  report(`The dashboard is at ${running.url}/, and for the admin key at ${running.url}/admin`);
  report(`Footfall is ready on ${running.url}`);
  let stopping = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      running.stop().then(() => process.exit(0), () => process.exit(1));
    });
  }
}

if (isMain(import.meta.filename)) {
  main().catch((error: unknown) => {
    process.stderr.write(`${error instanceof CannotStart ? error.message : String((error as Error).stack ?? error)}\n`);
    process.exit(1);
  });
}
