// What may happen to sites, made up by chance: people, what they do and when, by which door it comes, how often, how
// late and in which order. A plan says it in words; from the plan come the requests, and what the oracle is told. Then
// both the pipeline and the oracle are asked for every number there is.
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { beaconEnvelope, packBatch } from '../core/collect.ts';
import { DIMENSION_NAMES, SITE_METRICS, metricsOf, type MetricName } from '../core/metrics.ts';
import { checkSite, readSite, writeSite } from '../core/sites.ts';
import { count, localDay, localHour, type Fact, type FactItem, type Numbers, type Origin, type SiteFacts } from './oracle.ts';
import type { Pipeline } from './pipeline.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

// ---- The vocabulary: what is sent, and by hand what it is called

type Came = Pick<Origin, 'source' | 'channel' | 'referrer'> & Partial<Origin>;

/** Where somebody came from: parameters of the address, the page before, and what that is called. */
export const CAME: Record<string, { query?: string; referrer?: string; label: Came }> = {
  'by itself': { label: { source: '(direct)', channel: 'Direct', referrer: null } },
  'own page': { referrer: 'https://shop.example/before', label: { source: '(direct)', channel: 'Direct', referrer: null } },
  google: { referrer: 'https://www.google.com/', label: { source: 'google', channel: 'Organic Search', referrer: 'google.com' } },
  bing: { referrer: 'https://www.bing.com/search?q=shoes', label: { source: 'bing', channel: 'Organic Search', referrer: 'bing.com' } },
  blog: { referrer: 'https://blog.example.org/post/7', label: { source: 'blog.example.org', channel: 'Referral', referrer: 'blog.example.org' } },
  newsletter: {
    query: 'utm_source=Newsletter&utm_medium=email&utm_campaign=Spring&utm_content=top&utm_term=shoes',
    label: { source: 'newsletter', channel: 'Email', referrer: null, utm_source: 'Newsletter', utm_medium: 'email', utm_campaign: 'Spring', utm_content: 'top', utm_term: 'shoes' },
  },
  advertisement: {
    query: 'utm_source=google&utm_medium=cpc&utm_campaign=Brand', referrer: 'https://www.google.com/',
    label: { source: 'google', channel: 'Paid Search', referrer: 'google.com', utm_source: 'google', utm_medium: 'cpc', utm_campaign: 'Brand' },
  },
  click: { query: 'gclid=abc', label: { source: 'google', channel: 'Paid Search', referrer: null } },
  partner: {
    query: 'utm_source=partner.example&utm_medium=affiliate', referrer: 'https://www.partner.example/list',
    label: { source: 'partner.example', channel: 'Affiliates', referrer: 'partner.example', utm_source: 'partner.example', utm_medium: 'affiliate' },
  },
};

const AGENTS: Record<string, { text: string; label: Pick<Origin, 'device' | 'browser' | 'os'> }> = {
  firefox: {
    text: 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0',
    label: { device: 'desktop', browser: 'Firefox', os: 'Linux' },
  },
  chrome: {
    text: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36',
    label: { device: 'desktop', browser: 'Chrome', os: 'Windows' },
  },
  iphone: {
    text: 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1',
    label: { device: 'mobile', browser: 'Safari', os: 'iOS' },
  },
};
const CRAWLER = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)';

/** People: two behind one address, two with the same browser. */
export const PEOPLE: Record<string, { ip: string; agent: string | null; country?: string; language?: string; speaks?: string }> = {
  ann: { ip: '192.0.2.1', agent: 'firefox', country: 'DE', language: 'de-DE,de;q=0.9,en;q=0.8', speaks: 'de-DE' },
  bob: { ip: '192.0.2.1', agent: 'chrome', country: 'DE', language: 'en', speaks: 'en' },
  cid: { ip: '192.0.2.2', agent: 'firefox' },
  dot: { ip: '2001:db8::1', agent: 'iphone', country: 'IN', language: 'hi-IN', speaks: 'hi-IN' },
  eve: { ip: '192.0.2.3', agent: null, country: 'NZ' },
};

/** Pages by their path; null: an event of no page. */
export const PAGES: Record<string, { url: string | null; path: string | null }> = {
  home: { url: 'https://shop.example/', path: '/' },
  product: { url: 'https://shop.example/p/1?colour=red', path: '/p/1' },
  basket: { url: 'https://www.shop.example/basket#top', path: '/basket' },
  none: { url: null, path: null },
};

export const BASKETS: Record<string, { sent: object[]; items: FactItem[] }> = {
  one: { sent: [{ id: 'x', price: 10 }], items: [{ id: 'x', quantity: 1, price: 10 }] },
  two: { sent: [{ id: 'x', quantity: 2, price: 10.05 }, { id: 'y', name: 'Y', price: 0.1 }], items: [{ id: 'x', quantity: 2, price: 10.05 }, { id: 'y', quantity: 1, price: 0.1 }] },
  same: { sent: [{ id: 'y' }, { id: 'y', quantity: 3, price: 1.25 }], items: [{ id: 'y', quantity: 1, price: 0 }, { id: 'y', quantity: 3, price: 1.25 }] },
  number: { sent: [{ id: 7, quantity: 1000, price: 0.000001 }], items: [{ id: '7', quantity: 1000, price: 0.000001 }] },
  voucher: { sent: [{ id: 'v', price: -4 }], items: [{ id: 'v', quantity: 1, price: -4 }] },
};

/** What makes an event a refused one, by the reason that is given. */
export const FLAWS = {
  bad_name: { name: 'Not a name' }, bad_id: { id: 'x'.repeat(65) }, bad_url: { url: 'ftp://shop.example/' }, bad_referrer: { referrer: 'nowhere' },
  bad_age: { age: -1 }, bad_visitor: { visitor: '' }, bad_value: { value: '12' }, bad_currency: { currency: 'euro' },
  bad_transaction_id: { transaction_id: 5 }, bad_items: { items: [{ price: 1 }] }, bad_props: { props: [1] },
} as const;
type Flaw = keyof typeof FLAWS;

// ---- The plan

export interface EventPlan {
  name: string;
  came: string;
  page: string;
  /** An id of its own. */
  id: boolean;
  /** Of a purchase; '' is none. */
  transaction: string | null;
  value: number | null;
  currency: string | null;
  basket: string | null;
}

type Door = 'browser' | 'browser, begun an hour earlier' | 'server' | 'server, without time';

/** How something is sent. */
interface Way {
  door: Door;
  /** In one request with what was sent before, where that can be. */
  together: boolean;
  /** From event to receipt, as far as the door allows it. */
  late: number;
  /** Place in the order of delivery: batch × 3 + place. */
  delivery: number;
  /** Its request is delivered once more with the next batch. */
  twice: boolean;
  bot: 'no' | 'agent' | 'prefetch';
  flaw: Flaw | null;
}

interface CopyPlan extends Way {
  hoursLater: number;
  /** In its hour; null: at the same moment. */
  minute: number | null;
  /** What it says otherwise, except for its name; null: the same. */
  corrected: EventPlan | null;
  byNobody: boolean;
}

export interface StepPlan extends Way { gap: number; event: EventPlan; copies: CopyPlan[] }

/** What somebody does: under an id, known by address and browser, or a server's events of nobody. */
export interface StreamPlan { visitor: { id: string } | 'address' | 'nobody'; person: string; start: number; steps: StepPlan[] }
export interface SitePlan { zone: string; currency: string; streams: StreamPlan[] }

export interface Plan {
  moment: keyof typeof MOMENTS;
  /** How long after the moment things happen. */
  minutes: number;
  sites: SitePlan[];
  batches: number;
  /** After which batches the rollup runs, and whether the hour of the moment is announced again without news. */
  rollups: boolean[];
  again: boolean;
}

const ZONES = [
  'UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Asia/Kathmandu', 'Australia/Eucla', 'Pacific/Chatham', 'Pacific/Apia',
  'America/St_Johns', 'Australia/Lord_Howe',
];

/** Moments of a year around which something may go wrong; for zones that do not change their clocks, midnights. */
const MOMENTS = {
  ordinary: (year: number) => Date.UTC(year, 4, 13, 10),
  midnight: (year: number, zone: string) => midnightOf(zone, Date.UTC(year, 5, 17)),
  'month end': (year: number, zone: string) => midnightOf(zone, Date.UTC(year, 7, 1)),
  'year end': (year: number, zone: string) => midnightOf(zone, Date.UTC(year + 1, 0, 1)),
  'clocks change': (year: number, zone: string) => changesOf(zone, year)[0] ?? midnightOf(zone, Date.UTC(year, 2, 29)),
  'clocks change back': (year: number, zone: string) => changesOf(zone, year)[1] ?? midnightOf(zone, Date.UTC(year, 9, 25)),
};

/** The first quarter of an hour of a local date. */
function midnightOf(zone: string, date: number): number {
  const day = localDay('UTC', date);
  let ms = date - 15 * HOUR;
  while (localDay(zone, ms) < day) ms += HOUR / 4;
  return ms;
}

function changesOf(zone: string, year: number): number[] {
  const offset = (ms: number) => localHour(zone, ms).slice(-6);
  const changes: number[] = [];
  for (let day = Date.UTC(year, 0, 2); day < Date.UTC(year, 11, 30); day += DAY) {
    if (offset(day) === offset(day + DAY)) continue;
    let ms = day;
    while (offset(ms) === offset(day)) ms += HOUR / 4;
    changes.push(ms);
  }
  return changes;
}

/** Null, but for one in `n`. */
function rarely<T>(n: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return fc.oneof({ weight: n - 1, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });
}

const GAPS = [SECOND, 5 * MINUTE, 12 * MINUTE, 30 * MINUTE - 1, 30 * MINUTE, 30 * MINUTE + 1, 45 * MINUTE, 75 * MINUTE];
const eventPlan: fc.Arbitrary<EventPlan> = fc.record({
  name: fc.constantFrom('page_view', 'page_view', 'page_view', 'view_item', 'add_to_cart', 'begin_checkout', 'purchase', 'purchase', 'refund', 'sign_up'),
  came: fc.constantFrom('by itself', ...Object.keys(CAME)),
  page: fc.constantFrom(...Object.keys(PAGES)),
  id: fc.boolean(),
  transaction: fc.constantFrom(null, '', 't1', 't2'),
  value: fc.constantFrom(null, 0, 10, 19.99, 0.1, -5, 1234.5678, 0.000001, 123456789.123456),
  currency: fc.constantFrom(null, null, 'EUR', 'USD', 'JPY'),
  basket: rarely(2, fc.constantFrom(...Object.keys(BASKETS))),
});
const way = {
  door: fc.constantFrom<Door[]>('browser', 'browser', 'browser', 'browser, begun an hour earlier', 'server', 'server', 'server, without time'),
  together: fc.boolean(),
  late: fc.constantFrom(0, SECOND, -5 * MINUTE, 10 * MINUTE, 2 * HOUR, 26 * HOUR),
  delivery: fc.nat(11),
  twice: fc.constantFrom(false, false, false, true),
  bot: fc.constantFrom<Way['bot'][]>(...Array<'no'>(14).fill('no'), 'agent', 'prefetch'),
  flaw: rarely(15, fc.constantFrom(...(Object.keys(FLAWS) as Flaw[]))),
};
const copyPlan: fc.Arbitrary<CopyPlan> = fc.record({
  ...way,
  flaw: rarely(3, fc.constantFrom(...(Object.keys(FLAWS) as Flaw[]))),
  hoursLater: fc.constantFrom(0, 0, 1, 1, 2),
  minute: fc.constantFrom(null, 0, 4, 20, 29, 31, 40, 59),
  corrected: rarely(2, eventPlan),
  byNobody: fc.constantFrom(false, false, false, true),
});
const stepPlan = (gap: fc.Arbitrary<number>): fc.Arbitrary<StepPlan> => fc.record({
  ...way, gap, event: eventPlan, copies: fc.oneof({ weight: 3, arbitrary: fc.constant<CopyPlan[]>([]) }, { weight: 2, arbitrary: fc.array(copyPlan, { minLength: 1, maxLength: 3 }) }),
});
const steps = fc.oneof(
  { weight: 4, arbitrary: fc.array(stepPlan(fc.constantFrom(0, ...GAPS)), { minLength: 1, maxLength: 6 }) },
  // A long visit.
  { weight: 1, arbitrary: fc.array(stepPlan(fc.integer({ min: 20, max: 29 }).map((minutes) => minutes * MINUTE)), { minLength: 4, maxLength: 10 }) },
);
const streamPlan: fc.Arbitrary<StreamPlan> = fc.record({
  visitor: fc.constantFrom<StreamPlan['visitor'][]>({ id: 'i' }, { id: 'j' }, { id: 'k' }, 'address', 'address', 'address', 'nobody'),
  person: fc.constantFrom(...Object.keys(PEOPLE)),
  start: fc.constantFrom(-40 * MINUTE, -30 * MINUTE, -10 * MINUTE, -SECOND, -1, 0, 1, 5 * MINUTE),
  steps,
});
export const plans: fc.Arbitrary<Plan> = fc.record({
  moment: fc.constantFrom(...(Object.keys(MOMENTS) as Plan['moment'][])),
  minutes: fc.constantFrom(10, 40, 40, 70, 70, 200),
  sites: fc.array(fc.record({
    zone: fc.constantFrom(...ZONES), currency: fc.constantFrom('EUR', 'USD'), streams: fc.array(streamPlan, { minLength: 1, maxLength: 5 }),
  }), { minLength: 1, maxLength: 4 }),
  batches: fc.integer({ min: 1, max: 3 }),
  rollups: fc.array(fc.constantFrom(false, false, false, true), { minLength: 2, maxLength: 2 }),
  again: fc.boolean(),
});

// ---- From the plan to requests and facts

/** An event as it will be sent; a refused one gets its `ts` with the receipt. */
interface Sent {
  ts: number;
  who: string | null;
  fields: Record<string, unknown>;
  key: string | null;
  fact: Omit<Fact, 'site' | 'key' | 'ts' | 'place'>;
}

interface Request {
  site: string;
  way: Way;
  person: string;
  /** The events' time is the start of the hour, to which it was pulled from the hour before. */
  pulled: boolean;
  sent: Sent[];
}

export interface Received extends Request { at: number; facts: Fact[] }

const isServer = ({ door }: Way) => door.startsWith('server');
const hourStart = (ms: number) => ms - (ms % HOUR);

/** What cannot be said together: an event of no page has no parameters, and no other page than its own. */
function sayable(event: EventPlan): EventPlan {
  const needsPage = CAME[event.came]!.query !== undefined || event.came === 'own page';
  return event.page === 'none' && needsPage ? { ...event, came: 'by itself' } : event;
}

function addressOf({ page, came }: EventPlan): string | null {
  const { url } = PAGES[page]!;
  const { query } = CAME[came]!;
  if (url === null || query === undefined) return url;
  const address = new URL(url);
  address.search += `${address.search === '' ? '' : '&'}${query}`;
  return address.href;
}

function fieldsOf(event: EventPlan, id: string | null): Record<string, unknown> {
  const { name, transaction, value, currency, basket } = event;
  const all = {
    name, id, url: addressOf(event), referrer: CAME[event.came]!.referrer, transaction_id: transaction, value, currency,
    items: basket === null ? null : BASKETS[basket]!.sent,
  };
  return Object.fromEntries(Object.entries(all).filter(([, said]) => said != null));
}

function originOf(came: string, agent: string | null, rest: Pick<Origin, 'country' | 'language'>): Origin {
  const nothing = { utm_source: null, utm_medium: null, utm_campaign: null, utm_content: null, utm_term: null };
  const device = agent === null ? { device: null, browser: null, os: null } : AGENTS[agent]!.label;
  return { ...nothing, ...CAME[came]!.label, ...device, ...rest };
}

/** By what an event is known again. A refused one is known by what of it was in order. */
function keyOf({ name, transaction }: EventPlan, id: string | null, flaw: Flaw | null): string | null {
  if (name === 'purchase' && transaction && flaw !== 'bad_name' && flaw !== 'bad_transaction_id') return `transaction ${transaction}`;
  return id === null || flaw === 'bad_id' ? null : `id ${id}`;
}

class SiteScenario {
  private readonly requests: Request[] = [];
  private readonly taken = new Map<string, number>();
  private readonly receipts = new Set<string>();
  private serverRequest: Request | undefined;
  private ids = 0;

  constructor(private readonly site: SiteFacts, private readonly plan: SitePlan, private readonly moment: number, private readonly until: number) {}

  /** The requests in the order in which they were received. */
  received(): Received[] {
    const placed = this.plan.streams.flatMap((stream) => this.play(stream));
    for (const { stream, step, sent } of placed) for (const copy of step.copies) this.copy(stream, step, sent, copy);
    return this.requests.flatMap((request) => this.receive(request)).sort((a, b) => a.at - b.at);
  }

  private play(stream: StreamPlan): { stream: StreamPlan; step: StepPlan; sent: Sent }[] {
    const placed: { stream: StreamPlan; step: StepPlan; sent: Sent }[] = [];
    let ts = this.moment + stream.start;
    let open: Request | undefined;
    for (const step of stream.steps) {
      ts += step.gap;
      if (ts > this.until) break;
      const way = wayOf(stream, step);
      const id = step.event.id ? `e${this.ids++}` : null;
      const sent = this.sentOf(stream, way, sayable(step.event), id, ts);
      open = this.put(stream, way, sent, isServer(way) ? this.serverRequest : open);
      if (isServer(way)) this.serverRequest = open;
      placed.push({ stream, step, sent });
      ts = Math.max(ts, sent.ts);
    }
    return placed;
  }

  /** Puts an event into the open request, where it can be there, or into one of its own. */
  private put(stream: StreamPlan, way: Way, sent: Sent, open: Request | undefined): Request {
    const joined = way.together && open !== undefined && fits(open, stream, way, sent);
    const isSameMoment = joined && open.sent.at(-1)!.who === sent.who && open.sent.at(-1)!.ts === sent.ts;
    const pulled = way.door === 'browser, begun an hour earlier' && !joined && sent.ts - hourStart(sent.ts) <= 30 * MINUTE
      && !this.taken.has(`${sent.who} ${hourStart(sent.ts)}`);
    if (pulled) sent.ts = hourStart(sent.ts);
    this.take(sent, isSameMoment);
    this.seal(way, sent);
    if (joined) {
      open.sent.push(sent);
      return open;
    }
    const request = { site: this.site.id, way, person: stream.person, pulled, sent: [sent] };
    this.requests.push(request);
    return request;
  }

  /** Events of one visitor never meet by chance: of those it is not defined which was first. */
  private take(sent: Sent, isSameMoment = false): void {
    const nameOf = () => `${sent.who} ${sent.ts}`;
    while (!isSameMoment && sent.who !== null && this.taken.has(nameOf())) sent.ts++;
    this.taken.set(nameOf(), (this.taken.get(nameOf()) ?? 0) + 1);
  }

  /** What follows from the event's time: how a server says it, and by what it knows an event without id. */
  private seal(way: Way, sent: Sent): void {
    if (!isServer(way)) return;
    if (way.door === 'server') sent.fields.time = sent.ts % 2 ? sent.ts : new Date(sent.ts).toISOString();
    sent.key ??= `content ${JSON.stringify(sent.fields)}`;
  }

  private sentOf(stream: StreamPlan, way: Way, event: EventPlan, id: string | null, ts: number): Sent {
    const { ip, agent, country = null, language, speaks = null } = PEOPLE[stream.person]!;
    const text = way.bot === 'agent' ? CRAWLER : agent === null ? null : AGENTS[agent]!.text;
    const { visitor } = stream;
    const fields = { ...fieldsOf(event, id), ...(typeof visitor === 'object' && { visitor: visitor.id }) };
    if (isServer(way)) Object.assign(fields, visitor !== 'nobody' && { ip }, text !== null && { user_agent: text }, country !== null && { country });
    if (way.flaw) Object.assign(fields, FLAWS[way.flaw]);
    const { value, currency, basket } = event;
    const fact = {
      name: event.name, visitor: typeof visitor === 'object' ? visitor.id : null, address: visitor === 'nobody' ? null : ip, userAgent: text, path: PAGES[event.page]!.path,
      says: originOf(event.came, agent, { country, language: isServer(way) || language === undefined ? null : speaks }),
      value, currency, items: basket === null ? [] : BASKETS[basket]!.items, bot: way.bot !== 'no', rejected: way.flaw,
    };
    const who = visitor === 'nobody' ? null : typeof visitor === 'object' ? visitor.id : `${ip} ${text}`;
    return { ts, who, fields, key: keyOf(event, id, way.flaw), fact };
  }

  private copy(original: StreamPlan, step: StepPlan, first: Sent, copy: CopyPlan): void {
    if (first.key === null) return;
    const stream: StreamPlan = copy.byNobody ? { ...original, visitor: 'nobody' } : original;
    const isContent = first.key.startsWith('content');
    // What says its own time is only at that time of equal content.
    const isBound = isContent && 'time' in first.fields;
    const door = isContent ? (isBound ? 'server' : 'server, without time') : copy.door === 'browser' ? 'browser' : 'server';
    const way = { ...wayOf(stream, { ...copy, door }), together: false };
    const ts = isBound ? first.ts : copy.minute === null ? first.ts + copy.hoursLater * HOUR : hourStart(first.ts) + copy.hoursLater * HOUR + copy.minute * MINUTE;
    if (ts > this.until + HOUR / 2) return;
    const sent = isContent ? { ...first, fields: { ...first.fields }, ts } : this.versionOf(stream, step, first, copy, way, ts);
    const isExact = ts === first.ts && (first.who === null || this.taken.get(`${first.who} ${ts}`) === 1);
    if (isBound && !isExact) return;
    if (!isExact) this.take(sent);
    this.seal(way, sent);
    this.requests.push({ site: this.site.id, way, person: stream.person, pulled: false, sent: [sent] });
  }

  private versionOf(stream: StreamPlan, step: StepPlan, first: Sent, { corrected }: CopyPlan, way: Way, ts: number): Sent {
    const said = { ...sayable(corrected ?? step.event), name: step.event.name };
    if (first.key!.startsWith('transaction')) return this.sentOf(stream, way, { ...said, transaction: step.event.transaction }, said.id ? `e${this.ids++}` : null, ts);
    const transaction = said.name === 'purchase' ? null : said.transaction;
    return this.sentOf(stream, way, { ...said, transaction }, first.fields.id as string, ts);
  }

  /** When the request was received: at a moment at which no other version of its events was. */
  private receive(request: Request): Received[] {
    const at = receiptsOf(request).find((ms) => request.sent.every(({ key }) => key === null || !this.receipts.has(`${ms} ${key}`)));
    if (at === undefined) return [];
    for (const { key } of request.sent) this.receipts.add(`${at} ${key}`);
    const contents = new Map<string, number>();
    const facts = request.sent.map(({ key, ts, fact }, place): Fact => {
      const nth = key === null ? 0 : contents.get(key) ?? 0;
      if (key !== null) contents.set(key, nth + 1);
      return { ...fact, site: request.site, key: key?.startsWith('content') ? `${key} ${nth}` : key, ts: fact.rejected === null ? ts : at, place };
    });
    return [{ ...request, at, facts }];
  }
}

/** The way as far as the door allows it: nobody has no browser, and the server door refuses while the caller waits. */
function wayOf({ visitor }: StreamPlan, way: Way): Way {
  const door = visitor === 'nobody' && !isServer(way) ? 'server' : way.door;
  if (door.startsWith('server')) return { ...way, door, flaw: null, bot: way.bot === 'no' ? 'no' : 'agent' };
  // Whether a refused event of a bot is a bot's or a refused one is not defined.
  return { ...way, door, bot: way.flaw === null ? way.bot : 'no' };
}

function fits(open: Request, stream: StreamPlan, way: Way, sent: Sent): boolean {
  const isContent = sent.key === null && isServer(way);
  if (!isContent && sent.key !== null && open.sent.some(({ key }) => key === sent.key)) return false;
  if (way.door === 'server') return open.way.door === 'server';
  const earliest = Math.min(...open.sent.map(({ ts }) => ts));
  return way.door === 'browser' && open.way.door === 'browser' && open.person === stream.person && open.way.bot === way.bot
    && hourStart(earliest) === hourStart(sent.ts) && sent.ts - earliest <= 30 * MINUTE;
}

/** The moments at which a request may be received, those that were wanted first. */
function* moments(wanted: number, low: number, high: number): Iterable<number> {
  const first = Math.min(Math.max(wanted, low), high);
  for (let ms = first; ms <= high && ms < first + 100; ms++) yield ms;
  for (let ms = first - 1; ms >= low && ms > first - 100; ms--) yield ms;
}

function receiptsOf({ way, sent, pulled }: Request): number[] {
  const times = sent.map(({ ts }) => ts);
  const [earliest, latest] = [Math.min(...times), Math.max(...times)];
  if (way.door === 'server, without time') return [latest];
  if (way.door === 'server') return [...moments(latest + way.late, latest - 10 * MINUTE, Infinity)];
  const high = Math.min(earliest + (pulled ? 20 : 30) * MINUTE, hourStart(earliest) + HOUR - 1);
  return [...moments(latest + way.late, latest, high)];
}

export interface Scenario { moment: number; sites: SiteFacts[]; received: Received[]; facts: Fact[] }

/** @param run makes the sites' ids, and the year: everything happens later than in the runs before */
export function scenarioOf(plan: Plan, run: number): Scenario {
  const moment = MOMENTS[plan.moment](2012 + run, plan.sites[0]!.zone);
  const sites = plan.sites.map(({ zone, currency }, i) => ({ id: `run${run}-${i}`, zone, currency }));
  const received = plan.sites.flatMap((site, i) => new SiteScenario(sites[i]!, site, moment, moment + plan.minutes * MINUTE).received());
  received.sort((a, b) => a.at - b.at);
  return { moment, sites, received, facts: received.flatMap(({ facts }) => facts) };
}

// ---- Through the pipeline

async function envelopesOf(pipeline: Pipeline, { site, way, person, pulled, sent, at }: Received, id: string): Promise<string[]> {
  const { ip, agent, country, language } = PEOPLE[person]!;
  if (isServer(way)) {
    const { envelopes, receipt } = packBatch((await readSite(pipeline.registry, site))!, JSON.stringify({ events: sent.map(({ fields }) => fields) }), { id, at });
    if (receipt.rejected.length > 0) throw new Error(JSON.stringify(receipt.rejected));
    return envelopes.map((envelope) => JSON.stringify(envelope));
  }
  const userAgent = way.bot === 'agent' ? CRAWLER : agent === null ? undefined : AGENTS[agent]!.text;
  const events = sent.map(({ ts, fields, fact }) => (fact.rejected === null ? { ...fields, age: at - ts + (pulled ? 9 * MINUTE : 0) } : fields));
  const facts = { id, at, ip, userAgent, language, country, purpose: way.bot === 'prefetch' ? 'prefetch' : undefined };
  return [JSON.stringify(beaconEnvelope(facts, JSON.stringify({ site, events })))];
}

/** Sends everything, delivers it in the plan's batches and order, and rolls up until nothing is left to do. */
export async function perform(pipeline: Pipeline, plan: Plan, { moment, sites, received }: Scenario, run: number): Promise<void> {
  pipeline.at(new Date(moment + 2 * DAY).toISOString());
  for (const { id, zone, currency } of sites) await writeSite(pipeline.registry, checkSite(id, { name: id, timezone: zone, currency }, undefined, '2012-01-01T00:00:00Z'));
  const batches: { place: number; envelopes: string[] }[][] = Array.from({ length: plan.batches }, () => []);
  for (const [i, request] of received.entries()) {
    const { delivery, twice } = request.way;
    const envelopes = await envelopesOf(pipeline, request, `run${run}-${i}`);
    const batch = Math.floor(delivery / 3) % plan.batches;
    batches[batch]!.push({ place: delivery % 3, envelopes });
    if (twice) batches[(batch + 1) % plan.batches]!.push({ place: 0, envelopes });
  }
  for (const [i, batch] of batches.entries()) {
    const envelopes = batch.sort((a, b) => a.place - b.place).flatMap((one) => one.envelopes);
    if (envelopes.length > 0) await pipeline.log.put(envelopes);
    await pipeline.deliver();
    if (plan.rollups[i] && i < plan.batches - 1) await pipeline.rollup();
  }
  if (plan.again) await pipeline.tasks.announce([new Date(moment).toISOString().slice(0, 13)]);
  for (let i = 0; i < 5 && (i === 0 || pipeline.tasks.all().length > 0); i++) await pipeline.rollup();
  if (pipeline.tasks.all().length > 0) throw new Error(`tasks are left: ${pipeline.reports.join('\n')}`);
}

// ---- Compared with the oracle

/** Where two answers differ first, said in words. A value of zeros and nulls only is as good as one that is absent. */
function difference(where: string, metrics: readonly MetricName[], expected: Record<string, Numbers>, actual: Record<string, Numbers>): string | undefined {
  for (const value of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
    for (const metric of metrics) {
      const [wanted, got] = [expected[value]?.[metric], actual[value]?.[metric]];
      const isAbsent = !(value in expected && value in actual) && !wanted && !got;
      if (wanted !== got && !isAbsent) return `${where} ${JSON.stringify(value)}: ${metric} is ${got}, expected ${wanted}`;
    }
  }
  return undefined;
}

async function differenceOfSite(pipeline: Pipeline, site: SiteFacts, facts: readonly Fact[], days: readonly string[]): Promise<string | undefined> {
  const expected = count(facts, site);
  const [from, to] = [days[0]!, days.at(-1)!];
  const metrics = SITE_METRICS.join();
  const asked = (dimension: (typeof DIMENSION_NAMES)[number]) => ({ dimension, metrics: metricsOf(dimension).join(), limit: '100' });
  const range = { from, to };
  const at = `${site.id} (${site.zone})`;
  const total = { total: await pipeline.stats(site.id, { ...range, metrics }) };
  const found = difference(`${at}, ${from} to ${to},`, SITE_METRICS, { total: expected.totals(from, to) }, total)
    ?? difference(`${at}, day`, SITE_METRICS, expected.byDay(), await pipeline.timeseries(site.id, { ...range, metrics, interval: 'day' }))
    ?? difference(`${at}, hour`, SITE_METRICS, expected.byHour(), await pipeline.timeseries(site.id, { ...range, metrics, interval: 'hour' }));
  if (found) return found;
  for (const [first, last] of [[from, to] as const, ...days.map((day) => [day, day] as const)]) {
    for (const dimension of DIMENSION_NAMES) {
      const actual = await pipeline.breakdown(site.id, { from: first, to: last, ...asked(dimension) });
      const found = difference(`${at}, ${first} to ${last}, ${dimension}`, metricsOf(dimension), expected.breakdown(dimension, first, last), actual);
      if (found) return found;
    }
  }
  return undefined;
}

/** The first difference between the pipeline and what the oracle makes of the facts. */
export async function firstDifference(pipeline: Pipeline, { sites, moment }: Scenario, facts: readonly Fact[]): Promise<string | undefined> {
  for (const site of sites) {
    const times = [moment, ...facts.filter((fact) => fact.site === site.id).map(({ ts }) => ts)];
    const days = [...new Set(times.map((ts) => localDay(site.zone, ts)))].sort();
    const found = await differenceOfSite(pipeline, site, facts, days);
    if (found) return found;
  }
  return undefined;
}

function story(facts: readonly Fact[]): string {
  return facts.map(({ ts, says, items, ...rest }) => `${new Date(ts).toISOString()} ${JSON.stringify({ ...rest, from: says.source, items: items.length })}`).join('\n');
}

/** Performs a plan; resolves to the first difference, and the story of its site. */
export async function differenceOf(pipeline: Pipeline, plan: Plan, run: number): Promise<string | undefined> {
  const scenario = scenarioOf(plan, run);
  await perform(pipeline, plan, scenario, run);
  const found = await firstDifference(pipeline, scenario, scenario.facts);
  return found && `${found}\n${story(scenario.facts.filter(({ site }) => found.startsWith(`${site} `)))}\n`;
}

const RUNS = process.env.CI ? 100 : 20;
const SEED = Number(process.env.ORACLE_SEED ?? 20261121);

/** The property itself. @param half each has a seed of its own @param nextRun makes the runs' sites and years different */
export async function whateverHappens(t: TestContext, pipeline: Pipeline, half: 0 | 1, nextRun: () => number): Promise<void> {
  t.diagnostic(`ORACLE_SEED=${SEED}, ${RUNS} runs of half ${half}`);
  const property = fc.asyncProperty(plans, async (plan) => {
    const found = await differenceOf(pipeline, plan, nextRun());
    if (found) throw new Error(found);
  });
  // Shrinking ends before the test runner's limit does, so that what was found so far is told.
  await fc.assert(property, { numRuns: RUNS, seed: SEED + half, interruptAfterTimeLimit: 240_000, markInterruptAsFailure: true });
}
