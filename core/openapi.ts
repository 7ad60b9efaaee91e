// The API's description, OpenAPI 3.1, made of the tables that its checks and answers are made of. A route, a parameter
// or a field of an answer that is not described here does not compile. before: core/routes.ts; next: GET /openapi.json
import type { Receipt } from './collect.ts';
import { EVENT_FIELDS, LIMITS, REJECTIONS, type Item } from './event.ts';
import { KEY, KEY_ID, type Key, type ListedKey } from './keys.ts';
import { DIMENSIONS, DIMENSION_NAMES, METRICS, METRIC_NAMES, OTHER, SITE_METRICS, metricsOf, type MetricName } from './metrics.ts';
import type { FieldError } from './problem.ts';
import type { Health } from './progress.ts';
import {
  COMPARES, DEFAULT_BREAKDOWN_METRICS, DEFAULT_INTERVAL, DEFAULT_LIMIT, DEFAULT_METRICS, DEFAULT_RANGE, EARLIEST, INTERVALS, MAX_DAYS, MAX_LIMIT, MAX_MONTHS, MAX_SMOOTH, RANGES,
  type BreakdownQuery, type Filter, type FunnelQuery, type Range, type RangeQuery, type StatsQuery, type TimeseriesQuery,
} from './query.ts';
import { DEFAULT_RATE_LIMIT, type RateLimit } from './rate-limit.ts';
import type { Estimate, Reprocess, ShownJob } from './reprocess.ts';
import type { Summary } from './rollup.ts';
import { ROUTES, routeKey, type Route, type RouteKey } from './routes.ts';
import { FUNNEL_STEPS, type Answer, type BreakdownResult, type FunnelResult, type StatsResult, type TimeseriesResult, type Warning } from './serve.ts';
import { MOST_BURST, MOST_PER_SECOND, SITE_ID, type Site } from './sites.ts';

interface Schema { [keyword: string]: unknown; maybe?: never }
/** Of a field that is not always there. */
interface Maybe { maybe: Schema }
const maybe = (schema: Schema): Maybe => ({ maybe: schema });
type Fields<T> = { [K in keyof T]-?: Record<never, never> extends Pick<T, K> ? Maybe : Schema };

/** An object with the fields of a type, and no others. */
function objectOf<T>(fields: Fields<T>): Schema {
  const all = Object.entries<Schema | Maybe>(fields);
  return {
    type: 'object',
    properties: Object.fromEntries(all.map(([name, field]) => [name, field.maybe ?? field])),
    required: all.filter(([, field]) => !field.maybe).map(([name]) => name),
    additionalProperties: false,
  };
}

const listOf = (items: Schema, more: Schema = {}): Schema => ({ type: 'array', items, ...more });
const oneOf = (values: readonly string[], more: Schema = {}): Schema => ({ type: 'string', enum: values, ...more });
const orNull = ({ type, ...more }: Schema): Schema => ({ type: [type, 'null'], ...more });
/** One of the schemas under `components`. */
const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const code = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ');

/** Of OpenAPI. */
const VERSION = '3.1.0';
const TEXT: Schema = { type: 'string' };
const NUMBER: Schema = { type: 'number' };
const COUNT: Schema = { type: 'integer', minimum: 0 };
const BOOLEAN: Schema = { type: 'boolean' };
const DATE: Schema = { type: 'string', format: 'date' };
const MOMENT: Schema = { type: 'string', format: 'date-time' };
const HOUR: Schema = { type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}$', description: 'An hour of UTC.', examples: ['2026-11-20T09'] };
const TIME_ZONE: Schema = { type: 'string', description: 'An IANA time zone.', examples: ['Europe/Berlin'] };
const SITE: Schema = { type: 'string', pattern: SITE_ID.source };
const KEYS_ID: Schema = { type: 'string', pattern: KEY_ID.source };
const LABEL: Schema = { type: 'string', maxLength: 100 };
const PREFIX: Schema = { type: 'string', pattern: '^ff_(read|write|admin)_', description: 'The beginning of the key\'s text.' };
const PARTIAL: Schema = { const: true, description: 'Not all that was received of this time is counted yet.' };

/** A metric's value: null only where that of no events is, as 0 ÷ 0. */
const valueOf = (name: MetricName): Schema => ({ title: METRICS[name].label, type: METRICS[name].of({}, () => 0) === null ? ['number', 'null'] : 'number' });
const valuesOf = (schema: (name: MetricName) => Schema): Schema => ({
  type: 'object', properties: Object.fromEntries(METRIC_NAMES.map((name) => [name, schema(name)])), additionalProperties: false, minProperties: 1,
});

const RANGE: Fields<Range> = { from: DATE, to: DATE };
const RANGE_QUERY: Fields<RangeQuery> = {
  site: SITE, ...RANGE, time_zone: TIME_ZONE,
  site_time_zone: maybe({ ...TIME_ZONE, description: 'The site\'s, where the dates are another zone\'s.' }),
};
const METRICS_QUERY = { ...RANGE_QUERY, metrics: listOf(ref('Metric')) };
const COMPARED = { compare: maybe(oneOf(COMPARES)), comparison: maybe(ref('Range')), filter: maybe(ref('Filter')) };
const COMPARISON = {
  comparison: maybe({ ...ref('Values'), description: 'The values of the range that is compared with.' }),
  change: maybe(ref('Changes')),
};

/** The answer to a read, of its resolved query and one of its results. */
function answerOf<Q, R>(query: Fields<Q>, result: Fields<R>): Schema {
  return objectOf<Answer<Q, R>>({
    query: { ...objectOf<Q>(query), description: 'What was asked, with what holds where nothing was said.' },
    complete_through: { ...orNull(MOMENT), description: 'All that was received before this moment is counted; null before the first rollup.' },
    results: listOf(objectOf<R>(result)),
    warnings: listOf(ref('Warning')),
  });
}

type Settings = Omit<Site, 'id' | 'created_at' | 'updated_at'>;
const SETTINGS: Fields<Settings> = {
  name: { type: 'string', minLength: 1, maxLength: 100 },
  timezone: { ...TIME_ZONE, description: 'An IANA time zone; its days are the days of the metrics.' },
  currency: { type: 'string', pattern: '^[A-Z]{3}$', description: 'ISO 4217; `revenue` counts this currency.' },
  hosts: listOf(TEXT, { maxItems: 100, description: 'Hosts whose events are accepted, with their subdomains; none listed = any.' }),
  origins: listOf(TEXT, { maxItems: 100, description: 'Origins whose pages may read with a read key.', examples: [['https://shop.example']] }),
  rate_limit: {
    ...objectOf<RateLimit>({
      per_second: { type: 'integer', minimum: 1, maximum: MOST_PER_SECOND, description: 'Requests a second in the long run.' },
      burst: { type: 'integer', minimum: 1, maximum: MOST_BURST, description: 'Requests at once, after a pause.' },
    }),
    description: 'How often each of the site\'s read keys may ask.', default: DEFAULT_RATE_LIMIT,
  },
};
const SHOWN_KEY: Fields<Pick<Key, 'id' | 'label' | 'created_at'>> = { id: KEYS_ID, label: LABEL, created_at: MOMENT };

interface ShownHour extends Partial<Summary> { hour: string; state: string; run: string | null; committed_at: string | null; checked_at: string | null }
const REPROCESS: Fields<Reprocess> = { from: HOUR, to: HOUR, replay: { ...BOOLEAN, description: 'Whether records are transformed again first.', default: false } };

/** What each event field is in JSON; what it accepts, its table says. */
const EVENT_TYPES: Record<keyof typeof EVENT_FIELDS, Schema> = {
  name: TEXT, id: TEXT, url: TEXT, referrer: TEXT, age: NUMBER, visitor: TEXT, value: NUMBER, currency: TEXT, transaction_id: TEXT,
  items: listOf({ ...objectOf<Item>({ id: TEXT, name: maybe(TEXT), quantity: maybe({ type: 'integer' }), price: maybe(NUMBER) }), additionalProperties: true }),
  props: { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean'] } },
  time: { type: ['string', 'number'] }, ip: TEXT, user_agent: TEXT, country: TEXT,
};
type EventField = keyof typeof EVENT_FIELDS;
const EVENT_NAMES = Object.keys(EVENT_FIELDS) as EventField[];
const BROWSER_NAMES = EVENT_NAMES.filter((name) => !('server' in EVENT_FIELDS[name]));

/** The fields of an event from some door. The document is no stricter than its doors: they take an event apart from the others. */
function eventOf(names: readonly EventField[]): Schema {
  return {
    type: 'object', required: ['name'], description: 'Fields that are not listed are left out; null counts as absent.',
    properties: Object.fromEntries(names.map((name) => [name, { ...EVENT_TYPES[name], description: `Accepts ${EVENT_FIELDS[name].accepts}.` }])),
  };
}

const SCHEMAS: Record<string, Schema> = {
  Metric: oneOf(METRIC_NAMES, { description: METRIC_NAMES.map((name) => `\`${name}\`: ${METRICS[name].label}.`).join(' ') }),
  Dimension: oneOf(DIMENSION_NAMES, {
    description: `With the metrics that each has:\n\n${DIMENSION_NAMES.map((name) => `- \`${name}\` (${DIMENSIONS[name].label}): ${code(metricsOf(name))}`).join('\n')}`,
  }),
  Values: { ...valuesOf(valueOf), description: 'The metrics that were asked for; null where one is not defined, as 0 ÷ 0.' },
  Changes: {
    ...valuesOf((name) => ({ title: METRICS[name].label, type: ['number', 'null'] })),
    description: 'Relative to the comparison: 0.5 is half as much again; null where that is not defined.',
  },
  Range: { ...objectOf<Range>(RANGE), description: 'Local dates, both included.' },
  Filter: objectOf<Filter>({ dimension: ref('Dimension'), value: TEXT }),
  Warning: objectOf<Warning>({ code: TEXT, message: TEXT }),
  Stats: answerOf<StatsQuery, StatsResult>({ ...METRICS_QUERY, ...COMPARED }, { metrics: ref('Values'), ...COMPARISON, partial: maybe(PARTIAL) }),
  Timeseries: answerOf<TimeseriesQuery, TimeseriesResult>(
    { ...METRICS_QUERY, ...COMPARED, interval: oneOf(INTERVALS), smooth: maybe({ type: 'integer' }) },
    {
      time: { anyOf: [DATE, MOMENT], description: 'A day; of a month its first day; of an hour its beginning, with its offset.' },
      metrics: ref('Values'), comparison_time: maybe({ anyOf: [DATE, MOMENT] }), ...COMPARISON, partial: maybe(PARTIAL),
    },
  ),
  Breakdown: answerOf<BreakdownQuery, BreakdownResult>(
    { ...METRICS_QUERY, dimension: ref('Dimension'), order_by: ref('Metric'), limit: { type: 'integer' } },
    { value: { ...TEXT, description: `\`${OTHER}\` adds up what is beyond the values kept of each day, and comes last.` }, metrics: ref('Values') },
  ),
  Funnel: answerOf<FunnelQuery, FunnelResult>(
    RANGE_QUERY,
    { step: oneOf(FUNNEL_STEPS), events: COUNT, share: { type: ['number', 'null'], minimum: 0, description: 'Of the events of the first step; null where there are none.' } },
  ),
  Event: eventOf(EVENT_NAMES),
  BrowserEvent: eventOf(BROWSER_NAMES),
  Receipt: objectOf<Receipt>({
    accepted: { ...COUNT, description: 'Events that are stored.' },
    rejected: listOf(objectOf<Receipt['rejected'][number]>({ index: { ...COUNT, description: 'The event\'s place in the batch, from 0.' }, reason: oneOf(REJECTIONS), message: TEXT })),
  }),
  SiteSettings: { ...objectOf<Settings>(SETTINGS), required: ['name', 'timezone', 'currency'] },
  Site: objectOf<Site>({ id: SITE, ...SETTINGS, created_at: MOMENT, updated_at: MOMENT }),
  Key: objectOf<ListedKey>({
    ...SHOWN_KEY, scope: oneOf(['read', 'write', 'admin']), prefix: maybe(PREFIX), site: maybe(SITE),
    last_used_on: { ...orNull(DATE), description: 'The last day (of UTC) on which it was used; null where it never was.' },
  }),
  OwnKey: objectOf<Omit<Key, 'prefix' | 'site'> & { prefix: string | null; site: object | null }>({
    ...SHOWN_KEY, scope: oneOf(['read', 'write', 'admin']), prefix: orNull(PREFIX),
    site: {
      ...objectOf<Pick<Site, 'id' | 'name' | 'timezone' | 'currency'>>({ id: SITE, name: TEXT, timezone: TIME_ZONE, currency: TEXT }),
      type: ['object', 'null'], description: 'null with an admin key.',
    },
  }),
  NewKey: objectOf<{ id: string; key: string; scope: string; label: string; prefix: string }>({
    id: KEYS_ID, key: { type: 'string', pattern: KEY.source, description: 'The key itself, which is shown this once.' },
    scope: oneOf(['read', 'write', 'admin']), label: LABEL, prefix: PREFIX,
  }),
  Health: objectOf<Health & { status: string; complete_through: string | null }>({
    status: { const: 'ok' },
    oldest_undelivered_seconds: { ...orNull(COUNT), description: 'Age of the oldest event that may not be in the lake yet; null when all are.' },
    waiting_tasks: { ...COUNT, description: 'Rollup tasks that wait.' },
    parked_tasks: { ...COUNT, description: 'Rollup tasks that failed too often and were put aside.' },
    complete_through: orNull(MOMENT),
  }),
  Hour: objectOf<ShownHour>({
    hour: HOUR, state: oneOf(['committed', 'unfinished', 'parked', 'none']), run: orNull(TEXT), committed_at: orNull(MOMENT), checked_at: orNull(MOMENT),
    sites: maybe(COUNT), events: maybe(COUNT), bots: maybe(COUNT), rejected: maybe(COUNT), long_visit_events: maybe(COUNT),
  }),
  Job: objectOf<ShownJob>({
    id: { ...TEXT, description: 'Made of its hours.' }, ...REPROCESS, state: oneOf(['replaying', 'rolling', 'done', 'cancelled']), created_at: MOMENT, finished_at: orNull(MOMENT),
    hours: COUNT, hours_done: COUNT, hours_failed: listOf(HOUR), days_failed: listOf(DATE), records_replayed: COUNT, records_skipped: COUNT, files_failed: listOf(TEXT),
  }),
  Estimate: objectOf<Estimate & Reprocess & { dry_run: boolean; cost_usd: number }>({
    ...REPROCESS, dry_run: { const: true }, hours: { ...COUNT, description: 'Hours that have rows or numbers.' },
    bytes: { ...COUNT, description: 'Bytes of rows to read.' }, raw_bytes: { ...COUNT, description: 'Bytes of records to replay.' }, cost_usd: { type: 'number', minimum: 0 },
  }),
  Problem: {
    ...objectOf<{ title: string; status: number; detail: string; errors?: FieldError[]; request_id?: string }>({
      title: TEXT, status: { type: 'integer', minimum: 400, maximum: 599 }, detail: { ...TEXT, description: 'What is wrong, and what would be accepted.' },
      errors: maybe(listOf(objectOf<FieldError>({ parameter: TEXT, value: { ...TEXT, description: 'As received, shortened.' }, accepts: TEXT }), { minItems: 1 })),
      request_id: maybe({ ...TEXT, description: 'By which the operator finds the request.' }),
    }),
    description: 'A refusal (RFC 9457).',
  },
};

const HEADERS = {
  'X-Request-Id': { description: 'The request\'s id, by which the operator finds it.', schema: TEXT },
  'ETag': { description: 'For `If-None-Match`.', required: true, schema: { type: 'string', pattern: '^W/"[\\w-]{22}"$' } },
  'Cache-Control': { description: 'How long the answer may be kept.', required: true, schema: TEXT },
  'RateLimit-Limit': { description: 'The burst the site allows each read key. With read keys only, as the others.', schema: { type: 'integer', minimum: 1 } },
  'RateLimit-Remaining': { description: 'Requests that would be allowed now.', schema: COUNT },
  'RateLimit-Reset': { description: 'Seconds until the whole burst is allowed again.', schema: COUNT },
  'RateLimit-Policy': { description: 'The burst, and after `w=` the seconds in which it is allowed anew.', schema: { type: 'string', pattern: '^\\d+;w=\\d+$' } },
  'Retry-After': { description: 'Seconds to wait before the same request.', required: true, schema: { type: 'integer', minimum: 1 } },
  'X-Complete-Through': { description: 'Of CSV: `complete_through` of the JSON, where it is not null.', schema: MOMENT },
  'X-Warnings': { description: 'Of CSV: the codes of the warnings, where there are any.', schema: { type: 'string', pattern: '^\\w+(, \\w+)*$' } },
  'Content-Disposition': { description: 'Of CSV: a name for the file.', schema: TEXT },
  'WWW-Authenticate': { description: 'What a key is sent as.', required: true, schema: { const: 'Bearer' } },
} as const;
type HeaderName = keyof typeof HEADERS;
const RATE_HEADERS: readonly HeaderName[] = ['RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset', 'RateLimit-Policy'];
const CSV_HEADERS: readonly HeaderName[] = ['X-Complete-Through', 'X-Warnings', 'Content-Disposition'];

function headersOf(...names: HeaderName[]): object {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

const json = (schema: Schema): object => ({ 'application/json': { schema } });

interface Refusal { description: string; headers?: readonly HeaderName[] }
/** When each status is a refusal; what exactly, its body says. */
const REFUSALS = {
  400: { description: 'A parameter, the query or the body cannot be read, or is none that is known.' },
  401: { description: 'No key, or none that is valid.', headers: ['WWW-Authenticate'] },
  403: { description: 'The key has another scope.' },
  404: { description: 'What the path names does not exist, or is another site\'s.' },
  409: { description: 'The key that asks cannot revoke itself.' },
  413: { description: 'The body is too large, or has too many events.' },
  422: { description: 'It can be read, but not be answered or kept as asked.' },
  429: { description: 'The read key asks more often than its site allows.', headers: ['Retry-After'] },
  431: { description: 'The address or the headers are too large.' },
  500: { description: 'An error of ours, of which the operator is told.' },
  503: { description: 'Nothing was stored; send the same again.', headers: ['Retry-After'] },
} as const satisfies Record<number, Refusal>;
type RefusalStatus = keyof typeof REFUSALS;

interface Parameter { description: string; schema: Schema; required?: true; /** A list is one text, with commas. */ explode?: false }
type ParameterOf = Route['parameters'][number];

/** @param usual the metrics where nothing is said */
const metricsParameter = (usual: readonly MetricName[]): Parameter => ({
  description: `The metrics, each once, with commas between. Of a whole site: ${code(SITE_METRICS)}; with a \`filter\`, those its dimension has. Where nothing is said: ${code(usual)}.`,
  explode: false, schema: listOf(ref('Metric'), { minItems: 1, uniqueItems: true }),
});

const PARAMETERS: Record<ParameterOf, Parameter> = {
  range: { description: 'Dates up to today; not beside `from` and `to`.', schema: oneOf(Object.keys(RANGES), { default: DEFAULT_RANGE }) },
  from: { description: `The first date, from ${EARLIEST} on; goes together with \`to\`.`, schema: DATE },
  to: { description: 'The last date, included.', schema: DATE },
  time_zone: {
    description: `The zone of the dates; the site's where nothing is said. In another one the range is at most ${MAX_DAYS.otherZone} days (with what \`smooth\` looks back on, ${MAX_DAYS.otherZoneSmoothed}), and there are no breakdowns and filters.`,
    schema: TIME_ZONE,
  },
  metrics: metricsParameter(DEFAULT_METRICS.stats),
  interval: {
    description: `The length of the buckets. Of hours the range is at most ${MAX_DAYS.hour} days, of days ${MAX_DAYS.day}, of months ${MAX_MONTHS} months; with a \`filter\`, days and months only, and at most ${MAX_DAYS.breakdown} days.`,
    schema: oneOf(INTERVALS, { default: DEFAULT_INTERVAL }),
  },
  compare: { description: 'Sets beside each value that of as many days right before, or of the same dates a year earlier.', schema: oneOf(COMPARES) },
  smooth: { description: 'Each value is the average of so many buckets, itself the last of them.', schema: { type: 'integer', minimum: 2, maximum: MAX_SMOOTH } },
  filter: {
    description: `Only what belongs to one value of a dimension (not \`${OTHER}\`), such as \`source==google\`. The range is at most ${MAX_DAYS.breakdown} days.`,
    schema: { type: 'string', pattern: `^(${DIMENSION_NAMES.join('|')})==.` },
  },
  dimension: { description: 'What the values are of.', required: true, schema: ref('Dimension') },
  order_by: { description: 'One of the metrics, the largest first; the first of them where nothing is said.', schema: ref('Metric') },
  limit: { description: `Most values, \`${OTHER}\` not counted.`, schema: { type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT } },
  after: { description: 'Sites whose ids come after this one.', schema: SITE },
};

type PathParameter<P> = P extends `${string}{${infer Name}}${infer Rest}` ? Name | PathParameter<Rest> : never;
const PATH_PARAMETERS: Record<PathParameter<keyof RouteKey>, Parameter> = {
  site: { description: 'The site\'s id.', required: true, schema: SITE },
  key: { description: 'The key\'s id, not the key.', required: true, schema: TEXT },
  job: { description: 'The job\'s id.', required: true, schema: TEXT },
};

interface Operation {
  id: string;
  tag: keyof typeof TAGS;
  summary: string;
  description?: string;
  /** What is special about parameters of this route. */
  parameters?: Partial<Record<ParameterOf, Parameter>>;
  body?: Schema;
  /** What is answered when all is well, by status. */
  answers: Record<number, { description: string; schema?: Schema; content?: object; headers?: readonly HeaderName[] }>;
  /** Refusals beside those that follow from the route. */
  refusals?: readonly RefusalStatus[];
}

const TAGS = {
  Reads: 'The numbers of a site.',
  Events: 'The doors: how events come in.',
  Administration: 'Sites and keys.',
  Rollups: 'The state of the numbers, and counting them again.',
  State: 'The installation itself.',
} as const;

/** A read: JSON or, where the client prefers it, CSV; 304 where it has the answer already. */
function read(id: string, schema: string, summary: string, more: Pick<Operation, 'description' | 'parameters'> & { refusals: readonly RefusalStatus[] }): Operation {
  return {
    id, tag: 'Reads', summary, ...more,
    answers: {
      200: { description: 'The numbers.', content: { ...json(ref(schema)), 'text/csv': { schema: TEXT } }, headers: ['ETag', 'Cache-Control', ...RATE_HEADERS, ...CSV_HEADERS] },
      304: { description: 'As the client has it, by `If-None-Match`.', headers: ['ETag', 'Cache-Control', ...RATE_HEADERS, 'X-Complete-Through', 'X-Warnings'] },
    },
  };
}

const created = { 201: { description: 'The key, shown this once.', schema: ref('NewKey') } };
const revoked = { 204: { description: 'The key is revoked.' } };
const listed = { 200: { description: 'The keys, in order of id; never their texts.', schema: objectOf<{ keys: ListedKey[] }>({ keys: listOf(ref('Key')) }) } };
const keyBody = (scopes: readonly string[]): Schema => ({
  type: 'object', properties: { scope: oneOf(scopes), label: { ...LABEL, default: '' } }, required: scopes.length > 1 ? ['scope'] : [], additionalProperties: false,
});

const OPERATIONS: Record<keyof RouteKey, Operation> = {
  'POST /v1/events': {
    id: 'collectEvents', tag: 'Events', summary: 'Send events from a server',
    description: `At most ${LIMITS.api.events} events and ${LIMITS.api.bytes} bytes. An event that is wrong does not keep the others out. Sending the same batch again changes nothing.`,
    body: { type: 'object', properties: { events: listOf(ref('Event'), { maxItems: LIMITS.api.events }) }, required: ['events'] },
    answers: { 202: { description: 'How many events were stored, and why the others were not.', schema: ref('Receipt') } },
    refusals: [422, 503],
  },
  'GET /openapi.json': {
    id: 'openApi', tag: 'State', summary: 'This document',
    answers: {
      200: { description: 'OpenAPI 3.1.', schema: { type: 'object', properties: { openapi: { const: VERSION } }, required: ['openapi'] }, headers: ['ETag', 'Cache-Control'] },
      304: { description: 'As the client has it.', headers: ['ETag', 'Cache-Control'] },
    },
  },
  'GET /v1/health': { id: 'health', tag: 'State', summary: 'How the pipeline is', answers: { 200: { description: 'It answers.', schema: ref('Health') } } },
  'GET /v1/key': {
    id: 'ownKey', tag: 'Administration', summary: 'The key that asks, and its site',
    answers: { 200: { description: 'What its holder may know of it.', schema: ref('OwnKey'), headers: RATE_HEADERS } },
  },
  'GET /v1/sites/{site}/stats': read('stats', 'Stats', 'Totals over a range', { description: `At most ${MAX_DAYS.stats} days.`, refusals: [404, 422] }),
  'GET /v1/sites/{site}/timeseries': read('timeseries', 'Timeseries', 'A value for each hour, day or month', {
    description: 'Buckets without events are there, too.', parameters: { metrics: metricsParameter(DEFAULT_METRICS.timeseries) }, refusals: [404, 422],
  }),
  'GET /v1/sites/{site}/breakdown': read('breakdown', 'Breakdown', 'The largest values of a dimension', {
    description: `At most ${MAX_DAYS.breakdown} days.`,
    parameters: {
      metrics: { ...metricsParameter([]), description: `The metrics, each once, with commas between: those the dimension has. Where nothing is said, its first ${DEFAULT_BREAKDOWN_METRICS}.` },
      time_zone: { description: 'The site\'s, or nothing: breakdowns are kept by the site\'s days.', schema: TIME_ZONE },
    },
    refusals: [404, 422],
  }),
  'GET /v1/sites/{site}/funnel': read('funnel', 'Funnel', 'Events of each step to a purchase', { description: `${code(FUNNEL_STEPS)}. At most ${MAX_DAYS.stats} days.`, refusals: [404] }),
  'GET /v1/sites': {
    id: 'listSites', tag: 'Administration', summary: 'The sites, in order of id',
    answers: { 200: {
      description: 'A page of sites.',
      schema: objectOf<{ sites: unknown; next: unknown }>({
        sites: listOf(objectOf<Pick<Site, 'id' | 'name'>>({ id: SITE, name: TEXT })), next: { ...orNull(TEXT), description: 'Path of the next page; null on the last one.' },
      }),
    } },
  },
  'GET /v1/sites/{site}': { id: 'site', tag: 'Administration', summary: 'A site', answers: { 200: { description: 'Its settings.', schema: ref('Site') } }, refusals: [404] },
  'PUT /v1/sites/{site}': {
    id: 'putSite', tag: 'Administration', summary: 'Make a site, or change it', description: 'What is left out gets what holds where nothing is said, also where it was something else before.',
    body: ref('SiteSettings'), answers: { 200: { description: 'The site.', schema: ref('Site') } }, refusals: [422],
  },
  'GET /v1/sites/{site}/keys': { id: 'siteKeys', tag: 'Administration', summary: 'A site\'s keys', answers: listed, refusals: [404] },
  'POST /v1/sites/{site}/keys': { id: 'makeSiteKey', tag: 'Administration', summary: 'Make a key of a site', body: keyBody(['read', 'write']), answers: created, refusals: [404, 422] },
  'DELETE /v1/sites/{site}/keys/{key}': { id: 'revokeSiteKey', tag: 'Administration', summary: 'Revoke a key of a site', answers: revoked, refusals: [404] },
  'GET /v1/keys': { id: 'adminKeys', tag: 'Administration', summary: 'The admin keys', answers: listed },
  'POST /v1/keys': { id: 'makeAdminKey', tag: 'Administration', summary: 'Make an admin key', body: keyBody(['admin']), answers: created, refusals: [422] },
  'DELETE /v1/keys/{key}': { id: 'revokeAdminKey', tag: 'Administration', summary: 'Revoke an admin key', answers: revoked, refusals: [404, 409] },
  'GET /v1/rollups': {
    id: 'rollups', tag: 'Rollups', summary: 'The state of hours, and jobs',
    parameters: {
      from: { description: 'The first hour; a day before `to` where nothing is said.', schema: HOUR },
      to: { description: 'The last hour, included; the current one where nothing is said.', schema: HOUR },
    },
    answers: { 200: {
      description: 'The hours, what is parked, and the newest jobs.',
      schema: objectOf<{ query: unknown; hours: unknown; parked: unknown; jobs: unknown }>({
        query: objectOf<Range>({ from: HOUR, to: HOUR }), hours: listOf(ref('Hour')),
        parked: listOf(objectOf<{ task: string; attempts: number; error: string }>({ task: TEXT, attempts: COUNT, error: TEXT })), jobs: listOf(ref('Job')),
      }),
    } },
  },
  'POST /v1/rollups': {
    id: 'reprocess', tag: 'Rollups', summary: 'Count hours again',
    body: { type: 'object', properties: { ...REPROCESS, dry_run: { ...BOOLEAN, default: false } }, required: ['from', 'to'], additionalProperties: false },
    answers: { 200: { description: 'With `dry_run`: what a job would do.', schema: ref('Estimate') }, 202: { description: 'The job.', schema: ref('Job') } },
    refusals: [422],
  },
  'DELETE /v1/rollups/{job}': {
    id: 'cancelJob', tag: 'Rollups', summary: 'Cancel a job',
    answers: { 202: { description: 'The job, which soon ends; what is under way is still done.', schema: ref('Job') } }, refusals: [404],
  },
};

/** The refusals of a route: those of all, those that follow from its key, body and pace, and its own. */
function refusalsOf({ method, scopes, handler }: Route, { refusals = [] }: Operation): RefusalStatus[] {
  const keys: RefusalStatus[] = scopes.length === 0 ? [] : scopes.length === 3 ? [401] : [401, 403];
  const paced: RefusalStatus[] = handler === 'serve' && scopes.includes('read') ? [429] : [];
  return [400, ...keys, ...(method === 'GET' ? [] : [413] as const), ...refusals, ...paced, 500];
}

const refused = (statuses: readonly RefusalStatus[]): object => Object.fromEntries(statuses.map((status) => [status, { $ref: `#/components/responses/${status}` }]));
const parameterOf = (place: 'path' | 'query', name: string, parameter: Parameter): object => ({ name, in: place, ...parameter });

function operationOf(route: Route): object {
  const operation = OPERATIONS[routeKey(route) as keyof RouteKey];
  const { id, tag, summary, description, parameters = {}, body, answers } = operation;
  return {
    operationId: id, tags: [tag], summary, ...(description && { description }),
    security: route.scopes.map((scope) => ({ key: [scope] })),
    parameters: [
      ...[...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ $ref: `#/components/parameters/path_${name}` })),
      ...route.parameters.map((name) => (parameters[name] ? parameterOf('query', name, parameters[name]) : { $ref: `#/components/parameters/${name}` })),
    ],
    ...(body && { requestBody: { required: true, content: json(body) } }),
    responses: {
      ...Object.fromEntries(Object.entries(answers).map(([status, { description: what, schema, content = schema && json(schema), headers = [] }]) => (
        [status, { description: what, headers: { ...headersOf(...headers), 'X-Request-Id': { $ref: '#/components/headers/X-Request-Id' } }, ...(content && { content }) }]
      ))),
      ...refused(refusalsOf(route, operation)),
    },
  };
}

/** The browser doors, which have no route of their own: they answer before anything is looked at. */
const DOORS = {
  '/p.gif': { get: {
    operationId: 'collectPixel', tags: ['Events'], summary: 'Send an event as an image',
    description: 'For pages without a script. Without `name` it is a `page_view`, without `url` the page is the `Referer`. What is wrong with an event is seen later, in the dimension `rejection`.',
    security: [],
    parameters: [
      parameterOf('query', 'site', PATH_PARAMETERS.site),
      ...BROWSER_NAMES.filter((name) => name !== 'props').map((name) => (
        parameterOf('query', name, { description: `Accepts ${EVENT_FIELDS[name].accepts}${name === 'items' ? ', as JSON' : ''}.`, schema: TEXT })
      )),
      // Each property is a parameter of its own, as OpenAPI has it where nothing is said.
      parameterOf('query', 'props', {
        description: 'One parameter each, `p.<key>=<value>`.', schema: { type: 'object', propertyNames: { pattern: '^p\\.' }, additionalProperties: TEXT },
      }),
    ],
    responses: { 200: { description: 'A transparent image of one pixel.', headers: headersOf('Cache-Control'), content: { 'image/gif': {} } }, ...refused([431, 500, 503]) },
  } },
  '/e': { post: {
    operationId: 'collectBeacon', tags: ['Events'], summary: 'Send events from a page',
    description: `At most ${LIMITS.beacon.bytes} bytes, of which ${LIMITS.beacon.events} events are counted. As \`text/plain\` it needs no preflight.`,
    security: [],
    requestBody: { required: true, content: Object.fromEntries(['text/plain', 'application/json'].map((type) => [type, {
      schema: { type: 'object', properties: { site: SITE, events: listOf(ref('BrowserEvent'), { maxItems: LIMITS.beacon.events }) }, required: ['site', 'events'] },
    }])) },
    responses: { 204: { description: 'Stored.' }, ...refused([413, 500, 503]) },
  } },
};

const ABOUT = `Traffic and sales of a merchant's sites.

A key goes into \`Authorization: Bearer …\`. Read and write keys belong to one site, admin keys to the installation; a key of one site gets the same 404 on another's path as on that of a site that does not exist.

Parameters that are not described are refused. \`HEAD\` is answered wherever \`GET\` is, without a body. \`OPTIONS\` is answered with 204 and \`Allow\` on every path there is, any other method with 405, and a path that does not exist with 404. What is no HTTP, comes too slowly or has too large headers is refused with 400, 408 or 431 before its path is looked at.

Pages of the site's \`origins\` may read with a read key. Answers above 1 KB are compressed where the client takes that.

On AWS the two browser doors, \`/p.gif\` and \`/e\`, answer at an address of their own, and API Gateway refuses what is too much for all callers together with a 429 or 503 of its own form, \`{"message": …}\`.`;

let document: object | undefined;

/** The API's description, OpenAPI 3.1; made once, and not to be changed. */
export function openApi(): object {
  return document ??= described();
}

function described(): object {
  const paths: Record<string, object> = { ...DOORS };
  for (const route of ROUTES) paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route) };
  const parameters = [
    ...Object.entries(PATH_PARAMETERS).map(([name, parameter]) => [`path_${name}`, parameterOf('path', name, parameter)]),
    ...Object.entries(PARAMETERS).map(([name, parameter]) => [name, parameterOf('query', name, parameter)]),
  ];
  return {
    openapi: VERSION,
    info: { title: 'Footfall', version: '1', description: ABOUT },
    servers: [{ url: '/' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: SCHEMAS,
      parameters: Object.fromEntries(parameters) as object,
      headers: HEADERS,
      responses: Object.fromEntries(Object.entries<Refusal>(REFUSALS).map(([status, { description, headers = [] }]) => [status, {
        description, headers: headersOf(...headers, 'X-Request-Id', ...RATE_HEADERS), content: { 'application/problem+json': { schema: ref('Problem') } },
      }])),
      securitySchemes: { key: { type: 'http', scheme: 'bearer', bearerFormat: 'ff_<read|write|admin>_<43 letters and digits>' } },
    },
  };
}
