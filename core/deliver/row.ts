// The last step: what is left of an event's row, and the rows of its items, so that products are plain sums.
import { ROW_COLUMNS, quote, type Envelope, type Event, type Item, type Refused, type Row } from '../event.ts';
import { hash64 } from '../hash.ts';
import type { Draft, Step } from './draft.ts';

/** Version of the transform, stored in each row. Raise it when the meaning of a column changes. */
export const TRANSFORM_VERSION = 1;

/** Anything but ASCII that JSON writes as it is. */
const ESCAPED = /[^ !#-[\]-~]/;

/**
 * One line of JSON, as Firehose reads it; null columns are left out.
 * The columns of ROW_COLUMNS, in its order, each by its name: a loop over their names takes 0.9 µs more of a row's 3.7.
 */
export function rowJson(row: Row): string {
  const json =
    text('{"site_id":', row.site_id) +
    digits(',"event_key":', row.event_key) +
    text(',"name":', row.name) +
    digits(',"ts":', row.ts) +
    digits(',"place":', row.place) +
    digits(',"quarter":', row.quarter) +
    text(',"local_day":', row.local_day) +
    digits(',"visitor":', row.visitor) +
    digits(',"sketch_bucket":', row.sketch_bucket) +
    digits(',"sketch_rank":', row.sketch_rank) +
    text(',"host":', row.host) +
    text(',"path":', row.path) +
    text(',"referrer_host":', row.referrer_host) +
    text(',"source":', row.source) +
    text(',"channel":', row.channel) +
    text(',"utm_source":', row.utm_source) +
    text(',"utm_medium":', row.utm_medium) +
    text(',"utm_campaign":', row.utm_campaign) +
    text(',"utm_content":', row.utm_content) +
    text(',"utm_term":', row.utm_term) +
    text(',"country":', row.country) +
    text(',"device":', row.device) +
    text(',"browser":', row.browser) +
    text(',"os":', row.os) +
    text(',"language":', row.language) +
    digits(',"value_micros":', row.value_micros) +
    text(',"currency":', row.currency) +
    digits(',"revenue_micros":', row.revenue_micros) +
    text(',"transaction_id":', row.transaction_id) +
    text(',"product_id":', row.product_id) +
    digits(',"quantity":', row.quantity) +
    text(',"props":', row.props) +
    digits(',"bot":', row.bot) +
    text(',"rejected":', row.rejected) +
    text(',"via":', row.via) +
    digits(',"received_at":', row.received_at) +
    digits(',"processed_at":', row.processed_at) +
    digits(',"v":', row.v) + '}';
  // To look at its beginning makes one text of the pieces. As pieces, the rows of a slice are 100 objects each for the
  // garbage collector to copy: of ten events an envelope that was an eighth of the time.
  return json.startsWith('{') ? json : `{${json.slice(1)}`;
}

/** Between the values of a line. */
const S = '\u001f';
/** A line of as many values as there are columns, and no other control character. */
const LINE = new RegExp(`^(?:[^\\0-\\x1f]*${S}){${Object.keys(ROW_COLUMNS).length - 1}}[^\\0-\\x1f]*$`);

/**
 * One line of the values of all columns, in the order of ROW_COLUMNS, as local/lake.ts reads it; nothing where a column is null.
 * Beside `rowJson` it takes 3 µs a row less, and the engine another one: most of a row's JSON are the names of its columns.
 * Throws where a text holds a control character: in none of what steps write there is one.
 */
export function rowLine(row: Row): string {
  const line =
    (row.site_id ?? '') + S + (row.event_key ?? '') + S + (row.name ?? '') + S + (row.ts ?? '') + S +
    (row.place ?? '') + S + (row.quarter ?? '') + S + (row.local_day ?? '') + S + (row.visitor ?? '') + S +
    (row.sketch_bucket ?? '') + S + (row.sketch_rank ?? '') + S + (row.host ?? '') + S + (row.path ?? '') + S +
    (row.referrer_host ?? '') + S + (row.source ?? '') + S + (row.channel ?? '') + S + (row.utm_source ?? '') + S +
    (row.utm_medium ?? '') + S + (row.utm_campaign ?? '') + S + (row.utm_content ?? '') + S + (row.utm_term ?? '') + S +
    (row.country ?? '') + S + (row.device ?? '') + S + (row.browser ?? '') + S + (row.os ?? '') + S +
    (row.language ?? '') + S + (row.value_micros ?? '') + S + (row.currency ?? '') + S + (row.revenue_micros ?? '') + S +
    (row.transaction_id ?? '') + S + (row.product_id ?? '') + S + (row.quantity ?? '') + S + (row.props ?? '') + S +
    (row.bot ?? '') + S + (row.rejected ?? '') + S + (row.via ?? '') + S + (row.received_at ?? '') + S +
    (row.processed_at ?? '') + S + (row.v ?? '');
  if (!LINE.test(line)) throw new Error(`a row with a control character in one of its texts: ${quote(line.replaceAll(S, ' '))}`);
  return line;
}

function text(start: string, value: string | undefined): string {
  if (value == null) return '';
  return ESCAPED.test(value) ? start + JSON.stringify(value) : `${start}"${value}"`;
}

function digits(start: string, value: bigint | number | boolean | undefined): string {
  return value == null ? '' : `${start}${value}`;
}

/**
 * What makes an event the same event: a purchase's transaction, else its id, else its place in its envelope, or on
 * the server door its content, since there the same batch may be sent again in another envelope. It is taken from
 * the event as received, so that a corrected check gives a once refused event the same key.
 */
export function eventKey(siteId: string, raw: unknown, envelope: Envelope, index: number): bigint {
  const { name, id, transaction_id } = (typeof raw === 'object' && raw !== null ? raw : {}) as Record<string, unknown>;
  if (name === 'purchase' && isShortText(transaction_id)) return hash64('transaction', siteId, transaction_id);
  if (isShortText(id)) return hash64('id', siteId, id);
  const content = envelope.via === 'api' ? contentOf(raw) : undefined;
  if (content !== undefined) return hash64('content', siteId, content);
  return hash64('place', siteId, envelope.id, String(index));
}

/** An event's JSON; undefined where there is no event, or one nested too deeply to be written. */
function contentOf(raw: unknown): string | undefined {
  try {
    return JSON.stringify(raw);
  } catch {
    return undefined; // The stack was too short; such an event is refused, and its place is key enough.
  }
}

function isShortText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= 64;
}

/** Millionths of the currency unit. */
function micros(value: number): number {
  return Math.round(value * 1_000_000);
}

/** The part of a value that `revenue` counts: purchases less refunds (whichever sign they come with), in the site's currency. */
function revenueOf({ name }: Event, currency: string, siteCurrency: string, valueMicros: number | undefined): number | undefined {
  if (valueMicros === undefined || currency !== siteCurrency) return undefined;
  if (name === 'purchase') return valueMicros;
  return name === 'refund' ? -Math.abs(valueMicros) : undefined;
}

/** The last columns of an event's row: which event it is, and what it is worth. */
export const row: Step = (draft, { processedAt }) => {
  const { envelope, event, site, raw, index } = draft;
  const valueMicros = event.value === undefined ? undefined : micros(event.value);
  const currency = event.currency ?? site.currency;
  draft.site_id = site.id;
  draft.event_key = eventKey(site.id, raw, envelope, index);
  draft.place = index;
  draft.value_micros = valueMicros;
  draft.currency = valueMicros === undefined ? undefined : currency;
  draft.revenue_micros = revenueOf(event, currency, site.currency, valueMicros);
  draft.transaction_id = event.transaction_id || undefined;
  draft.props = event.props && JSON.stringify(event.props);
  draft.via = envelope.via;
  draft.received_at = envelope.at;
  draft.processed_at = processedAt;
  draft.v = TRANSFORM_VERSION;
  return undefined;
};

/** A row for each product among the items of an event that passed every step. */
export function itemRows({ event, site, site_id, event_key, ts, place, quarter, local_day, bot, via, received_at, processed_at, v }: Draft): Row[] {
  if (!event.items?.length) return [];
  const currency = event.currency ?? site.currency;
  return [...productsOf(event.items)].map(([id, { quantity, valueMicros }]): Row => ({
    site_id, event_key, ts, place, quarter, local_day, bot, via, received_at, processed_at, v,
    name: `${event.name}_item`,
    product_id: id,
    quantity,
    value_micros: valueMicros,
    currency: valueMicros === undefined ? undefined : currency,
    revenue_micros: revenueOf(event, currency, site.currency, valueMicros),
  }));
}

/** Items by product: the same product twice in a basket is one row, so that (event_key, product_id) is unique. */
function productsOf(items: readonly Item[]): Map<string, { quantity: number; valueMicros: number | undefined }> {
  const products = new Map<string, { quantity: number; valueMicros: number | undefined }>();
  for (const { id, quantity = 1, price } of items) {
    const product = products.get(id) ?? { quantity: 0, valueMicros: undefined };
    product.quantity += quantity;
    if (price !== undefined) product.valueMicros = (product.valueMicros ?? 0) + micros(price) * quantity;
    products.set(id, product);
  }
  return products;
}

/**
 * The row of a refused event: that it was, when, for which site, and why.
 * @param events how many events it speaks for
 */
export function refusedRow({ envelope, raw, index, claimed, site_id, name, ts, quarter, local_day }: Draft, { reason }: Refused, processedAt: number, events: number): Row {
  return {
    site_id,
    event_key: eventKey(claimed, raw, envelope, index),
    name,
    ts,
    place: index,
    quarter,
    local_day,
    quantity: events,
    bot: false,
    rejected: reason,
    via: envelope.via,
    received_at: envelope.at,
    processed_at: processedAt,
    v: TRANSFORM_VERSION,
  };
}
