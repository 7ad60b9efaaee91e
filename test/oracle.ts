// A second opinion on every number: docs/metrics.md once more, in the most naive way. All events of a site lie in
// memory, and each is looked at alone, with everything its visitor did before. It imports nothing of the project, not
// even a constant: where it agrees with the pipeline, two independent readings of the definitions agree.

/** An event, as it was received. */
export interface Fact {
  site: string;
  /** Events of the same key are the same event, sent again; null: an event that is never the same as another. */
  key: string | null;
  /** Epoch ms. */
  ts: number;
  /** Place among the events that were sent with it. */
  place: number;
  name: string;
  /** The id a page or a server gave, else who it was by address and browser, else nobody. */
  visitor: string | null;
  address: string | null;
  userAgent: string | null;
  path: string | null;
  /** What it says of where its visit came from. */
  says: Origin;
  value: number | null;
  currency: string | null;
  items: readonly FactItem[];
  bot: boolean;
  /** Why it was refused. */
  rejected: string | null;
}

export interface FactItem { id: string; quantity: number; price: number }

export const ORIGINS = [
  'source', 'channel', 'referrer', 'utm_source', 'utm_medium', 'utm_campaign', 'utm_content', 'utm_term',
  'country', 'device', 'browser', 'os', 'language',
] as const;
/** Null: not known. */
export type Origin = Record<(typeof ORIGINS)[number], string | null>;

export interface SiteFacts { id: string; zone: string; currency: string }

// What every event may add to its day, and to a value of a dimension.
const NO_SUMS = {
  events: 0, pageviews: 0, visits: 0, engaged_visits: 0, visit_ms: 0,
  view_items: 0, add_to_carts: 0, checkouts: 0, purchases: 0, refunds: 0, revenue_micros: 0,
  items: 0, exits: 0, bots: 0, rejected: 0,
};
type Sums = typeof NO_SUMS;

/** Something that counts at a moment: for the site as a whole (dimension '') or for a value of a dimension. */
interface Entry { ts: number; dimension: string; value: string; sums: Partial<Sums> }

export type Numbers = Record<string, number | null>;

const HOUR_MS = 3_600_000;
const PAUSE_MS = 30 * 60_000;

// ---- Local time

const formats = new Map<string, Intl.DateTimeFormat>();

function localParts(zone: string, ts: number): Record<string, string> {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', timeZoneName: 'longOffset',
    });
    formats.set(zone, format);
  }
  return Object.fromEntries(format.formatToParts(ts).map(({ type, value }) => [type, value]));
}

export function localDay(zone: string, ts: number): string {
  const { year, month, day } = localParts(zone, ts);
  return `${year}-${month}-${day}`;
}

/** Such as `2026-11-20T10:00:00+05:30`. */
export function localHour(zone: string, ts: number): string {
  const { hour, timeZoneName } = localParts(zone, ts);
  return `${localDay(zone, ts)}T${hour}:00:00${timeZoneName!.slice('GMT'.length) || '+00:00'}`;
}

// ---- "Which events count"

const hourOf = (fact: Fact) => Math.floor(fact.ts / HOUR_MS);

class Standing {
  /** Of each key and hour, the copy received last. */
  private readonly last = new Map<string, Fact>();

  constructor(facts: readonly Fact[]) {
    for (const fact of facts) if (fact.key !== null) this.last.set(`${hourOf(fact)} ${fact.key}`, fact);
  }

  private lastOf(key: string, hour: number): Fact | undefined {
    return this.last.get(`${hour} ${key}`);
  }

  /** Whether no later copy took its place within its hour. */
  isLast(fact: Fact): boolean {
    return fact.key === null || this.lastOf(fact.key, hourOf(fact)) === fact;
  }

  /** Whether the hour before has a copy of it; a refused one does not stand in its way. */
  isTaken(fact: Fact): boolean {
    const before = fact.key === null ? undefined : this.lastOf(fact.key, hourOf(fact) - 1);
    return before !== undefined && before.rejected === null;
  }

  counts(fact: Fact): boolean {
    return this.isLast(fact) && !this.isTaken(fact);
  }
}

// ---- "Visitors and visits"

/** Without an id, who it is changes with the local day. */
function visitorOf(fact: Fact, zone: string): string | null {
  if (fact.visitor !== null) return `id ${fact.visitor}`;
  if (fact.address === null) return null;
  return `address ${fact.address}, ${fact.userAgent}, on ${localDay(zone, fact.ts)}`;
}

const inOrder = (a: Fact, b: Fact) => a.ts - b.ts || a.place - b.place;

/**
 * The visit of an event up to and including it, by what its visitor did as seen from the event's hour: the events that
 * count, and of the hour before also the copies that do not count because the hour before that has them
 * ("Copies, an hour later").
 */
function visitUpTo(event: Fact, ofVisitor: readonly Fact[], standing: Standing): Fact[] {
  const seen = ofVisitor
    .filter((fact) => standing.counts(fact) || (hourOf(fact) === hourOf(event) - 1 && standing.isLast(fact)))
    .sort(inOrder);
  const end = seen.indexOf(event);
  let begin = end;
  while (begin > 0 && seen[begin]!.ts - seen[begin - 1]!.ts <= PAUSE_MS) begin--;
  return seen.slice(begin, end + 1);
}

/** The event whose source, channel, … an event of the visit counts for ("Long visits"). */
function broughtBy(visit: readonly Fact[]): Fact {
  const event = visit.at(-1)!;
  return visit.find((fact) => hourOf(fact) >= hourOf(event) - 1)!;
}

// ---- "Metrics" and "Dimensions": what each event adds

const NAMED: Record<string, keyof Sums> = {
  page_view: 'pageviews', view_item: 'view_items', add_to_cart: 'add_to_carts', begin_checkout: 'checkouts', purchase: 'purchases', refund: 'refunds',
};

const known = (value: string | null) => value ?? '(not set)';
const micros = (amount: number) => Math.round(amount * 1_000_000);

/** An amount as revenue: of a purchase as it stands, of a refund taken off whatever its sign, of anything else none. */
function earned({ name }: Fact, amountMicros: number): number {
  if (name === 'purchase') return amountMicros;
  return name === 'refund' ? 0 - Math.abs(amountMicros) : 0;
}

const isOwnCurrency = ({ currency }: Fact, site: SiteFacts) => currency === null || currency === site.currency;

function ownSums(event: Fact, site: SiteFacts): Partial<Sums> {
  const sums: Partial<Sums> = { events: 1 };
  const named = NAMED[event.name];
  if (named) sums[named] = 1;
  if (event.value !== null && isOwnCurrency(event, site)) sums.revenue_micros = earned(event, micros(event.value));
  return sums;
}

function visitSums(visit: readonly Fact[]): Partial<Sums> {
  return {
    visits: visit.length === 1 ? 1 : 0,
    engaged_visits: visit.length === 2 ? 1 : 0,
    visit_ms: visit.length === 1 ? 0 : visit.at(-1)!.ts - visit.at(-2)!.ts,
  };
}

function* pageEntries(visit: readonly Fact[]): Iterable<Entry> {
  const event = visit.at(-1)!;
  const { ts } = event;
  const isFirstView = visit.filter(({ name }) => name === 'page_view').length === 1 && event.name === 'page_view';
  if (isFirstView && ts - visit[0]!.ts <= PAUSE_MS) yield { ts, dimension: 'entry_page', value: known(event.path), sums: { visits: 1 } };
  // The visit has ended here for now, and no longer at the event before.
  yield { ts, dimension: 'exit_page', value: known(event.path), sums: { exits: 1 } };
  const before = visit.at(-2);
  if (before) yield { ts: before.ts, dimension: 'exit_page', value: known(before.path), sums: { exits: -1 } };
}

function* productEntries(event: Fact, site: SiteFacts): Iterable<Entry> {
  for (const product of new Set(event.items.map(({ id }) => id))) {
    const lines = event.items.filter(({ id }) => id === product);
    const sums: Partial<Sums> = { items: lines.reduce((pieces, { quantity }) => pieces + quantity, 0) };
    const named = NAMED[event.name];
    if (named && named !== 'pageviews') sums[named] = 1;
    const amount = lines.reduce((sum, { price, quantity }) => sum + micros(price) * quantity, 0);
    if (isOwnCurrency(event, site)) sums.revenue_micros = earned(event, amount);
    yield { ts: event.ts, dimension: 'product', value: product, sums };
  }
}

function* entriesOf(event: Fact, visit: readonly Fact[] | undefined, site: SiteFacts): Iterable<Entry> {
  const { ts } = event;
  const sums = { ...ownSums(event, site), ...(visit && visitSums(visit)) };
  yield { ts, dimension: '', value: '', sums };
  const { says } = visit ? broughtBy(visit) : event;
  for (const dimension of ORIGINS) yield { ts, dimension, value: known(says[dimension]), sums };
  if (visit) yield* pageEntries(visit);
  yield { ts, dimension: 'page', value: known(event.path), sums: { events: 1, pageviews: event.name === 'page_view' ? 1 : 0 } };
  yield { ts, dimension: 'event', value: event.name, sums: { events: 1 } };
  yield* productEntries(event, site);
  if (event.value !== null && (event.name === 'purchase' || event.name === 'refund')) {
    const inCurrency = { [NAMED[event.name]!]: 1, revenue_micros: earned(event, micros(event.value)) };
    yield { ts, dimension: 'currency', value: event.currency ?? site.currency, sums: inCurrency };
  }
}

// ---- Adding up

const quotient = (a: number, b: number) => (b === 0 ? null : Math.round((a / b) * 10_000) / 10_000);

/** The metrics of sums; rates with four decimals. */
function numbersOf(sums: Sums, visitors: number): Numbers {
  const { visit_ms, revenue_micros, ...counts } = sums;
  const bounces = sums.visits - sums.engaged_visits;
  const revenue = revenue_micros / 1_000_000;
  const visit_seconds = visit_ms / 1000;
  return {
    ...counts, visitors, bounces, revenue, visit_seconds,
    views_per_visit: quotient(sums.pageviews, sums.visits),
    bounce_rate: quotient(bounces, sums.visits),
    visit_duration: quotient(visit_seconds, sums.visits),
    average_order_value: quotient(revenue, sums.purchases),
    conversion_rate: quotient(sums.purchases, sums.visits),
  };
}

function addUp(entries: Iterable<Entry>): Sums {
  const total = { ...NO_SUMS };
  for (const { sums } of entries) for (const [name, more] of Object.entries(sums)) total[name as keyof Sums] += more;
  return total;
}

function byName<T>(list: readonly T[], nameOf: (one: T) => string): Record<string, T[]> {
  const groups: Record<string, T[]> = {};
  for (const one of list) (groups[nameOf(one)] ??= []).push(one);
  return groups;
}

const mapped = <T, R>(record: Record<string, T>, to: (one: T) => R) => Object.fromEntries(Object.entries(record).map(([name, one]) => [name, to(one)]));

/** Everything about one site. `facts`: all events, of any site, in the order in which they were received. */
export function count(facts: readonly Fact[], site: SiteFacts) {
  const received = facts.filter((fact) => fact.site === site.id);
  const standing = new Standing(received);
  const isOfPeople = (fact: Fact) => !fact.bot && fact.rejected === null;
  const people = byName(received.filter(isOfPeople), (fact) => visitorOf(fact, site.zone) ?? 'nobody');
  const entries: Entry[] = [];
  const sightings: { ts: number; visitor: string }[] = [];
  for (const fact of received) {
    if (!standing.counts(fact)) continue;
    const { ts } = fact;
    if (fact.rejected !== null) {
      entries.push({ ts, dimension: '', value: '', sums: { rejected: 1 } }, { ts, dimension: 'rejection', value: fact.rejected, sums: { rejected: 1 } });
    } else if (fact.bot) {
      entries.push({ ts, dimension: '', value: '', sums: { bots: 1 } });
    } else {
      const visitor = visitorOf(fact, site.zone);
      if (visitor !== null) sightings.push({ ts, visitor });
      entries.push(...entriesOf(fact, visitor === null ? undefined : visitUpTo(fact, people[visitor]!, standing), site));
    }
  }
  const dayOf = ({ ts }: { ts: number }) => localDay(site.zone, ts);
  const within = <T extends { ts: number }>(list: readonly T[], from: string, to: string) => list.filter((one) => from <= dayOf(one) && dayOf(one) <= to);
  const whole = entries.filter(({ dimension }) => dimension === '');
  const visitorsOf = (list: readonly { visitor: string }[] = []) => new Set(list.map(({ visitor }) => visitor)).size;

  function by(nameOf: (one: { ts: number }) => string): Record<string, Numbers> {
    const seen = byName(sightings, nameOf);
    return Object.fromEntries(Object.entries(byName(whole, nameOf)).map(([name, those]) => [name, numbersOf(addUp(those), visitorsOf(seen[name]))]));
  }

  return {
    /** Totals of local days, both included. */
    totals: (from: string, to: string): Numbers => numbersOf(addUp(within(whole, from, to)), visitorsOf(within(sightings, from, to))),
    /** Days and hours where nothing happened are left out. */
    byDay: () => by(dayOf),
    byHour: () => by(({ ts }) => localHour(site.zone, ts)),
    /** Numbers by value of a dimension; its visitors are not known. */
    breakdown: (dimension: string, from: string, to: string): Record<string, Numbers> => {
      const those = within(entries, from, to).filter((entry) => entry.dimension === dimension);
      return mapped(byName(those, ({ value }) => value), (list) => numbersOf(addUp(list), 0));
    },
  };
}
