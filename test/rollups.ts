// Rollups of their own over the rows of a pipeline, to be compared with one another; and what happens in their small world.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { beaconEnvelope } from '../core/collect.ts';
import type { Pays } from '../core/difference.ts';
import { hourAfter, type Hour } from '../core/hour.ts';
import { isSame } from '../core/items.ts';
import { loaderOf } from '../core/load.ts';
import type { HourTask, Lake, Statement, StoreItem, Task } from '../core/ports.ts';
import { readCommits, runTask, tasksFor, type RollupPorts, type Slicing } from '../core/rollup.ts';
import { EXACT } from '../core/sketch.ts';
import { duckdbLake } from '../local/lake.ts';
import type { Chance } from './chance.ts';
import { MemoryStore } from './memory.ts';
import type { Pipeline } from './pipeline.ts';
import { BROWSER, temporaryFolder } from './process.ts';

export const ALWAYS: Pays = { from: 0, added: 1 };

/** A rollup of its own over the pipeline's rows: by difference where that can be, or never; in slices of sites, or never. */
export async function openRollup(t: TestContext, { lakeFolder, clock }: Pipeline, difference?: Pays, exact_visitors = EXACT, slicing?: Slicing) {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'lake'));
  mkdirSync(join(lakeFolder, 'events'), { recursive: true });
  symlinkSync(join(lakeFolder, 'events'), join(folder, 'lake', 'events'), 'junction');
  const lake = await duckdbLake(join(folder, 'lake'), { enginePath: join(folder, 'engine.duckdb'), temporary: join(folder, 'temporary'), memory: '1GB', threads: 1 });
  t.after(() => lake.close());
  const [registry, metrics] = [new MemoryStore(), new MemoryStore()];
  const statements: Statement[] = [];
  /** Of each query that was carried out in slices, how many. */
  const slices: number[] = [];
  const written = new Set<string>();
  const noted: Lake = {
    ...lake,
    unload(query, prefix) {
      statements.push(query.statement);
      if (query.slices) slices.push(query.slices.length);
      return lake.unload('exact_visitors' in query.parameters ? { ...query, parameters: { ...query.parameters, exact_visitors } } : query, prefix);
    },
  };
  const put = async (items: readonly StoreItem[]) => {
    for (const { pk, sk } of items) written.add(`${pk} ${sk}`);
    await metrics.put(items);
  };
  const load = loaderOf({ lake, metrics: { get: metrics.get.bind(metrics), put } });
  const ports: RollupPorts = { lake: noted, registry, load, sitesAtOnce: 10_000, ...(difference && { difference }), ...(slicing && { slicing }), clock, tasks: { send: async () => undefined, parked: async () => [] } };

  return {
    folder: join(folder, 'lake'), lake, registry, metrics, ports, slices,
    /** Carries out the hours that are due, and their days; resolves to what was asked, and which items were written. */
    async rollUp(hours: readonly Hour[], more: Partial<HourTask> = {}) {
      statements.length = 0;
      written.clear();
      const days = new Set<string>();
      const send: RollupPorts['tasks']['send'] = async (tasks) => { for (const task of tasks) if (task.kind === 'day') days.add(task.day); };
      const tasks = { ...ports.tasks, send };
      const due = await tasksFor(hours.map((hour) => ({ hour, recompute: false })), registry);
      for (const task of due) await runTask({ ...task, ...more } as Task, { ...ports, tasks });
      for (const day of [...days].sort()) await runTask({ kind: 'day', day }, { ...ports, tasks });
      return { statements: [...statements], written: [...written].sort() };
    },
    /** The rows of an hour's committed run, as lines in an order of their own. */
    async rowsOf(hour: Hour): Promise<string[]> {
      const run = (await readCommits(registry, hour, hour)).get(hour)?.run;
      const lines: string[] = [];
      const plain = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);
      const parts = run === undefined ? [] : readdirSync(join(folder, 'lake', 'hours', `run=${run}`));
      for (const part of parts) for await (const row of lake.rows(`hours/run=${run}/${part}`)) lines.push(JSON.stringify(row, plain));
      return lines.sort();
    },
  };
}

export type Rollup = Awaited<ReturnType<typeof openRollup>>;

/** Where two rollups differ, said in words. */
export async function differences(one: Rollup, other: Rollup, hours: readonly Hour[]): Promise<string[]> {
  const found: string[] = [];
  for (const hour of hours) {
    const [rows, others] = [await one.rowsOf(hour), await other.rowsOf(hour)];
    const [known, unknown] = [new Set(rows), new Set(others)];
    found.push(...rows.filter((row) => !unknown.has(row)).map((row) => `${hour} has ${row}`), ...others.filter((row) => !known.has(row)).map((row) => `${hour} has not ${row}`));
  }
  const items = new Map(other.metrics.all().map((item) => [`${item.pk} ${item.sk}`, item]));
  for (const item of one.metrics.all()) if (!isSame(item, items.get(`${item.pk} ${item.sk}`))) found.push(`${item.pk} ${item.sk} differs`);
  if (items.size !== one.metrics.all().length) found.push(`${one.metrics.all().length} items are not ${items.size}`);
  return found;
}

// ---- What happens

export const HOUR: Hour = '2026-03-10T18';
export const HOURS = [hourAfter(HOUR, -1), HOUR, hourAfter(HOUR)];
// In India midnight is at half past six, in the hour in the middle.
export const ZONES = ['UTC', 'Asia/Kolkata', 'America/New_York'];
export const MINUTE = 60_000;
const START = Date.parse(`${HOURS[0]}:00:00Z`);
export const CRAWLER = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)';
const NAMES = ['page_view', 'page_view', 'page_view', 'view_item', 'add_to_cart', 'begin_checkout', 'purchase', 'refund', 'sign_up'];
const CAME = ['', '?utm_source=news&utm_medium=email', '?gclid=1', '?utm_campaign=a&utm_source=b'];

/** An event of a small world, so that visits grow, pages meet, and ids come again. */
function eventOf(chance: Chance, isCommon: boolean): Record<string, unknown> {
  const name = chance.of(NAMES);
  const isCommerce = name !== 'page_view' && name !== 'sign_up';
  return {
    name,
    ...(chance.happens(0.8) && { url: `https://shop.example/${chance.of(['', 'a', 'b', 'c'])}${chance.of(CAME)}` }),
    ...(chance.happens(0.9) && { visitor: isCommon ? 'common' : `v${chance.upTo(11)}` }),
    ...(chance.happens(0.3) && { id: `e${chance.upTo(30)}` }),
    ...(isCommerce && { value: chance.of([5, 7.5, 20]), currency: chance.of(['EUR', 'EUR', 'USD']) }),
    ...(name === 'purchase' && chance.happens(0.6) && { transaction_id: `t${chance.upTo(8)}` }),
    ...(isCommerce && chance.happens(0.6) && { items: Array.from({ length: 1 + chance.upTo(1) }, () => ({ id: `p${chance.upTo(3)}`, price: 5, quantity: 1 + chance.upTo(2) })) }),
    // Refused.
    ...(chance.happens(0.05) && { value: 'a lot' }),
  };
}

/** Records of requests to all sites, each of which one happens at a time of its own; as many for each chunk. */
export function chunksOf(chance: Chance, sites: readonly string[], chunks: number, each: number): string[][] {
  let requests = 0;
  const records = (from: number, to: number, count: number) => Array.from({ length: count }, () => {
    // Moments meet as well.
    const at = from + chance.upTo((to - from) / MINUTE - 1) * MINUTE + chance.of([0, 0, 1]);
    const userAgent = chance.happens(0.07) ? CRAWLER : BROWSER;
    const events = Array.from({ length: 1 + chance.upTo(2) }, () => eventOf(chance, chance.happens(0.1)));
    return JSON.stringify(beaconEnvelope({ id: `r${requests++}`, at, userAgent }, JSON.stringify({ site: chance.of(sites), events })));
  });
  const span = HOURS.length * 60 * MINUTE;
  const result = Array.from({ length: chunks }, (_, i) => {
    const now = START + Math.ceil(((i + 1) * span) / chunks / MINUTE) * MINUTE;
    // Most of it just now, some late.
    return [...records(Math.max(START, now - 20 * MINUTE), now, Math.ceil(each * 0.8)), ...records(START, now, Math.floor(each * 0.2))];
  });
  // Some are delivered twice, in one chunk or in different ones.
  for (const record of result.flat()) if (chance.happens(0.05)) chance.of(result).push(record);
  return result;
}

/** What is put, delivered: resolves to the hours that it changed. */
export async function deliver(pipeline: Pipeline, records: readonly string[]): Promise<Hour[]> {
  const hours = new Set<Hour>();
  await pipeline.log.put([...records]);
  await pipeline.deliver({ announce: async (announced) => { for (const hour of announced) hours.add(hour); } });
  return [...hours].sort();
}

/** Carries out hours that are due by two rollups, which must come to the same and write the same; resolves to what the first asked. */
export async function rollUpBoth(one: Rollup, other: Rollup, hours: readonly Hour[], { more, where }: { more?: Partial<HourTask> | undefined; where?: string } = {}): Promise<Statement[]> {
  const { statements, written } = await one.rollUp(hours, more);
  const others = await other.rollUp(hours);
  assert.deepEqual(await differences(one, other, HOURS), [], where);
  assert.deepEqual(written, others.written, where);
  return statements;
}

const AT = Date.parse(`${HOUR}:20:00Z`);
let requests = 0;

/** A request with events of the hour, at a minute after the one in which it began. */
export function request(site: string, minute: number, events: object[], userAgent = BROWSER): string {
  return JSON.stringify(beaconEnvelope({ id: `q${requests++}`, at: AT + minute * MINUTE, userAgent }, JSON.stringify({ site, events })));
}

export const view = (visitor: string, more: object = {}) => ({ name: 'page_view', url: 'https://shop.example/', visitor, ...more });
