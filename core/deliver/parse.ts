// The first step: from the text of a stream record to the events in it.
import { Refused, quote, type Envelope, type Via } from '../event.ts';

/** What an envelope holds: the site it names and its events, or why they cannot be read. */
export interface Parsed {
  envelope: Envelope;
  claimed: string;
  events: unknown[] | Refused;
}

/** A record that cannot become rows, and why: it is no envelope, or a step broke on it. */
export class Undeliverable {
  constructor(readonly message: string) {}
}

const VIAS: readonly unknown[] = ['pixel', 'beacon', 'api'] satisfies Via[];
const TEXTS = ['ip', 'ua', 'referer', 'language', 'country', 'purpose', 'body'] as const;
// Years of four digits, in every time zone.
const LATEST_TIME = Date.UTC(9999, 11, 30);

/** Reads a stream record. */
export function parse(record: string): Parsed | Undeliverable {
  let envelope: unknown;
  try {
    envelope = JSON.parse(record);
  } catch (error) {
    return new Undeliverable(`not JSON: ${(error as Error).message}`);
  }
  if (!isEnvelope(envelope)) return new Undeliverable(`not an envelope of version 1: ${quote(envelope)}`);
  return envelope.via === 'pixel' ? fromQuery(envelope) : fromBody(envelope);
}

function isEnvelope(value: unknown): value is Envelope {
  if (typeof value !== 'object' || value === null) return false;
  const envelope = value as Record<string, unknown>;
  return (
    envelope.v === 1 &&
    VIAS.includes(envelope.via) &&
    typeof envelope.id === 'string' &&
    Number.isInteger(envelope.at) && (envelope.at as number) > 0 && (envelope.at as number) <= LATEST_TIME &&
    TEXTS.every((name) => envelope[name] === undefined || typeof envelope[name] === 'string') &&
    (envelope.via !== 'pixel' || isTexts(envelope.query))
  );
}

function isTexts(value: unknown): value is Record<string, string> {
  return typeof value === 'object' && value !== null && Object.values(value).every((text) => typeof text === 'string');
}

const NUMBERS = new Set(['value', 'age']);
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** The pixel's parameters as an event: texts, two numbers, items as JSON, and `p.<key>` as props. */
function fromQuery(envelope: Envelope): Parsed {
  const event: Record<string, unknown> = {};
  const props: [string, unknown][] = [];
  for (const [key, value] of Object.entries(envelope.query!)) {
    if (value === '' || key === 'site') continue;
    if (key.startsWith('p.')) props.push([key.slice(2), value]);
    else if (NUMBERS.has(key)) event[key] = NUMBER.test(value) ? Number(value) : value;
    else if (key === 'items') event[key] = jsonOr(value);
    else event[key] = value;
  }
  if (props.length > 0) event.props = Object.fromEntries(props);
  event.url ??= envelope.referer;
  return { envelope, claimed: envelope.query!.site ?? '', events: [event] };
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text; // The check refuses it as it stands, and says what is accepted.
  }
}

function fromBody(envelope: Envelope): Parsed {
  let body: unknown;
  try {
    body = JSON.parse(envelope.body ?? '');
  } catch (error) {
    return { envelope, claimed: '', events: new Refused('bad_body', `the body is not JSON: ${(error as Error).message}`) };
  }
  const { site, events } = (body ?? {}) as Record<string, unknown>;
  const claimed = typeof site === 'string' ? site : '';
  if (!Array.isArray(events)) {
    return { envelope, claimed, events: new Refused('bad_body', `events ${quote(events)}: accepts a list of events`) };
  }
  return { envelope, claimed, events };
}
