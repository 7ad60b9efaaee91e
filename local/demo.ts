// `npm run demo`: Footfall on this machine with an invented shop and simulated visitors.
// before: local/demo-shop.ts makes the visits up; next: the doors of the server that local/start.ts starts
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { LIMITS } from '../core/event.ts';
import { newKey } from '../core/keys.ts';
import { Client, reasonOf } from './client.ts';
import { demoHistory, demoVisit, randomFrom, type Random, type TimedEvent } from './demo-shop.ts';
import { isMain } from './main.ts';
import { CannotStart } from './pipeline.ts';
import { start } from './start.ts';

const SITE = 'demo';
const KEY_LABEL = 'npm run demo';
/** Two weeks, so that a week has one to be compared with. */
const HISTORY_DAYS = 15;
/** Milliseconds between two live visits, on average. */
const VISIT_EVERY_MS = 1500;
const TICK_MS = 250;
const TIMEOUT_MS = 10_000;
const FAILURES_EVERY_MS = 30_000;

type Say = (line: string) => void;

/** Counts what could not be sent, and tells it in one line now and then: a demo goes on. */
class Failures {
  #count = 0;
  #toldAt = -Infinity;
  constructor(private readonly say: Say) {}

  add(events: number, why: string): void {
    this.#count += events;
    if (performance.now() - this.#toldAt < FAILURES_EVERY_MS) return;
    this.#toldAt = performance.now();
    this.say(`Events that could not be sent so far: ${this.#count}; the last one because of: ${why}`);
  }
}

/** Sends a request once, as its events have no ids, and counts them as failed where it is not taken. */
async function post(url: string, init: RequestInit, events: number, failures: Failures): Promise<void> {
  try {
    const answer = await fetch(url, { ...init, method: 'POST', signal: AbortSignal.timeout(TIMEOUT_MS) });
    await answer.text(); // Read to its end, so that the connection serves again.
    if (!answer.ok) failures.add(events, `status ${answer.status}`);
  } catch (error) {
    failures.add(events, reasonOf(error));
  }
}

/** The days before now, through the server door: only there an event may say its time, address and country. */
async function sendHistory(url: string, key: string, history: TimedEvent[], failures: Failures): Promise<void> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  for (let from = 0; from < history.length; from += LIMITS.api.events) {
    const events = history.slice(from, from + LIMITS.api.events).map(({ at, by, event }) => ({
      ...event, time: at, visitor: by.visitor, user_agent: by.userAgent, country: by.country, ip: by.ip,
    }));
    await post(`${url}/v1/events`, { headers, body: JSON.stringify({ events }) }, events.length, failures);
  }
}

/** One event as its browser would send it, when it happens. */
function sendLive(url: string, { by, event }: TimedEvent, failures: Failures): Promise<void> {
  // Without an id all visitors would be the one behind 127.0.0.1.
  const body = JSON.stringify({ site: SITE, events: [{ ...event, visitor: by.visitor }] });
  return post(`${url}/e`, { headers: { 'content-type': 'text/plain', 'user-agent': by.userAgent }, body }, 1, failures);
}

/** Lets visitors come and sends what they do, for so many ms or until the signal. */
async function sendVisits(url: string, random: Random, forMs: number, failures: Failures, signal: AbortSignal): Promise<void> {
  const end = Date.now() + forMs;
  const sending = new Set<Promise<void>>();
  let coming: TimedEvent[] = [];
  let nextVisit = Date.now();
  for (let now = Date.now(); now < end && !signal.aborted; now = Date.now()) {
    // After a pause of the machine nobody comes in a crowd.
    nextVisit = Math.max(nextVisit, now - 10 * VISIT_EVERY_MS);
    for (; nextVisit <= now; nextVisit += VISIT_EVERY_MS * (0.5 + random())) coming.push(...demoVisit(random, now));
    for (const timed of coming.filter(({ at }) => at <= now)) {
      const one = sendLive(url, timed, failures).finally(() => sending.delete(one));
      sending.add(one);
    }
    coming = coming.filter(({ at }) => at > now);
    // Ended early by the signal, which the loop then sees.
    await wait(TICK_MS, undefined, { signal }).catch(() => undefined);
  }
  await Promise.all(sending);
}

/** What the person at the terminal needs: where to look, and the one command that shows the numbers. */
function introduction(url: string, readKey: string): string[] {
  return [
    `Footfall is ready on ${url}, with the site ${SITE}`,
    'Its page, signed in:',
    `  ${url}/#key=${readKey}`,
    'Its numbers of today, as they grow:',
    `  curl -s -H "Authorization: Bearer ${readKey}" "${url}/v1/sites/${SITE}/stats?range=today"`,
  ];
}

export interface DemoOptions {
  /** How long visitors come. */
  minutes: number;
  seed: number;
  dataFolder: string;
  /** 0 = any free port. */
  port: number;
  /** A data folder from before holds only the digest of its admin key, so the demo brings one. */
  adminKey: string;
  /** Takes what the person at the terminal reads, line by line. */
  say: Say;
  signal: AbortSignal;
}

/** Runs the demo until the signal; then everything is stopped. Sends for so many minutes only, and to its own server only. */
export async function demo({ minutes, seed, dataFolder, port, adminKey, say, signal }: DemoOptions): Promise<void> {
  const server = await start({ dataFolder, port, host: '127.0.0.1', adminKey, report: say });
  try {
    const client = new Client({ url: server.url, key: server.adminKey, report: say });
    const failures = new Failures(say);
    const random = randomFrom(seed);
    say(`The visitors are made up from --seed ${seed}`);

    const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (await client.createSite(SITE, { name: 'Demo shop', timezone, currency: 'EUR' })) say('The demo shop is there from before, with its history');
    else {
      const history = demoHistory(random, Date.now(), HISTORY_DAYS, (ms) => new Date(ms).getHours());
      const write = await client.makeKey(SITE, 'write', KEY_LABEL);
      await sendHistory(server.url, write.key, history, failures);
      await client.revokeKey(SITE, write.id);
      say(`Sent ${history.length.toLocaleString('en-US')} events of the last ${HISTORY_DAYS} days`);
    }
    const read = await client.makeKey(SITE, 'read', KEY_LABEL);
    for (const line of introduction(server.url, read.key)) say(line);

    say(`Visitors are coming, about ${60_000 / VISIT_EVERY_MS} a minute for ${minutes} minutes; Ctrl-C ends the demo`);
    await sendVisits(server.url, random, minutes * 60_000, failures, signal);
    if (!signal.aborted) {
      say('No more visitors are coming; the numbers stay to be read until Ctrl-C');
      await new Promise((resolve) => { signal.addEventListener('abort', resolve, { once: true }); });
    }
  } finally {
    await server.stop();
  }
}

/** Reads an option's value as a whole number from 0. */
function wholeNumber(max: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || number > max) throw new InvalidArgumentError(`It accepts a whole number from 0 to ${max.toLocaleString('en-US')}.`);
    return number;
  };
}

const MAX_SEED = 2 ** 32 - 1;

async function main(): Promise<void> {
  const { minutes, seed, port } = new Command('demo')
    .usage('-- [options]')
    .description('Runs Footfall on this machine with a demo shop and simulated visitors.')
    .addOption(new Option('--minutes <n>', 'how long visitors come; the numbers stay').argParser(wholeNumber(10_000)).default(60))
    .addOption(new Option('--seed <n>', 'the same seed gives the same visits').argParser(wholeNumber(MAX_SEED)).default(randomInt(MAX_SEED), 'by chance'))
    .addOption(new Option('--port <n>', 'where to answer').env('PORT').argParser(wholeNumber(65_535)).default(8787))
    .parse()
    .opts<{ minutes: number; seed: number; port: number }>();
  const ending = new AbortController();
  process.once('SIGINT', () => { ending.abort(); });
  process.once('SIGTERM', () => { ending.abort(); });
  const say = (line: string) => { process.stdout.write(`${line}\n`); };
  await demo({ minutes, seed, dataFolder: process.env.FOOTFALL_DATA || join('data', 'demo'), port, adminKey: process.env.FOOTFALL_ADMIN_KEY || newKey('admin'), say, signal: ending.signal });
}

if (isMain(import.meta.filename)) {
  await main().catch((error: unknown) => {
    if (!(error instanceof CannotStart)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  });
}
