// `npm start`: the whole pipeline on one machine. collect → deliver → rollup → serve, on LMDB and DuckDB: the doors and
// the API in this process, what is behind the log in another. next: local/http.ts, local/pipeline-process.ts
import { join, resolve } from 'node:path';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { findKey, isKey, listKeys, newKey, storeKey } from '../core/keys.ts';
import type { Store } from '../core/ports.ts';
import type { Health } from '../core/progress.ts';
import { cachedSites } from '../core/sites.ts';
import { adminHandler } from '../lambdas/admin.ts';
import { httpPorts } from '../lambdas/http.ts';
import { ingestHandler } from '../lambdas/ingest.ts';
import { serveHandler } from '../lambdas/serve.ts';
import { httpServer } from './http.ts';
import { filesOfLake } from './lake.ts';
import { openEnvironment } from './lmdb.ts';
import { isMain } from './main.ts';
import { PAGES_FOLDER, pagesOf } from './pages.ts';
import { CannotStart, RAW_KEPT_MS, environmentFolders, openPipeline, type Outside } from './pipeline.ts';
import { openPipelineProcess } from './pipeline-process.ts';
import { lmdbStore, storeWrittenElsewhere } from './store.ts';
import { lmdbLog } from './stream.ts';
import { parkedOf, storedTasks, type Waiting } from './tasks.ts';

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
  /** Whether the pipeline gets a process of its own, as it does unless a test wants it in its own. */
  ownProcess?: boolean;
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
/** The largest share of the time that rollups take; in the rest they pause. */
const ROLLUP_SHARE = 1 / 2;

/** Starts the doors, and the pipeline behind them. Throws CannotStart with one sentence where it cannot run. */
export async function start(options: StartOptions): Promise<Running> {
  const { report, host, port, ownProcess = true } = options;
  const clock = Date.now;
  const dataFolder = resolve(options.dataFolder);
  const onError = (error: unknown) => { report(`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`); };
  // The pipeline opens the folder first: its lock is what keeps a second process out of the log.
  const logOutside: Outside['log'] = {
    put: (records) => log.put(records), checkpoint: (position) => log.checkpoint(position), firstUnderWay: async () => log.firstUnderWay(),
  };
  const pipeline = await (ownProcess ? openPipelineProcess : openPipeline)({
    dataFolder,
    readsLog: ownProcess,
    deliverEveryMs: options.deliverEveryMs ?? DELIVER_EVERY_MS,
    rollupEveryMs: options.rollupEveryMs ?? ROLLUP_EVERY_MS,
    rollupShare: options.rollupShare ?? ROLLUP_SHARE,
  }, { log: logOutside, report });

  const folders = environmentFolders(dataFolder);
  // Each is written by one process: the log by this one, the store by the pipeline's.
  const environments = [openEnvironment(folders.stream), openEnvironment(folders.store, ownProcess)] as const;
  const [streamEnvironment, storeEnvironment] = environments;
  const log = lmdbLog(streamEnvironment, clock, report);
  const registry = storeWrittenElsewhere(storeEnvironment, 'registry', pipeline.registry);
  const waiting = storedTasks(storeEnvironment);
  // One machine, and a store in its memory: nothing need be remembered, so what an administrator does works at once.
  const shared = { registry, clock, ...httpPorts(registry, clock, 0, onError) };
  const server = httpServer({
    stream: log,
    clock,
    onError,
    trustProxy: options.trustProxy ?? false,
    pages: pagesOf(PAGES_FOLDER),
    handlers: {
      ingest: ingestHandler({ ...shared, stream: log, sites: cachedSites(registry, clock, SITE_CACHE_MS) }),
      admin: adminHandler({ ...shared, lake: filesOfLake(join(dataFolder, 'lake')), tasks: { parked: async () => parkedOf(waiting()) }, usdPerTerabyte: 0, rawKeptMs: RAW_KEPT_MS }),
      serve: serveHandler({ ...shared, metrics: lmdbStore(storeEnvironment, 'metrics'), health: async () => healthOf(waiting(), log.undeliveredSince(), clock()) }),
    },
  });

  const stop = async () => {
    await pipeline.stop();
    for (const environment of environments) await environment.close();
  };
  try {
    await checkFormat(registry, dataFolder);
    const adminKey = await provideAdminKey(registry, options);
    const url = await listen(server, host, port);
    await pipeline.begin();
    return {
      url,
      adminKey,
      stop: async () => {
        server.closeAllConnections();
        await new Promise((closed) => server.close(closed));
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @param since when the oldest record was put that is not in the lake */
function healthOf(waiting: readonly Waiting[], since: number | undefined, now: number): Health {
  return {
    oldest_undelivered_seconds: since === undefined ? null : Math.max(0, Math.round((now - since) / 1000)),
    waiting_tasks: waiting.filter(({ parked }) => !parked).length,
    parked_tasks: waiting.filter(({ parked }) => parked).length,
  };
}

/** How long the server door remembers a site. */
const SITE_CACHE_MS = 2_000;
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
