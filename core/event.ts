// The shapes an event takes on its way: Event (what a client sends), Envelope (one request as it enters the
// stream), Row (one line of Parquet). Types, checks, Glue columns and DuckDB columns all follow from the two
// tables below. before: the client; next: core/collect.ts

import { isIP } from 'node:net';
import { EARLIEST_HOUR, isDay, startOf } from './hour.ts';
import { isUrl } from './url.ts';

/** Limits of the two doors (DESIGN §3), in bytes of body and events a request. */
export const LIMITS = {
  beacon: { bytes: 64 * 1024, events: 100 },
  api: { bytes: 1024 * 1024, events: 500 },
} as const;

/** Why an event was refused. Stored in the row's `rejected`, counted by the dimension `rejection`. */
export const REJECTIONS = [
  'unknown_site', 'host_not_allowed', 'bad_body', 'bad_event', 'too_many_events',
  'bad_name', 'bad_id', 'bad_url', 'bad_referrer', 'bad_age', 'bad_time', 'bad_visitor', 'bad_value',
  'bad_currency', 'bad_transaction_id', 'bad_items', 'bad_props', 'bad_ip', 'bad_user_agent', 'bad_country',
] as const;
export type Rejection = (typeof REJECTIONS)[number];

/** A refusal is a value, not an exception: the event is stored with its reason and left out of the metrics. */
export class Refused {
  constructor(readonly reason: Rejection, readonly message: string) {}
}

export type Via = 'pixel' | 'beacon' | 'api';

/** One request as it enters the stream, holding 1..n events, all of one UTC hour. */
export interface Envelope {
  v: 1;
  via: Via;
  /** The request's id: with the event's place in the envelope it stands in for a missing event id. */
  id: string;
  /** Server receive time, epoch ms. */
  at: number;
  ip?: string;
  ua?: string;
  referer?: string;
  language?: string;
  /** ISO 3166-1 alpha-2, where the network in front of us knows it. */
  country?: string;
  /** The `Sec-Purpose` (or `Purpose`) header: a page that is only prefetched was not seen by anybody. */
  purpose?: string;
  /** It was received and delivered before, and is sent again to a corrected transform. */
  replay?: true;
  /** The pixel's parameters. */
  query?: Record<string, string>;
  /** The beacon's or the server door's body as received. */
  body?: string;
}

/** One `items` entry of a commerce event. */
export interface Item {
  id: string;
  name?: string;
  quantity?: number;
  price?: number;
}

export type Props = Record<string, string | number | boolean>;

/** What a check may need to know beside the value: the request's receive time, for `time`. */
interface Moment { at: number }

interface Field<T> {
  /** The reason given when the value is not accepted. */
  reason: Rejection;
  /** What is accepted, as the end of the sentence "… accepts". */
  accepts: string;
  /** The accepted value, or undefined when it is not one. */
  read: (value: unknown, moment: Moment) => T | undefined;
  /** Spoken for by a server only: a browser cannot say it. */
  server?: true;
}

function field<T>(reason: Rejection, accepts: string, read: Field<T>['read']): Field<T> {
  return { reason, accepts, read };
}

const CONTROL = /\p{Cc}+/gu;
// What cleanText changes, and of text beyond the first 65,536 characters also what it does not: most text holds none.
const UNCLEAN = /[\0-\x1f\x7f-\x9f\ud800-\udfff]/;

/**
 * Text as it may be stored: well-formed Unicode (a lone surrogate becomes U+FFFD) without control characters,
 * so that no value can break a line of JSON, a CSV cell, a log line or a column.
 */
export function cleanText(value: string): string {
  return UNCLEAN.test(value) ? value.toWellFormed().replace(CONTROL, ' ') : value;
}

function text(max: number): (value: unknown) => string | undefined {
  return (value) =>
    typeof value === 'string' && value.length > 0 && value.length <= max ? cleanText(value) : undefined;
}

function matching(pattern: RegExp): (value: unknown) => string | undefined {
  return (value) => (typeof value === 'string' && pattern.test(value) ? value : undefined);
}

/** The text of an absolute http(s) URL of at most 2,048 characters, or undefined. */
function httpUrl(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length > 2048) return undefined;
  // What is stored is what has to parse: an address is parsed with its tabs left out, its text has them replaced.
  const clean = cleanText(value);
  return isUrl(clean) ? clean : undefined;
}

function within(min: number, max: number): (value: unknown) => number | undefined {
  return (value) => (typeof value === 'number' && value >= min && value <= max ? value : undefined);
}

const EARLIEST = startOf(EARLIEST_HOUR);
const LATEST_AHEAD_MS = 600_000;
const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})$/;

/** Epoch ms of an ISO 8601 date-time with its offset, or of epoch ms; undefined outside 2010 to `at` + 10 min. */
function time(value: unknown, { at }: Moment): number | undefined {
  let ms: number;
  if (typeof value === 'number') ms = Math.floor(value);
  else if (typeof value === 'string' && ISO_TIME.test(value) && isDay(value.slice(0, 10))) ms = Math.floor(Date.parse(value));
  else return undefined;
  return ms >= EARLIEST && ms <= at + LATEST_AHEAD_MS ? ms : undefined;
}

const CURRENCIES = new Set(Intl.supportedValuesOf('currency'));

/** Whether the text is an ISO 4217 code, upper case. */
export function isCurrency(code: string): boolean {
  return CURRENCIES.has(code);
}

const MAX_VALUE = 1_000_000_000;
const MAX_QUANTITY = 1_000_000;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function items(value: unknown): Item[] | undefined {
  if (!Array.isArray(value) || value.length > 50) return undefined;
  const read: Item[] = [];
  let total = 0;
  for (const entry of value as unknown[]) {
    if (!isObject(entry)) return undefined;
    const id = text(64)(typeof entry.id === 'number' ? String(entry.id) : entry.id);
    if (id === undefined) return undefined;
    const item: Item = { id };
    if (entry.name != null) {
      const name = text(256)(entry.name);
      if (name === undefined) return undefined;
      item.name = name;
    }
    if (entry.quantity != null) {
      if (!Number.isInteger(entry.quantity)) return undefined;
      const quantity = within(1, MAX_QUANTITY)(entry.quantity);
      if (quantity === undefined) return undefined;
      item.quantity = quantity;
    }
    if (entry.price != null) {
      const price = within(-MAX_VALUE, MAX_VALUE)(entry.price);
      if (price === undefined) return undefined;
      item.price = price;
    }
    total += Math.abs((item.price ?? 0) * (item.quantity ?? 1));
    read.push(item);
  }
  return total <= MAX_VALUE ? read : undefined;
}

function props(value: unknown): Props | undefined {
  if (!isObject(value)) return undefined;
  const keys = Object.keys(value);
  if (keys.length > 30) return undefined;
  let clean = true;
  for (const key of keys) {
    const entry = value[key];
    if (key.length === 0 || key.length > 64 || !isProp(entry)) return undefined;
    clean &&= !UNCLEAN.test(key) && (typeof entry !== 'string' || !UNCLEAN.test(entry));
  }
  // Nearly all are clean, and are taken as they are: a copy took 0.9 µs.
  return clean ? value as Props : cleanProps(value as Props);
}

function cleanProps(value: Props): Props {
  // fromEntries defines own properties: a key named __proto__ stays a key.
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [cleanText(key), typeof entry === 'string' ? cleanText(entry) : entry]));
}

function isProp(entry: unknown): entry is string | number | boolean {
  return typeof entry === 'string' ? entry.length <= 256 : typeof entry === 'boolean' || (typeof entry === 'number' && Number.isFinite(entry));
}

const server = <T>(of: Field<T>): Field<T> => ({ ...of, server: true });

/** The fields of an Event and what each accepts. One vocabulary on every door (DESIGN §3). */
export const EVENT_FIELDS = {
  name: field('bad_name', 'a lower-case letter, then up to 63 of a-z, 0-9 and _', matching(/^[a-z][a-z0-9_]{0,63}$/)),
  id: field('bad_id', 'text of 1 to 64 characters', text(64)),
  url: field('bad_url', 'an absolute http(s) URL of at most 2,048 characters', httpUrl),
  referrer: field('bad_referrer', 'an absolute http(s) URL of at most 2,048 characters', httpUrl),
  age: field('bad_age', 'a number of milliseconds from 0 to 1,800,000', within(0, 1_800_000)),
  visitor: field('bad_visitor', 'text of 1 to 64 characters', text(64)),
  value: field('bad_value', 'a number within ±1,000,000,000', within(-MAX_VALUE, MAX_VALUE)),
  currency: field('bad_currency', 'an ISO 4217 code in capitals, such as EUR', (value) =>
    typeof value === 'string' && isCurrency(value) ? value : undefined),
  transaction_id: field('bad_transaction_id', 'text of at most 64 characters', (value) =>
    value === '' ? '' : text(64)(value)),
  items: field('bad_items', 'at most 50 of {id, name?, quantity?, price?}: id text of 1 to 64 characters, name of at most 256, ' +
    'quantity a whole number from 1 to 1,000,000, price within ±1,000,000,000, and no more than that in all', items),
  props: field('bad_props', 'at most 30 keys of 1 to 64 characters, each with text of at most 256 characters, a number or a boolean', props),
  time: server(field('bad_time', 'ISO 8601 with an offset or epoch ms, from 2010-01-01 to 10 minutes ahead', time)),
  ip: server(field('bad_ip', 'an IPv4 or IPv6 address', (value) => (typeof value === 'string' && isIP(value) !== 0 ? value : undefined))),
  user_agent: server(field('bad_user_agent', 'text of 1 to 2,048 characters', text(2048))),
  country: server(field('bad_country', 'an ISO 3166-1 alpha-2 code in capitals, such as DE', matching(/^[A-Z]{2}$/))),
} as const satisfies Record<string, Field<unknown>>;

type EventFields = typeof EVENT_FIELDS;
/** An event that passed the check. */
export type Event = { name: string } & {
  [K in Exclude<keyof EventFields, 'name'>]?: NonNullable<ReturnType<EventFields[K]['read']>>;
};

const FIELD_LIST = Object.entries(EVENT_FIELDS) as [keyof EventFields, Field<unknown>][];

/** A hostile value as a message may quote it: JSON, at most 80 characters. */
export function quote(value: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(typeof value === 'string' ? cleanText(value.slice(0, 80)) : value);
  } catch {
    // A value that refers to itself or holds a bigint has no JSON; its type is all there is to say.
  }
  json ??= typeof value;
  return json.length > 80 ? `${json.slice(0, 79)}…` : json;
}

/**
 * Checks one event as a client sent it. `null` counts as absent; fields we do not know are left out.
 * @param at the request's receive time, epoch ms
 * @returns the event with cleaned values, or the refusal naming field, value and what is accepted
 */
export function checkEvent(raw: unknown, via: Via, at: number): Event | Refused {
  if (!isObject(raw)) return new Refused('bad_event', `event ${quote(raw)}: accepts an object`);
  const event: Record<string, unknown> = {};
  for (const [name, { read, reason, accepts, server: serverOnly }] of FIELD_LIST) {
    if (serverOnly && via !== 'api') continue;
    const value = Object.hasOwn(raw, name) ? raw[name] : undefined;
    if (value == null) continue;
    const accepted = read(value, { at });
    if (accepted === undefined) return new Refused(reason, `${name} ${quote(value)}: accepts ${accepts}`);
    event[name] = accepted;
  }
  if (event.name === undefined) {
    if (via !== 'pixel') return new Refused('bad_name', `name is missing: accepts ${EVENT_FIELDS.name.accepts}`);
    event.name = 'page_view';
  }
  return event as Event;
}

/**
 * Columns of a Row, in the order of the Parquet file. `hash` is a 64-bit signed integer that does not fit a
 * JavaScript number; `bigint` is one that always does.
 */
export const ROW_COLUMNS = {
  site_id: 'string',
  event_key: 'hash',
  name: 'string',
  ts: 'bigint',
  // Place in the envelope: the order of events of the same moment. Not the receive time, so that a batch sent again
  // is in the same order.
  place: 'int',
  quarter: 'int',
  local_day: 'string',
  visitor: 'hash',
  sketch_bucket: 'int',
  sketch_rank: 'int',
  host: 'string',
  path: 'string',
  referrer_host: 'string',
  source: 'string',
  channel: 'string',
  utm_source: 'string',
  utm_medium: 'string',
  utm_campaign: 'string',
  utm_content: 'string',
  utm_term: 'string',
  country: 'string',
  device: 'string',
  browser: 'string',
  os: 'string',
  language: 'string',
  value_micros: 'bigint',
  currency: 'string',
  // value_micros where its currency is the site's and the event a purchase (+) or a refund (−): what `revenue` adds up.
  revenue_micros: 'bigint',
  transaction_id: 'string',
  product_id: 'string',
  quantity: 'bigint',
  props: 'string',
  bot: 'boolean',
  rejected: 'string',
  via: 'string',
  received_at: 'bigint',
  processed_at: 'bigint',
  v: 'int',
} as const satisfies Record<string, ColumnType>;

export type ColumnType = 'string' | 'int' | 'bigint' | 'hash' | 'boolean';
type Value<T extends ColumnType> = T extends 'string' ? string : T extends 'boolean' ? boolean : T extends 'hash' ? bigint : number;
type RowColumns = typeof ROW_COLUMNS;

/** One line of Parquet; an absent column is null. */
export type Row = { -readonly [K in keyof RowColumns]?: Value<RowColumns[K]> | undefined };
