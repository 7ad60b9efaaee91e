// What an answer says of itself is true: everything received before `complete_through` is in its numbers, but for what
// `not_counted` names, and a bucket is `partial` where it ends later. On both deployments, at every moment, whatever is
// late, fails, or is tried again; checked against a list of what was sent, which knows nothing of the pipeline.
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { beaconEnvelope } from '../core/collect.ts';
import { newKey, storeKey } from '../core/keys.ts';
import { loaderOf } from '../core/load.ts';
import type { Query, Store } from '../core/ports.ts';
import { writeProgress } from '../core/progress.ts';
import { s3Notices } from '../lambdas/aws/notices.ts';
import { sqsTasks } from '../lambdas/aws/tasks.ts';
import { rollupHandler } from '../lambdas/rollup.ts';
import { scheduleHandler } from '../lambdas/schedule.ts';
import { serveHandler } from '../lambdas/serve.ts';
import { openEnvironment } from '../local/lmdb.ts';
import { rollupRound } from '../local/rollup.ts';
import { start } from '../local/start.ts';
import { lmdbLog, putAt } from '../local/stream.ts';
import { apiEvent, contextOf, noting, s3Notice, schedulerEvent, sqsEvent } from './lambdas/aws-events.ts';
import { fakeQueues } from './lambdas/queues.ts';
import { chanceOf, type Chance } from './chance.ts';
import { httpPorts } from './memory.ts';
import { openPipeline } from './pipeline.ts';
import { ADMIN_KEY, BROWSER, api, beacon, makeSite, temporaryFolder } from './process.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Sites, and the offsets of their clocks; Berlin's go back on October 25th, 2026, at 1:00 UTC, which so has 25 hours. */
const SITES = {
  plain: { zone: 'UTC', offset: () => 0 },
  india: { zone: 'Asia/Kolkata', offset: () => 5.5 * HOUR },
  berlin: { zone: 'Europe/Berlin', offset: (ms: number) => (ms < Date.parse('2026-10-25T01:00Z') ? 2 * HOUR : HOUR) },
};
type SiteId = keyof typeof SITES;
const SITE_IDS = Object.keys(SITES) as SiteId[];

const iso = (ms: number) => new Date(ms).toISOString();
const dayOf = (site: SiteId, ms: number) => iso(ms + SITES[site].offset(ms)).slice(0, 10);
const nextDay = (day: string) => iso(Date.parse(day) + DAY).slice(0, 10);

/** When a local day ends, epoch ms. The offset of two hours before midnight of UTC is that of these sites' midnight. */
function endOfDay(site: SiteId, day: string): number {
  const midnight = Date.parse(day) + DAY;
  return midnight - SITES[site].offset(midnight - 2 * HOUR);
}

function daysFrom(first: string, last: string): string[] {
  return first > last ? [] : [first, ...daysFrom(nextDay(first), last)];
}

// ---- What was sent

/** An accepted event; its page is its own. */
interface Sent { site: SiteId; page: string; received: number; happened: number }

interface Result { time?: string; value?: string; metrics: { events: number }; comparison?: object; partial?: true }
interface Answer { complete_through: string | null; results: Result[]; warnings: { code: string; message: string }[] }

/** What `not_counted` names: hours of UTC and local days. */
function namedBy({ warnings }: Answer): string[] {
  return warnings.flatMap(({ code, message }) => (code === 'not_counted' ? message.match(/\d{4}-\d{2}-\d{2}(T\d{2})?/g) ?? [] : []));
}

// ---- The pipeline, with what goes wrong in it

/** Breaks what it is told to break. Hours and days by name, each so many times; writes by how many are still to succeed. */
interface Faults { tasks: Map<string, number>; writes: { registry?: number; metrics?: number } }

function failing(store: Store, which: keyof Faults['writes'], { writes }: Faults): Store['put'] {
  const put = store.put.bind(store);
  return (items) => {
    const left = writes[which];
    if (left === undefined) return put(items);
    if (left > 0) {
      writes[which] = left - 1;
      return put(items);
    }
    delete writes[which];
    return Promise.reject(new Error(`the ${which} store is gone`));
  };
}

/** The hour or the local day that a statement begins to count. */
function countedBy({ statement, parameters }: Query): string | undefined {
  if (statement === 'steps') return `${String(parameters.dt)}T${String(parameters.hr)}`;
  return statement === 'days' ? String(parameters.day) : undefined;
}

async function openWorld(t: TestContext, now: string) {
  const pipeline = await openPipeline(t, now);
  const { registry, metrics, lake, log, clock } = pipeline;
  const key = newKey('admin');
  await storeKey(registry, key, { scope: 'admin', label: 'test' }, now);
  for (const id of SITE_IDS) await pipeline.site(id, SITES[id].zone);
  const serve = serveHandler({
    registry, metrics, clock, ...httpPorts(registry, clock),
    health: async () => ({ oldest_undelivered_seconds: null, waiting_tasks: 0, parked_tasks: 0 }),
  });

  const faults: Faults = { tasks: new Map(), writes: {} };
  /** What happens while a query runs. */
  const hooks = { meanwhile: async (): Promise<void> => undefined };
  const later = (ms: number) => { pipeline.at(iso(clock() + ms)); };
  const sent: Sent[] = [];
  metrics.put = failing(metrics, 'metrics', faults);

  return {
    ...pipeline, faults, hooks, later, sent,
    /** The stores and the lake as rollups find them. */
    registry: { ...registry, put: failing(registry, 'registry', faults) },
    lake: {
      ...lake,
      unload: async (query: Query, prefix: string) => {
        later(1);
        const what = countedBy(query);
        const left = what === undefined ? 0 : (faults.tasks.get(what) ?? 0);
        if (left > 0) {
          faults.tasks.set(what!, left - 1);
          throw new Error(`${what} cannot be read`);
        }
        await hooks.meanwhile();
        return lake.unload(query, prefix);
      },
    },
    /** Through a browser's door, so long after they happened (ms), but never before the hour of their receipt. */
    async view(site: SiteId, ages: readonly number[]) {
      const received = clock();
      const events = ages.map((age) => ({ age, happened: Math.max(received - age, received - (received % HOUR)), page: `/${sent.length}-${age}` }));
      for (const { page, happened } of new Map(events.map((event) => [event.page, event])).values()) sent.push({ site, page, received, happened });
      await pipeline.send(site, events.map(({ age, page }) => ({ name: 'page_view', url: `https://shop.example${page}`, age, visitor: page, id: page })));
    },
    /** Through the server's door. */
    async report(site: SiteId, times: readonly number[]) {
      const events = times.map((happened, i) => ({ site, happened, received: clock(), page: `/s${sent.length + i}` }));
      sent.push(...events);
      await pipeline.sendBatch(site, events.map(({ page, happened }) => ({ name: 'page_view', url: `https://shop.example${page}`, time: happened, visitor: page, id: page })));
    },
    /** When what has waited longest in the log was put there. */
    undelivered(): number {
      const oldest = log.oldest();
      return oldest ? putAt(oldest) : Infinity;
    },
    async ask(site: SiteId, read: string, query: string): Promise<Answer> {
      const { statusCode, body } = await serve(apiEvent({ route: `GET /v1/sites/{site}/${read}`, path: { site }, query, key }), contextOf());
      assert.equal(statusCode, 200, body);
      return JSON.parse(body!) as Answer;
    },
  };
}
type World = Awaited<ReturnType<typeof openWorld>>;

/** A way to run the pipeline. */
interface Deployment {
  deliver: (announcing?: 'down') => Promise<void>;
  /** Some of the work of rollups; rejects where it could not go on. */
  rollup: () => Promise<void>;
  /** Announces hours without news of them, as an operator may. */
  announce: (hours: readonly string[]) => Promise<void>;
  /** Has an hour counted anew, as a job of reprocessing does. */
  recount: (hour: string) => Promise<void>;
  /** Up to when everything received is in the lake and announced. */
  through: () => number;
  /** Whether a rollup has ended, so that there may be something to say. */
  begun: boolean;
}

const DOWN = { announce: () => Promise.reject(new Error('down')) };

function onOneMachine(world: World, chance: Chance): Deployment {
  const { tasks, registry, lake, metrics, clock } = world;
  let delivered = 0;
  return {
    begun: false,
    async deliver(announcing) {
      const began = clock();
      await world.deliver(announcing ? DOWN : tasks);
      // As the loop that runs in `npm start`, which has a test of its own below; here nothing is on its way into the log.
      delivered = Math.max(delivered, Math.min(began, world.undelivered()));
    },
    async rollup() {
      const through = delivered;
      await rollupRound({ lake, registry, metrics, tasks, clock, report: () => undefined, budgetMs: chance.of([60_000, 60_000, 4]), deliveredThrough: () => delivered });
      if (through > 0) this.begun = true;
      // What has come meanwhile is announced only; where nothing that was begun waits, the numbers are as complete as the lake was.
      if (through > 0 && tasks.all().every(({ parked }) => parked)) {
        const { complete_through } = await world.ask('plain', 'stats', 'range=today&metrics=events');
        assert.ok(Date.parse(complete_through!) >= through, `nothing waits, and the numbers are complete to ${complete_through} only, the lake to ${iso(through)}`);
      }
    },
    announce: (hours) => tasks.announce(hours),
    recount: (hour) => tasks.send([{ kind: 'hour', hour, recompute: true }]),
    through: () => delivered,
  };
}

function onAws(world: World, chance: Chance): Deployment {
  const { registry, lake, metrics, clock, later } = world;
  const { sqs, queues, send } = fakeQueues();
  const tasks = sqsTasks(sqs, 'tasks', registry);
  const observer = noting();
  const rollup = rollupHandler({ lakeWithin: () => lake, registry, tasks, load: loaderOf({ lake, metrics }), clock, observer });
  /** Notices on their way, and since when what they tell of had waited. */
  let coming: { since: number; hours: readonly string[] }[] = [];
  let objects = 0;
  const notice = (hour: string) => { send('notices', JSON.stringify(s3Notice([`events/dt=${hour.slice(0, 10)}/hr=${hour.slice(11)}/live-${++objects}.parquet`]))); };
  const arrive = () => {
    for (const { hours } of coming) hours.forEach(notice);
    coming = [];
  };
  const through = () => Math.min(clock(), world.undelivered(), ...coming.map(({ since }) => since));
  const schedule = scheduleHandler({
    // Now and then its time is up before it has read all there is.
    notices: { read: () => s3Notices(sqs, 'notices', { deadline: chance.of([MINUTE, MINUTE, MINUTE, 2]), clock: () => { later(1); return clock(); }, report: assert.fail }).read() },
    registry, tasks, lake, deliveredThrough: async () => through(), clock, observer,
  });
  const running = new Set<string>();

  /** Gives out a task as the queue does: of a group one at a time, its oldest. */
  async function work(): Promise<void> {
    const first = new Map([...queues.get('tasks') ?? []].reverse().map((message) => [message.group!, message]));
    const free = [...first.values()].filter(({ group }) => !running.has(group!));
    if (free.length === 0) return;
    const message = chance.of(free);
    running.add(message.group!);
    later(1);
    const { batchItemFailures } = await rollup(sqsEvent([message.body], ++message.received), contextOf());
    running.delete(message.group!);
    if (batchItemFailures.length === 0 || message.received === 5) queues.set('tasks', queues.get('tasks')!.filter(({ id }) => id !== message.id));
  }

  return {
    begun: false,
    async deliver(announcing) {
      const since = world.undelivered();
      await world.deliver(announcing ? DOWN : { announce: async (hours) => { if (hours.length > 0) coming.push({ since, hours }); } });
      if (chance.happens(0.7)) arrive();
    },
    async rollup() {
      if (chance.happens(0.6)) {
        later(1);
        try {
          this.begun ||= through() > 0;
          await schedule(schedulerEvent(), contextOf());
        } finally {
          // What was read and not removed is given out again.
          for (const message of queues.get('notices') ?? []) message.visible = true;
        }
      }
      for (let left = chance.upTo(6); left > 0; left--) await work();
      if (chance.happens(0.5)) arrive();
    },
    async announce(hours) {
      arrive();
      hours.forEach(notice);
    },
    recount: (hour) => tasks.send([{ kind: 'hour', hour, recompute: true }]),
    through,
  };
}

// ---- What has to be true of every answer

const valuesOf = (results: readonly Result[]) => new Set(results.map(({ value }) => value!));
const isPartial = (end: number, complete: number) => (end > complete ? true : undefined);

/** Asks everything there is to ask, and compares. `last` is the moment that was told before. */
class Witness {
  private last = 0;
  constructor(private readonly world: World, private readonly range: { from: string; to: string }) {}

  /** The moment that all answers name, epoch ms; 0 where there is none yet. */
  async check(begun: boolean): Promise<number> {
    const { world } = this;
    const { complete_through } = await world.ask('plain', 'stats', 'range=today&metrics=events');
    const complete = complete_through === null ? 0 : Date.parse(complete_through);
    if (!begun) assert.equal(complete_through, null, 'no rollup has ended yet');
    assert.ok(complete >= this.last, `complete_through went back from ${iso(this.last)} to ${complete_through}`);
    assert.ok(complete <= world.clock(), `complete_through ${complete_through} lies in the future: it is ${iso(world.clock())}`);
    this.last = complete;
    for (const site of SITE_IDS) await this.checkSite(site, complete);
    return complete;
  }

  private async checkSite(site: SiteId, complete: number): Promise<void> {
    const { world, range: { from, to } } = this;
    const all = world.sent.filter((event) => event.site === site);
    const ask = async (read: string, query: string) => {
      const answer = await world.ask(site, read, query);
      assert.equal(answer.complete_through, complete === 0 ? null : iso(complete), `${site} ${read} ${query}`);
      return answer;
    };

    const named = new Set<string>();
    for (const day of daysFrom(from, to)) {
      const ofDay = `from=${day}&to=${day}&metrics=events`;
      const [total, pages] = [await ask('stats', ofDay), await ask('breakdown', `${ofDay}&dimension=page&limit=100`)];
      const names = namedBy(total);
      for (const name of names) {
        assert.ok(world.faults.tasks.has(name), `${site} ${day}: ${name} is named, and nothing ever went wrong with it`);
        named.add(name);
      }
      assert.deepEqual(namedBy(pages), names);
      assert.equal(total.results[0]!.partial, isPartial(endOfDay(site, day), complete), `partial of ${site} ${day}, complete to ${iso(complete)}`);
      const there = valuesOf(pages.results);
      const sent = all.filter(({ happened }) => dayOf(site, happened) === day);
      const missing = sent.filter(({ page, ...event }) => !there.has(page) && this.isPromised(event, complete, names));
      assert.deepEqual(missing.map(tellingOf), [], `${site} ${day}: received before ${iso(complete)} and not counted; named are ${names.join() || 'none'}`);
      assert.deepEqual([...there].filter((page) => !sent.some((event) => event.page === page)), [], `${site} ${day}: counted and never sent`);
      assert.ok(pages.results.every(({ metrics }) => metrics.events === 1), `${site} ${day}: counted twice`);
    }

    const whole = `from=${from}&to=${to}&metrics=events`;
    const endOf = { hour: (time: string) => Date.parse(time) + HOUR, day: (time: string) => endOfDay(site, time), month: (time: string) => endOfDay(site, lastOfMonth(time, to)) };
    for (const [interval, more] of [['hour', ''], ['hour', '&smooth=5'], ['day', '&compare=previous_period'], ['day', '&smooth=3'], ['month', '&compare=previous_year'], ['month', '&smooth=2']] as const) {
      const { results, warnings } = await ask('timeseries', `${whole}&interval=${interval}${more}`);
      assert.equal(warnings.length > 0, named.size > 0, `${site} ${interval}${more} warns of ${JSON.stringify(warnings)}; a day of it of ${[...named].join()}`);
      let begin = endOfDay(site, from) - DAY;
      for (const { time, metrics, partial } of results) {
        const [start, end] = [begin, endOf[interval](time!)];
        begin = end;
        const at = `${site} ${interval}${more} ${time}, complete to ${iso(complete)}`;
        assert.equal(partial, isPartial(end, complete), `partial of ${at}`);
        if (more.startsWith('&smooth')) continue;
        const inIt = all.filter(({ happened }) => happened >= start && happened < end);
        const promised = inIt.filter((event) => this.isPromised(event, complete, [...named])).length;
        assert.ok(metrics.events >= promised && metrics.events <= inIt.length, `${at}: ${metrics.events} events, ${promised} of ${inIt.length} are promised`);
      }
      assert.equal(begin, endOfDay(site, to), `${site} ${interval}: the buckets end with the range`);
    }
  }

  private isPromised({ received, happened, site }: Omit<Sent, 'page'>, complete: number, named: readonly string[]): boolean {
    return received < complete && !named.includes(iso(happened).slice(0, 13)) && !named.includes(dayOf(site, happened));
  }
}

const tellingOf = ({ page, received, happened }: Sent) => `${page} of ${iso(happened)}, received ${iso(received)}`;

/** The last day of the month that a day begins, or of the range if that ends before. */
function lastOfMonth(first: string, to: string): string {
  const last = iso(Date.UTC(Number(first.slice(0, 4)), Number(first.slice(5, 7)), 0)).slice(0, 10);
  return last < to ? last : to;
}

// ---- Whatever happens

/** A day that ends in India, one that has 25 hours in Berlin and begins, changes its clocks, and ends there; a month that ends. */
const BEGINNINGS = ['2026-10-24T16:10:00Z', '2026-10-24T20:50:00Z', '2026-10-25T00:20:00Z', '2026-10-25T21:40:00Z', '2026-10-31T21:30:00Z'];
const STEPS = 12;
const RUNS = process.env.CI ? 20 : 3;
const SEED = Number(process.env.FRESHNESS_SEED ?? 20261124);

async function sendSomething(world: World, chance: Chance): Promise<void> {
  for (let requests = chance.upTo(2); requests > 0; requests--) {
    world.later(1 + chance.upTo(2 * MINUTE));
    const site = chance.of(SITE_IDS);
    const some = Array.from({ length: 1 + chance.upTo(2) });
    if (chance.happens(0.5)) await world.view(site, some.map(() => chance.upTo(30) * MINUTE));
    // Of this hour, the last few, or two days ago; never of the time to come.
    else await world.report(site, some.map(() => world.clock() - chance.of([0, HOUR, HOUR, 3 * HOUR, 2 * DAY]) - chance.upTo(MINUTE)));
  }
}

const hourOfSome = ({ sent, clock }: World, chance: Chance) => iso(sent.length === 0 ? clock() : chance.of(sent).happened).slice(0, 13);

function breakSomething(world: World, chance: Chance): void {
  const { faults, sent } = world;
  if (sent.length === 0) return;
  const { site, happened } = chance.of(sent);
  faults.tasks.set(chance.happens(0.3) ? dayOf(site, happened) : hourOfSome(world, chance), chance.of([1, 4, 5, 6, 9]));
  if (chance.happens(0.3)) faults.writes[chance.of(['registry', 'metrics'] as const)] = chance.upTo(8);
}

async function whateverHappens(world: World, deployment: Deployment, chance: Chance, witness: Witness): Promise<void> {
  const { hooks, later, faults } = world;
  const story: string[] = [];
  const step = async (name: string, work: () => Promise<void>) => {
    const began = story.push(`${iso(world.clock())} ${name}`) - 1;
    await work().catch((error: Error) => {
      if (error.name === 'AssertionError') throw error;
      story[began] += `, which failed: ${error.message}`;
    });
    await witness.check(deployment.begun);
  };
  const deliver = () => step('deliver', () => deployment.deliver(chance.happens(0.25) ? 'down' : undefined));
  const meanwhile = async () => {
    if (!chance.happens(0.06)) return;
    hooks.meanwhile = async () => undefined;
    await step('send, meanwhile', () => sendSomething(world, chance));
    if (chance.happens(0.7)) await deliver();
    hooks.meanwhile = meanwhile;
  };
  hooks.meanwhile = meanwhile;
  try {
    await witness.check(false);
    for (let i = 0; i < STEPS; i++) {
      later(chance.upTo(40) * MINUTE);
      await step('send', () => sendSomething(world, chance));
      if (chance.happens(0.3)) breakSomething(world, chance);
      if (chance.happens(0.6)) await deliver();
      if (chance.happens(0.15)) await step('announce', () => deployment.announce([hourOfSome(world, chance)]));
      if (chance.happens(0.15)) await step('recount', () => deployment.recount(hourOfSome(world, chance)));
      for (let rounds = chance.upTo(3); rounds > 0; rounds--) {
        later(chance.upTo(2) * MINUTE);
        await step('rollup', () => deployment.rollup());
      }
    }
    hooks.meanwhile = async () => undefined;
    await ending(world, deployment, witness);
  } catch (error) {
    (error as Error).message += `\n${story.join('\n')}\nfaults left: ${JSON.stringify([...faults.tasks])}\n${world.sent.map(({ site, ...event }) => `${site} ${tellingOf({ site, ...event })}`).join('\n')}`;
    throw error;
  }
}

/** Everything is mended, delivered and rolled up, what was parked once more: then the numbers are complete to the present. */
async function ending(world: World, deployment: Deployment, witness: Witness): Promise<void> {
  for (const name of world.faults.tasks.keys()) world.faults.tasks.set(name, 0);
  delete world.faults.writes.registry;
  delete world.faults.writes.metrics;
  await deployment.deliver();
  await deployment.announce([...new Set(world.sent.map(({ happened }) => iso(happened).slice(0, 13)))]);
  const through = deployment.through();
  assert.ok(through >= Math.max(0, ...world.sent.map(({ received }) => received)), 'the lake holds everything');
  let complete = 0;
  for (let round = 0; round < 100 && complete < through; round++) {
    world.later(5 * MINUTE);
    await deployment.rollup();
    const { complete_through } = await world.ask('plain', 'stats', 'range=today&metrics=events');
    complete = complete_through === null ? 0 : Date.parse(complete_through);
  }
  await witness.check(true);
  assert.ok(complete >= through, `the numbers are complete to ${iso(complete)}, the lake to ${iso(through)}`);
  for (const site of SITE_IDS) {
    const sent = world.sent.filter((event) => event.site === site);
    const { results, warnings } = await world.ask(site, 'stats', 'from=2026-10-20&to=2026-11-03&metrics=events');
    assert.deepEqual([results[0]!.metrics.events, warnings], [sent.length, []], site);
  }
}

for (const [deployment, make] of [['on one machine', onOneMachine], ['on AWS', onAws]] as const) {
  test(`Everything received before complete_through is counted or named, ${deployment}, whatever is late or fails`, async (t) => {
    t.diagnostic(`FRESHNESS_SEED=${SEED}, ${RUNS} runs`);
    for (let run = 0; run < RUNS; run++) {
      await t.test(`run ${run}`, async (t) => {
        const chance = chanceOf(SEED + run);
        const beginning = BEGINNINGS[run % BEGINNINGS.length]!;
        const world = await openWorld(t, beginning);
        const from = iso(Date.parse(beginning) - 3 * DAY).slice(0, 10);
        await whateverHappens(world, make(world, chance), chance, new Witness(world, { from, to: iso(Date.parse(from) + 5 * DAY).slice(0, 10) }));
      });
    }
  });
}

// ---- One thing at a time

const TODAY = 'range=today&metrics=events';
const YESTERDAY = 'range=yesterday&metrics=events';
/** Always the first of these choices, and nothing by chance. */
const NO_CHANCE: Chance = { upTo: () => 0, of: (choices) => choices[0]!, happens: () => false };

async function openOne(t: TestContext, now: string) {
  const world = await openWorld(t, now);
  return { world, one: onOneMachine(world, NO_CHANCE) };
}

test('Before the first rollup nothing is complete and everything partial', async (t) => {
  const { world, one } = await openOne(t, '2026-10-20T12:00:00Z');
  await world.view('plain', [0]);
  await one.deliver();
  for (const query of [TODAY, 'from=2020-01-01&to=2020-01-01&metrics=events']) {
    const { complete_through, results } = await world.ask('plain', 'stats', query);
    assert.deepEqual([complete_through, results], [null, [{ metrics: { events: 0 }, partial: true }]]);
  }
});

test('An event in the log that is not delivered keeps its time out of complete_through', async (t) => {
  const { world, one } = await openOne(t, '2026-10-20T12:00:00Z');
  await one.deliver();
  await one.rollup();
  world.at('2026-10-20T12:10:00Z');
  await world.view('plain', [0]);
  world.at('2026-10-20T12:20:00Z');
  await assert.rejects(one.deliver('down'), /down/);
  await one.rollup();
  const before = await world.ask('plain', 'stats', TODAY);
  assert.ok(Date.parse(before.complete_through!) <= Date.parse('2026-10-20T12:10:00Z'), before.complete_through!);
  assert.equal(before.results[0]!.metrics.events, 0);
  await one.deliver();
  await one.rollup();
  const { complete_through, results } = await world.ask('plain', 'stats', TODAY);
  assert.ok(complete_through! >= '2026-10-20T12:20:00.000Z', complete_through!);
  assert.equal(results[0]!.metrics.events, 1);
});

test('A late event does not make yesterday partial; it is counted when the numbers are complete to its receipt', async (t) => {
  const { world, one } = await openOne(t, '2026-10-20T12:00:00Z');
  await one.deliver();
  await one.rollup();
  await world.report('plain', [Date.parse('2026-10-19T08:00:00Z')]);
  const received = world.clock();
  const before = await world.ask('plain', 'stats', YESTERDAY);
  assert.deepEqual(before.results, [{ metrics: { events: 0 } }]);
  assert.ok(Date.parse(before.complete_through!) <= received);
  await one.deliver();
  await one.rollup();
  const after = await world.ask('plain', 'stats', YESTERDAY);
  assert.deepEqual(after.results, [{ metrics: { events: 1 } }]);
  // The clock of this test moves with each round and query.
  assert.ok(Date.parse(after.complete_through!) >= received);
});

test('What a task that failed would count keeps its time out of complete_through, and is named when the task is parked', async (t) => {
  const { world, one } = await openOne(t, '2026-10-20T12:10:00Z');
  await world.view('plain', [0]);
  await one.deliver();
  const received = Date.parse('2026-10-20T12:10:00Z');
  world.faults.tasks.set('2026-10-20T12', 5);
  for (let attempt = 1; attempt <= 4; attempt++) {
    await one.rollup();
    assert.deepEqual((await world.ask('plain', 'stats', TODAY)).warnings, [], `attempt ${attempt}`);
    assert.equal((await world.ask('plain', 'stats', TODAY)).complete_through, null, `attempt ${attempt}`);
    world.later(5 * MINUTE);
    await one.deliver();
  }
  await one.rollup();
  const { complete_through, results, warnings } = await world.ask('plain', 'stats', TODAY);
  assert.ok(Date.parse(complete_through!) > received);
  assert.deepEqual([results, warnings], [
    [{ metrics: { events: 0 }, partial: true }],
    [{ code: 'not_counted', message: 'Not all events of 2026-10-20T12 could be counted yet (hours of UTC, and days).' }],
  ]);
  assert.deepEqual((await world.ask('plain', 'stats', YESTERDAY)).warnings, []);
});

for (const [how, again] of [
  ['announced again', (one: Deployment) => one.announce(['2026-10-20T12'])],
  ['counted anew', (one: Deployment) => one.recount('2026-10-20T12')],
] as const) {
  for (const [where, make] of [['on one machine', onOneMachine], ['on AWS', onAws]] as const) {
    test(`A parked hour stays named while it is ${how}, until it is counted, ${where}`, async (t) => {
      const world = await openWorld(t, '2026-10-20T12:10:00Z');
      // On AWS each round is a schedule and one task.
      const deployment = make(world, { ...NO_CHANCE, upTo: () => 1, happens: () => true });
      const names = async () => namedBy(await world.ask('plain', 'stats', TODAY));
      const rounds = async (n: number) => {
        for (let i = 0; i < n; i++) {
          world.later(5 * MINUTE);
          await deployment.deliver();
          await deployment.rollup();
        }
      };
      await world.view('plain', [0]);
      await deployment.deliver();
      world.faults.tasks.set('2026-10-20T12', 8);
      await rounds(7);
      assert.deepEqual(await names(), ['2026-10-20T12']);
      await again(deployment);
      const answers: string[] = [];
      for (let i = 0; i < 9; i++) {
        await rounds(1);
        const { complete_through, results: [total] } = await world.ask('plain', 'stats', TODAY);
        assert.ok(Date.parse(complete_through!) > Date.parse('2026-10-20T12:10:00Z'));
        answers.push(total!.metrics.events === 1 ? 'counted' : (await names()).join() || 'neither counted nor named');
      }
      assert.deepEqual(answers.filter((answer) => answer === 'neither counted nor named'), []);
      assert.equal(answers.at(-1), 'counted');
      assert.deepEqual(await names(), []);
    });
  }
}

/** The first bucket that is partial where the numbers are complete to a millisecond before a moment, and where to the moment itself. */
const EDGES: [what: string, site: SiteId, query: string, edge: string, before: string, at: string][] = [
  ['a day', 'plain', 'from=2026-10-23&to=2026-10-26&interval=day', '2026-10-25T00:00Z', '2026-10-24', '2026-10-25'],
  ['a day in India', 'india', 'from=2026-10-23&to=2026-10-26&interval=day', '2026-10-24T18:30Z', '2026-10-24', '2026-10-25'],
  ['an hour in India', 'india', 'from=2026-10-24&to=2026-10-25&interval=hour', '2026-10-24T19:30Z', '2026-10-25T00:00:00+05:30', '2026-10-25T01:00:00+05:30'],
  ['the day before one of 25 hours', 'berlin', 'from=2026-10-23&to=2026-10-26&interval=day', '2026-10-24T22:00Z', '2026-10-24', '2026-10-25'],
  ['a day of 25 hours', 'berlin', 'from=2026-10-23&to=2026-10-26&interval=day', '2026-10-25T23:00Z', '2026-10-25', '2026-10-26'],
  ['the first of two hours from two to three', 'berlin', 'from=2026-10-25&to=2026-10-25&interval=hour', '2026-10-25T01:00Z', '2026-10-25T02:00:00+02:00', '2026-10-25T02:00:00+01:00'],
  ['the second of them', 'berlin', 'from=2026-10-25&to=2026-10-25&interval=hour', '2026-10-25T02:00Z', '2026-10-25T02:00:00+01:00', '2026-10-25T03:00:00+01:00'],
  ['an average of days', 'berlin', 'from=2026-10-25&to=2026-10-26&interval=day&smooth=7', '2026-10-25T23:00Z', '2026-10-25', '2026-10-26'],
  ['an average of hours', 'india', 'from=2026-10-25&to=2026-10-25&interval=hour&smooth=24', '2026-10-24T19:30Z', '2026-10-25T00:00:00+05:30', '2026-10-25T01:00:00+05:30'],
  ['a day compared with one that has long ended', 'plain', 'from=2026-10-24&to=2026-10-25&interval=day&compare=previous_year', '2026-10-25T00:00Z', '2026-10-24', '2026-10-25'],
  ['a day of another zone than the site\'s', 'plain', 'from=2026-10-23&to=2026-10-26&interval=day&time_zone=Asia/Kolkata', '2026-10-24T18:30Z', '2026-10-24', '2026-10-25'],
  ['an hour of another zone than the site\'s', 'berlin', 'from=2026-10-25&to=2026-10-25&interval=hour&time_zone=Asia/Kolkata', '2026-10-24T19:30Z', '2026-10-25T00:00:00+05:30', '2026-10-25T01:00:00+05:30'],
  ['a month', 'india', 'from=2026-09-01&to=2026-11-30&interval=month', '2026-10-31T18:30Z', '2026-10-01', '2026-11-01'],
  ['the part of a month that is asked for', 'berlin', 'from=2026-09-10&to=2026-10-25&interval=month', '2026-10-25T23:00Z', '2026-10-01', 'none'],
];

test('A bucket is partial until the numbers are complete to its end, to the millisecond', async (t) => {
  const world = await openWorld(t, '2026-12-01T00:00:00Z');
  for (const [what, site, query, edge, before, at] of EDGES) {
    const firstPartial = async (completeThrough: number) => {
      await writeProgress(world.registry, { completeThrough, parkedHours: [], parkedDays: [] });
      const { results } = await world.ask(site, 'timeseries', `${query}&metrics=events`);
      const first = results.findIndex(({ partial }) => partial);
      assert.deepEqual(results.map(({ partial }) => partial === true), results.map((_, i) => first !== -1 && i >= first), `${what}: all after the first are partial as well`);
      return results[first]?.time ?? 'none';
    };
    assert.deepEqual([what, await firstPartial(Date.parse(edge) - 1), await firstPartial(Date.parse(edge))], [what, before, at]);
  }
});

// ---- The process itself, on a clock that the test sets

const RECEIVED = Date.parse('2026-10-20T12:10:00Z');
interface Health { complete_through: string | null }

/** Starts the pipeline as `npm start` does, with its loops; `Date` is the test's, which another process would not know. */
async function startAt(t: TestContext, dataFolder: string, deliverEveryMs: number) {
  const reports: string[] = [];
  const running = await start({
    dataFolder, port: 0, host: '127.0.0.1', adminKey: ADMIN_KEY, deliverEveryMs, rollupEveryMs: 10, rollupShare: 1, ownProcess: false, report: (line) => { reports.push(line); },
  });
  let stopped = false;
  const stop = async () => {
    if (stopped) return;
    stopped = true;
    await running.stop();
  };
  t.after(stop);
  return {
    stop, reports, url: running.url,
    complete: async () => Date.parse((await api<Health>(running.url, 'GET', '/v1/health')).complete_through ?? '1970-01-01T00:00Z'),
    events: async () => (await api<Answer>(running.url, 'GET', '/v1/sites/shop/stats?from=2026-10-20&to=2026-10-20&metrics=events')).results[0]!.metrics.events,
  };
}

/** Waits for what loops bring about; gives up after 2,000 looks. */
async function eventually(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  for (let i = 0; i < 2000; i++) {
    if (await holds()) return;
    await pause(10);
  }
  throw new Error(`waited in vain for ${what}`);
}

test('The process does not pass an event that a round had no room for, and that the next cannot deliver, also where it is started again', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: RECEIVED - HOUR });
  const folder = temporaryFolder();
  const first = await startAt(t, folder, 20);
  await makeSite(first.url, 'shop');
  await eventually('the first rollup', async () => (await first.complete()) > 0);
  await first.stop();

  // As much as a round takes, of what is no envelope, and behind it an event, received ten minutes later.
  const environment = openEnvironment(join(folder, 'stream'));
  const log = lmdbLog(environment, Date.now, () => undefined);
  t.mock.timers.setTime(RECEIVED - 10 * MINUTE);
  await log.put(Array.from({ length: 8 }, () => 'x'.repeat(8_000_000)));
  t.mock.timers.setTime(RECEIVED);
  await log.put([JSON.stringify(beaconEnvelope({ id: 'r', at: RECEIVED, userAgent: BROWSER }, JSON.stringify({ site: 'shop', events: [{ name: 'page_view' }] })))]);
  await environment.close();
  // Where its rows would go there is a file.
  mkdirSync(join(folder, 'lake'), { recursive: true });
  writeFileSync(join(folder, 'lake', 'events'), '');

  t.mock.timers.setTime(RECEIVED + HOUR);
  for (let time = 1; time <= 2; time++) {
    const again = await startAt(t, folder, 20);
    await eventually('the round that fails', () => again.reports.some((line) => line.startsWith('delivery failed')));
    // At the second start the round that fails is the first, and nothing new is known.
    await eventually('the numbers to follow the lake', async () => (await again.complete()) > RECEIVED - 30 * MINUTE);
    assert.ok((await again.complete()) <= RECEIVED, `complete to ${iso(await again.complete())}`);
    assert.equal(await again.events(), 0);
    if (time === 1) await again.stop();
    else {
      rmSync(join(folder, 'lake', 'events'));
      await eventually('the present', async () => (await again.complete()) > RECEIVED + 50 * MINUTE);
      assert.equal(await again.events(), 1);
    }
  }
});

test('A process that is started again says nothing of what it has yet to deliver', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: RECEIVED });
  const folder = temporaryFolder();
  // One round of delivery at the start, and no other.
  const first = await startAt(t, folder, 600_000);
  await makeSite(first.url, 'shop');
  await eventually('the first rollup', async () => (await first.complete()) > 0);
  for (let i = 0; i < 3; i++) assert.equal((await beacon(first.url, 'shop', [{ name: 'page_view' }])).status, 204);
  t.mock.timers.setTime(RECEIVED + 5 * MINUTE);
  assert.ok((await first.complete()) <= RECEIVED);
  await first.stop();

  t.mock.timers.setTime(RECEIVED + HOUR);
  const second = await startAt(t, folder, 600_000);
  await eventually('the present', async () => {
    const complete = await second.complete();
    if (complete > RECEIVED) assert.equal(await second.events(), 3);
    return complete > RECEIVED + 50 * MINUTE;
  });
});
