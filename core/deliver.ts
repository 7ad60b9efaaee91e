// The transform: envelopes in, rows out. before: the stream (core/collect.ts); next: the lake, and core/rollup.ts
import { LIMITS, Refused, checkEvent } from './event.ts';
import { QUARTER_MS, hourOf, partitionOf, type Hour, type Partition } from './hour.ts';
import type { Clock } from './ports.ts';
import { UNKNOWN_SITE, type Site, type Sites } from './sites.ts';
import type { Salts } from './salts.ts';
import { localDayAt, type LocalDay } from './zone.ts';
import { newDraft, type Context, type Draft, type Step } from './deliver/draft.ts';
import { Undeliverable, parse, type Parsed } from './deliver/parse.ts';
import { check } from './deliver/check.ts';
import { site } from './deliver/site.ts';
import { hourOfEnvelope, time } from './deliver/time.ts';
import { bot } from './deliver/bot.ts';
import { place } from './deliver/place.ts';
import { device } from './deliver/device.ts';
import { page } from './deliver/page.ts';
import { source } from './deliver/source.ts';
import { visitor } from './deliver/visitor.ts';
import { sketch } from './deliver/sketch.ts';
import { itemRows, refusedRow, row, rowJson } from './deliver/row.ts';

// Two lists, because a cookieless visitor's salt is read by the local day that `time` finds.
const PLACE_IN_TIME: readonly Step[] = [check, site, time];
const DESCRIBE: readonly Step[] = [bot, place, device, page, source, visitor, sketch, row];

/** What became of one stream record. */
export type Delivered =
  /**
   * Its rows, one JSON object each, and the hour they belong to. An envelope without events has none.
   * `events` are what it held, `rejected` how many of them were refused; a row can speak for many, and items have rows, too.
   */
  | { kind: 'rows'; partition: Partition; rows: string[]; events: number; rejected: number }
  /** It is no envelope, or a step broke on it; it goes, whole, to `failed/`. */
  | { kind: 'failed'; message: string };

export interface TransformPorts {
  sites: Sites;
  salts: Salts;
  countryOf: (ip: string) => string | undefined;
  clock: Clock;
}

/**
 * Characters of the records that are worked on together. All events of a portion are alive until its sites and salts
 * are read, and the garbage collector copies what is alive: of 250 envelopes of ten events at once an event took 31 µs,
 * in portions 23. No smaller, since for each portion the sites that are not known yet are waited for.
 */
const PORTION = 256 * 1024;

/**
 * Transforms stream records, in order; the answer has one entry for each.
 * Rejects only when sites or salts cannot be read, and then for all: the same records can be given again.
 */
export async function transform(records: readonly string[], { clock, ...ports }: TransformPorts): Promise<Delivered[]> {
  const processedAt = clock();
  const delivered: Delivered[] = [];
  for (let begin = 0, end = 0; begin < records.length; begin = end) {
    for (let chars = 0; end < records.length && chars < PORTION; end++) chars += records[end]!.length;
    delivered.push(...await transformPortion(records.slice(begin, end), ports, processedAt));
  }
  return delivered;
}

async function transformPortion(records: readonly string[], { sites, salts, countryOf }: Omit<TransformPorts, 'clock'>, processedAt: number): Promise<Delivered[]> {
  const parsed = records.map((record) => attempt(() => parse(record)));
  const context: Context = { sites: await sites.read(claimedSites(parsed)), salts: new Map(), countryOf, processedAt };
  const batches = parsed.map((one) => (one instanceof Undeliverable ? one : attempt(() => placeInTime(one, context))));
  const salted: Context = { ...context, salts: await salts.read(localDays(batches)) };
  return batches.map((batch): Delivered => {
    const rows = batch instanceof Undeliverable ? batch : attempt(() => describe(batch, salted));
    return rows instanceof Undeliverable ? { kind: 'failed', message: rows.message } : rows;
  });
}

/** A step that throws is a bug of ours: it costs its one record the delivery, and not all that come behind it. */
function attempt<T>(work: () => T): T | Undeliverable {
  try {
    return work();
  } catch (error) {
    return new Undeliverable(`a step failed: ${(error as Error).message}`);
  }
}

function claimedSites(parsed: readonly (Parsed | Undeliverable)[]): Set<string> {
  const claimed = new Set<string>();
  for (const one of parsed) if (!(one instanceof Undeliverable)) claimed.add(one.claimed);
  return claimed;
}

function localDays(batches: readonly (Batch | Undeliverable)[]): Set<LocalDay> {
  const days = new Set<LocalDay>();
  for (const batch of batches) {
    if (batch instanceof Undeliverable) continue;
    for (const { draft, refused } of batch.drafts) if (!refused) days.add(draft.local_day!);
  }
  return days;
}

interface Progress { draft: Draft; refused: Refused | undefined; /** Events a refusal speaks for. */ events: number }
interface Batch { hourStart: number; drafts: Progress[] }

/** Runs the steps until one refuses. */
function run(steps: readonly Step[], draft: Draft, context: Context): Refused | undefined {
  for (const step of steps) {
    const refused = step(draft, context);
    if (refused) return refused;
  }
  return undefined;
}

function placeInTime(parsed: Parsed, context: Context): Batch {
  const { envelope, claimed, events } = parsed;
  const hourStart = hourStartOf(parsed);
  const known: Site | undefined = context.sites.get(claimed);
  // Made-up ids stay out of the rows: whoever makes them up must not decide how many sites are rolled up.
  const received = { envelope, claimed, site_id: known?.id ?? UNKNOWN_SITE, ts: hourStart };
  const drafts: Progress[] = [];
  if (events instanceof Refused) {
    drafts.push({ draft: newDraft(received, undefined, 0), refused: events, events: 1 });
  } else {
    const most = LIMITS[envelope.via === 'api' ? 'api' : 'beacon'].events;
    const taken = Math.min(events.length, most);
    for (let index = 0; index < taken; index++) {
      const draft = newDraft(received, events[index], index);
      drafts.push({ draft, refused: run(PLACE_IN_TIME, draft, context), events: 1 });
    }
    if (events.length > most) {
      // One row for all of them: a small body can hold very many empty events.
      const refused = new Refused('too_many_events', `${events.length} events: accepts at most ${most}`);
      drafts.push({ draft: newDraft(received, undefined, most), refused, events: events.length - most });
    }
  }
  // A refused event is counted when it was received, as far as the envelope's hour allows.
  const ts = envelope.via === 'api' ? hourStart : envelope.at;
  for (const { draft, refused } of drafts) {
    if (refused) Object.assign(draft, { ts, quarter: Math.floor(ts / QUARTER_MS), local_day: localDayAt(known?.timezone ?? 'UTC', ts) });
  }
  return { hourStart, drafts };
}

/** The hour a stream record's rows belong to, and when it was received (epoch ms); undefined of one that cannot become rows. */
export function timesOf(record: string): { hour: Hour; at: number } | undefined {
  const times = attempt(() => {
    const parsed = parse(record);
    return parsed instanceof Undeliverable ? parsed : { hour: hourOf(hourStartOf(parsed)), at: parsed.envelope.at };
  });
  return times instanceof Undeliverable ? undefined : times;
}

/** The start (epoch ms) of the one hour a record belongs to. */
function hourStartOf({ envelope, events }: Parsed): number {
  return hourOfEnvelope(envelope, firstTime(envelope.via === 'api' ? events : [], envelope.at));
}

/** The time of the first event that has one, by which the server door grouped the events into this envelope. */
function firstTime(events: readonly unknown[] | Refused, at: number): number | undefined {
  if (events instanceof Refused) return undefined;
  for (const raw of events) {
    const event = checkEvent(raw, 'api', at);
    if (!(event instanceof Refused)) return event.time;
  }
  return undefined;
}

function describe({ hourStart, drafts }: Batch, context: Context): Delivered {
  const rows: string[] = [];
  const counts = { events: 0, rejected: 0 };
  for (const { draft, refused: refusedBefore, events } of drafts) {
    const refused = refusedBefore ?? run(DESCRIBE, draft, context);
    counts.events += events;
    if (refused) {
      counts.rejected += events;
      rows.push(rowJson(refusedRow(draft, refused, context.processedAt, events)));
    } else {
      rows.push(rowJson(draft));
      for (const item of itemRows(draft)) rows.push(rowJson(item));
    }
  }
  return { kind: 'rows', partition: partitionOf(hourOf(hourStart)), rows, ...counts };
}
