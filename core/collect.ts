// The doors: from a request to the envelope that enters the stream. On AWS the VTL templates build the same envelopes
// for the browser doors. before: the client; next: the stream, and core/deliver.ts
import { LIMITS, Refused, checkEvent, quote, type Envelope, type Event, type Rejection } from './event.ts';
import { hourOf } from './hour.ts';
import { Problem } from './problem.ts';
import { refuseHost, type Site } from './sites.ts';

/** A transparent GIF of 1 × 1 pixel, 43 bytes. */
export const PIXEL = Buffer.from('R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==', 'base64');

/** What an envelope keeps of a request, beside what was sent. Empty texts count as absent. */
export interface RequestFacts {
  id: string;
  /** Epoch ms. */
  at: number;
  ip?: string | undefined;
  userAgent?: string | undefined;
  referer?: string | undefined;
  language?: string | undefined;
  country?: string | undefined;
  purpose?: string | undefined;
}

function base(via: Envelope['via'], { id, at, ip, userAgent, referer, language, country, purpose }: RequestFacts): Envelope {
  return {
    v: 1, via, id, at,
    ...(ip && { ip }),
    ...(userAgent && { ua: userAgent }),
    ...(referer && { referer }),
    ...(language && { language }),
    ...(country && { country }),
    ...(purpose && { purpose }),
  };
}

/** The envelope of `GET /p.gif`; of a parameter given twice the last one counts. */
export function pixelEnvelope(facts: RequestFacts, query: URLSearchParams): Envelope {
  // fromEntries defines own properties: a parameter named __proto__ stays a parameter.
  return { ...base('pixel', facts), query: Object.fromEntries(query) };
}

/** The envelope of `POST /e`. The body is not looked into: storage first. */
export function beaconEnvelope(facts: RequestFacts, body: string): Envelope {
  return { ...base('beacon', facts), body };
}

// Written at the front, since a record is only text where it matters.
const REPLAY = '{"replay":true,';

/** A raw record as it goes through the stream once more. */
export function asReplay(record: string): string {
  return REPLAY + record.slice(1);
}

/** Whether a stream record has been there before: it is not kept in `raw/` again. */
export function isReplay(record: string): boolean {
  return record.startsWith(REPLAY);
}

/** What the server door answers: how many events it took, and why it did not take the others. */
export interface Receipt {
  accepted: number;
  rejected: { index: number; reason: Rejection; message: string }[];
}

// An envelope holds as much as a beacon's at most, so that its rows fit what the transform may answer.
const ENVELOPE = LIMITS.beacon;

/**
 * Checks a batch of the server door (`{"events": […]}`) and packs it into envelopes, each of one event hour.
 * Throws a Problem when the body as a whole is not accepted: 400 not JSON, 413 too many events, 422 not a batch.
 */
export function packBatch(site: Site, body: string, { id, at }: Pick<RequestFacts, 'id' | 'at'>): { envelopes: Envelope[]; receipt: Receipt } {
  const events = readBatch(body);
  const receipt: Receipt = { accepted: 0, rejected: [] };
  const byHour = new Map<string, string[]>();
  const copies = new Map<string, number>();
  events.forEach((raw, index) => {
    const json = jsonOf(raw);
    const event = json instanceof Refused ? json : checkForSite(raw, site, at);
    if (event instanceof Refused) {
      receipt.rejected.push({ index, reason: event.reason, message: event.message });
      return;
    }
    const hour = hourOf(event.time ?? at);
    const sent = numbered(json as string, copies);
    const sameHour = byHour.get(hour);
    if (sameHour) sameHour.push(sent);
    else byHour.set(hour, [sent]);
    receipt.accepted++;
  });
  const envelopes: Envelope[] = [];
  for (const jsons of byHour.values()) {
    for (const chunk of chunks(jsons)) {
      const packed = `{"site":${JSON.stringify(site.id)},"events":[${chunk.join(',')}]}`;
      envelopes.push({ v: 1, via: 'api', id: `${id}.${envelopes.length}`, at, body: packed });
    }
  }
  return { envelopes, receipt };
}

function readBatch(body: string): unknown[] {
  let batch: unknown;
  try {
    batch = JSON.parse(body);
  } catch (error) {
    throw new Problem(400, `the body is not JSON: ${(error as Error).message}`);
  }
  const events = typeof batch === 'object' && batch !== null ? (batch as Record<string, unknown>).events : undefined;
  if (!Array.isArray(events)) throw new Problem(422, `events ${quote(events)}: accepts a list of at most ${LIMITS.api.events} events`);
  if (events.length > LIMITS.api.events) throw new Problem(413, `${events.length} events: accepts at most ${LIMITS.api.events} in a request`);
  return events;
}

/**
 * An event without an id is known by its content. Two that are equal in one batch are two all the same, so the later
 * ones get a number: the same one when the batch is sent again.
 */
function numbered(json: string, copies: Map<string, number>): string {
  const copy = copies.get(json) ?? 0;
  copies.set(json, copy + 1);
  return copy === 0 ? json : `${json.slice(0, -1)},"copy":${copy}}`;
}

/** The event's text as it goes into an envelope, if it can go into one. */
function jsonOf(raw: unknown): string | Refused {
  let json: string;
  try {
    json = JSON.stringify(raw);
  } catch {
    return new Refused('bad_event', 'the event is nested too deeply: accepts the fields of an event'); // The stack was too short for it.
  }
  const bytes = Buffer.byteLength(json);
  return bytes <= ENVELOPE.bytes ? json : new Refused('bad_event', `an event of ${bytes} bytes: accepts at most ${ENVELOPE.bytes}`);
}

function checkForSite(raw: unknown, site: Site, at: number): Event | Refused {
  const event = checkEvent(raw, 'api', at);
  return event instanceof Refused ? event : (refuseHost(site, event.url) ?? event);
}

/** The texts in their order, in chunks within the limits of an envelope. */
function* chunks(jsons: readonly string[]): Iterable<string[]> {
  let chunk: string[] = [];
  let bytes = 0;
  for (const json of jsons) {
    const size = Buffer.byteLength(json);
    if (chunk.length > 0 && (chunk.length === ENVELOPE.events || bytes + size > ENVELOPE.bytes)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(json);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}
