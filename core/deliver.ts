// The transform: envelopes in, rows out. before: the stream (core/collect.ts); next: the lake, and core/rollup.ts
import { LIMITS, Refused, checkEvent, type Row } from './event.ts';
import { HOUR_MS, QUARTER_MS, hourOf, partitionOf, type Hour, type Partition } from './hour.ts';
import type { Clock } from './ports.ts';
import { UNKNOWN_SITE, type Sites } from './sites.ts';
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

const STEPS: readonly Step[] = [check, site, time, bot, place, device, page, source, visitor, sketch, row];

/** What became of one stream record. */
export type Delivered =
  /**
   * Its rows, as they are to be written, and the hour they belong to. An envelope without events has none.
   * `events` are what it held, `rejected` how many of them were refused; a row can speak for many, and items have rows, too.
   */
  | { kind: 'rows'; partition: Partition; rows: string[]; events: number; rejected: number }
  /** It is no envelope, or a step broke on it; it goes, whole, to `failed/`. */
  | { kind: 'failed'; message: string };

type Write = (row: Row) => string;

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
 * @param write how a row is written, for whoever reads it
 */
export async function transform(records: readonly string[], { clock, ...ports }: TransformPorts, write: Write = rowJson): Promise<Delivered[]> {
  const processedAt = clock();
  const delivered: Delivered[] = [];
  for (let begin = 0, end = 0; begin < records.length; begin = end) {
    for (let chars = 0; end < records.length && chars < PORTION; end++) chars += records[end]!.length;
    delivered.push(...await transformPortion(records.slice(begin, end), ports, processedAt, write));
  }
  return delivered;
}

async function transformPortion(records: readonly string[], { sites, salts, countryOf }: Omit<TransformPorts, 'clock'>, processedAt: number, write: Write): Promise<Delivered[]> {
  const parsed = records.map((record) => attempt(() => inItsHour(parse(record))));
  const known = await sites.read(claimedSites(parsed));
  const context: Context = { sites: known, salts: await salts.read(localDays(parsed, known)), countryOf, processedAt };
  return parsed.map((one): Delivered => {
    const rows = one instanceof Undeliverable ? one : attempt(() => rowsOf(one, context, write));
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

/** What an envelope holds, and the start (epoch ms) of the one hour it belongs to. */
interface Placed extends Parsed { hourStart: number }

function inItsHour(parsed: Parsed | Undeliverable): Placed | Undeliverable {
  return parsed instanceof Undeliverable ? parsed : { envelope: parsed.envelope, claimed: parsed.claimed, events: parsed.events, hourStart: hourStartOf(parsed) };
}

function claimedSites(parsed: readonly (Placed | Undeliverable)[]): Set<string> {
  const claimed = new Set<string>();
  for (const one of parsed) if (!(one instanceof Undeliverable)) claimed.add(one.claimed);
  return claimed;
}

/**
 * The local days that an event can lie in: all that its envelope's hour has part in. With their salts read beforehand an
 * event takes its steps one after the other, and is garbage before the next one begins.
 */
function localDays(parsed: readonly (Placed | Undeliverable)[], sites: Context['sites']): Set<LocalDay> {
  const days = new Set<LocalDay>();
  const added = new Map<string, number>();
  for (const one of parsed) {
    const site = one instanceof Undeliverable ? undefined : sites.get(one.claimed);
    if (site === undefined) continue;
    const { hourStart } = one as Placed;
    if (added.get(site.timezone) === hourStart) continue;
    added.set(site.timezone, hourStart);
    // A zone that nobody knows throws here and, for the one record, in the step `time`.
    attempt(() => { addDays(days, site.timezone, hourStart); });
  }
  return days;
}

/** Quarter by quarter: where clocks go back over midnight, a local day can lie between two parts of the one before it. */
function addDays(days: Set<LocalDay>, timezone: string, hourStart: number): void {
  for (let ms = hourStart; ms < hourStart + HOUR_MS; ms += QUARTER_MS) days.add(localDayAt(timezone, ms));
}

/** Runs the steps until one refuses. */
function run(draft: Draft, context: Context): Refused | undefined {
  for (const step of STEPS) {
    const refused = step(draft, context);
    if (refused) return refused;
  }
  return undefined;
}

function rowsOf(placed: Placed, context: Context, write: Write): Delivered {
  const { envelope, claimed, events, hourStart } = placed;
  // Made-up ids stay out of the rows: whoever makes them up must not decide how many sites are rolled up.
  const received = { envelope, claimed, site_id: context.sites.get(claimed)?.id ?? UNKNOWN_SITE, ts: hourStart };
  const rows: string[] = [];
  if (events instanceof Refused) {
    rows.push(write(refusedRowOf(newDraft(received, undefined, 0), events, 1, placed, context)));
    return deliveredRows(hourStart, rows, 1, 1);
  }
  const most = LIMITS[envelope.via === 'api' ? 'api' : 'beacon'].events;
  const taken = Math.min(events.length, most);
  let rejected = events.length - taken;
  for (let index = 0; index < taken; index++) {
    const draft = newDraft(received, events[index], index);
    const refused = run(draft, context);
    if (refused) {
      rejected++;
      rows.push(write(refusedRowOf(draft, refused, 1, placed, context)));
    } else {
      rows.push(write(draft));
      for (const item of itemRows(draft)) rows.push(write(item));
    }
  }
  if (events.length > most) {
    // One row for all of them: a small body can hold very many empty events.
    const refused = new Refused('too_many_events', `${events.length} events: accepts at most ${most}`);
    rows.push(write(refusedRowOf(newDraft(received, undefined, most), refused, events.length - most, placed, context)));
  }
  return deliveredRows(hourStart, rows, events.length, rejected);
}

function deliveredRows(hourStart: number, rows: string[], events: number, rejected: number): Delivered {
  return { kind: 'rows', partition: partitionOf(hourOf(hourStart)), rows, events, rejected };
}

/** The row of a refused event, which is counted when it was received, as far as the envelope's hour allows. */
function refusedRowOf(draft: Draft, refused: Refused, events: number, { envelope, claimed, hourStart }: Placed, { sites, processedAt }: Context): Row {
  const ts = envelope.via === 'api' ? hourStart : envelope.at;
  draft.ts = ts;
  draft.quarter = Math.floor(ts / QUARTER_MS);
  draft.local_day = localDayAt(sites.get(claimed)?.timezone ?? 'UTC', ts);
  return refusedRow(draft, refused, processedAt, events);
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
