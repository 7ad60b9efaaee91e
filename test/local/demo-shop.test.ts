import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkEvent, Refused } from '../../core/event.ts';
import { demoHistory, demoVisit, randomFrom, type DemoEvent, type TimedEvent } from '../../local/demo-shop.ts';

const NOW = Date.UTC(2026, 10, 20, 12);
const DAY_MS = 86_400_000;

const random = randomFrom(7);
const visits: TimedEvent[][] = Array.from({ length: 3000 }, () => demoVisit(random, NOW));
const namesOf = (visit: TimedEvent[]) => visit.map(({ event }) => event.name);
const all = visits.flat();

test('The same seed gives the same events, another seed others', () => {
  const visitsOf = (seed: number) => {
    const numbers = randomFrom(seed);
    return Array.from({ length: 20 }, () => demoVisit(numbers, NOW));
  };
  assert.deepEqual(visitsOf(1), visitsOf(1));
  assert.notDeepEqual(visitsOf(1), visitsOf(2));
});

test('Random numbers are from 0 to below 1 and spread evenly', () => {
  const numbers = randomFrom(42);
  const tenths = new Array<number>(10).fill(0);
  for (let n = 0; n < 100_000; n++) {
    const number = numbers();
    assert.ok(number >= 0 && number < 1);
    tenths[Math.floor(number * 10)]! += 1;
  }
  for (const count of tenths) assert.ok(Math.abs(count - 10_000) < 500, String(count));
});

test('A visit begins with a page view at its moment, goes forward in time, and is by one person', () => {
  for (const visit of visits) {
    assert.equal(visit[0]?.at, NOW);
    assert.equal(visit[0].event.name, 'page_view');
    assert.equal(new Set(visit.map(({ by }) => by)).size, 1);
    for (const [n, { at }] of visit.entries()) {
      const gap = at - (visit[n - 1]?.at ?? at - 1);
      assert.ok(gap > 0 && gap < 30 * 60_000, `a gap of ${gap} ms would end the visit`);
    }
  }
});

test('Each step of buying follows the one before it: a product seen, put into the cart, checkout, purchase, refund', () => {
  const before = { add_to_cart: 'view_item', begin_checkout: 'add_to_cart', purchase: 'begin_checkout', refund: 'purchase' } as const;
  for (const names of visits.map(namesOf)) {
    for (const [name, earlier] of Object.entries(before)) {
      const at = names.indexOf(name as DemoEvent['name']);
      if (at !== -1) assert.ok(names.slice(0, at).includes(earlier), `${name} without ${earlier}: ${names.join(', ')}`);
    }
  }
});

test('Visits lead to every kind of event, in shares a shop could have', () => {
  const share = (name: DemoEvent['name']) => visits.filter((visit) => namesOf(visit).includes(name)).length / visits.length;
  assert.ok(share('view_item') > 0.3 && share('view_item') < 0.9);
  assert.ok(share('purchase') > 0.02 && share('purchase') < 0.2, String(share('purchase')));
  assert.ok(share('refund') > 0 && share('refund') < share('purchase') / 5);
});

test('A purchase carries what its cart adds up to, and an own transaction id that only its refund shares', () => {
  const purchases = all.filter(({ event }) => event.name === 'purchase');
  for (const { event: { value, currency, items } } of purchases) {
    const sum = items!.reduce((total, { quantity, price }) => total + quantity * price, 0);
    assert.ok(items!.length > 0 && Math.abs(value! - sum) < 0.005);
    assert.equal(currency, 'EUR');
  }
  const ids = purchases.map(({ event }) => event.transaction_id);
  assert.equal(new Set(ids).size, ids.length);
  for (const { event } of all) if (event.name === 'refund') assert.ok(ids.includes(event.transaction_id));
});

test('Both doors accept every event', () => {
  for (const { at, by, event } of all) {
    const { visitor, userAgent: user_agent, country, ip } = by;
    assert.ok(!(checkEvent({ ...event, visitor }, 'beacon', at) instanceof Refused));
    const checked = checkEvent({ ...event, visitor, user_agent, country, ip, time: at }, 'api', at);
    assert.ok(!(checked instanceof Refused), checked instanceof Refused ? checked.message : '');
  }
});

test('A person who comes again has the same device, country and address; bots come too, without an id', () => {
  const seen = new Map<string, TimedEvent['by']>();
  let again = 0;
  for (const [{ by } = visits[0]![0]!] of visits) {
    if (by.visitor === undefined) continue;
    again += seen.has(by.visitor) ? 1 : 0;
    assert.deepEqual(by, seen.get(by.visitor) ?? by);
    assert.match(by.ip, /^198\.1[89]\.\d{1,3}\.\d{1,3}$/);
    seen.set(by.visitor, by);
  }
  assert.ok(again > 0);
  assert.ok(visits.some(([first]) => first?.by.visitor === undefined && first?.by.userAgent.includes('Bot')));
});

test('History fills its days with about 150 visits each, more in the evening than at night, and ends before now', () => {
  const history = demoHistory(randomFrom(3), NOW, 7, (ms) => new Date(ms).getUTCHours());
  assert.ok(history.every(({ at }, n) => at < NOW && at >= (history[n - 1]?.at ?? NOW - 7 * DAY_MS)));
  const landings = history.filter(({ event }) => event.name === 'page_view' && !event.referrer?.startsWith('https://demo-shop.example'));
  assert.ok(landings.length > 7 * 120 && landings.length < 7 * 220, String(landings.length));
  const between = (from: number, to: number) => history.filter(({ at }) => new Date(at).getUTCHours() >= from && new Date(at).getUTCHours() < to).length;
  assert.ok(between(19, 22) > 5 * between(2, 5));
});
