// The oracle against numbers counted by hand, and the pipeline against the oracle: whatever happens, both say the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, type Fact, type Numbers, type Origin, type SiteFacts } from './oracle.ts';
import { openPipeline } from './pipeline.ts';
import {
  BASKETS, CAME, FLAWS, PAGES, PEOPLE, differenceOf, firstDifference, perform, scenarioOf, whateverHappens, type EventPlan, type Plan, type StepPlan,
  type StreamPlan,
} from './scenario.ts';

// ---- Plans by hand

const VIEW: EventPlan = { name: 'page_view', came: 'by itself', page: 'home', id: false, transaction: null, value: null, currency: null, basket: null };
const STEP: StepPlan = {
  gap: 60_000, event: VIEW, copies: [], door: 'browser', together: false, late: 0, delivery: 0, twice: false, bot: 'no', flaw: null,
};

function planOf(streams: Partial<StreamPlan>[]): Plan {
  const whole = streams.map((stream): StreamPlan => ({ visitor: 'address', person: 'ann', start: 0, steps: [STEP], ...stream }));
  return { moment: 'ordinary', minutes: 100, sites: [{ zone: 'Asia/Kolkata', currency: 'EUR', streams: whole }], batches: 1, rollups: [], again: false };
}

/** Every word of the vocabulary once, each by a visitor of its own. */
function vocabulary(): Plan {
  const one = (id: string, step: Partial<StepPlan>, person = 'ann') => ({ visitor: { id }, person, steps: [{ ...STEP, ...step }] });
  return planOf([
    ...Object.keys(CAME).map((came) => one(`came ${came}`, { event: { ...VIEW, came } })),
    ...Object.keys(CAME).map((came) => one(`basket ${came}`, { event: { ...VIEW, came, page: 'basket' } })),
    ...Object.keys(PEOPLE).flatMap((person) => (['browser', 'server'] as const).map((door) => one(`${door} ${person}`, { door }, person))),
    ...Object.keys(PAGES).map((page) => one(`page ${page}`, { event: { ...VIEW, page } })),
    ...Object.keys(BASKETS).map((basket) => one(`basket ${basket}`, { event: { ...VIEW, name: 'purchase', value: 1, basket } })),
    ...Object.keys(FLAWS).map((flaw) => one(`flaw ${flaw}`, { flaw: flaw as keyof typeof FLAWS })),
    ...(['agent', 'prefetch'] as const).map((bot) => one(`bot ${bot}`, { bot })),
  ]);
}

test('The pipeline and the oracle agree', async (t) => {
  const pipeline = await openPipeline(t, '2012-01-01T00:00:00Z');
  let runs = 0;

  await t.test('on what every word of the vocabulary is called', async () => {
    assert.equal(await differenceOf(pipeline, vocabulary(), runs++), undefined);
  });

  await t.test('on a beacon of more than a hundred events: those beyond are refused', async () => {
    const [run, plan] = [runs++, planOf([])];
    const scenario = scenarioOf(plan, run);
    await perform(pipeline, plan, scenario, run);
    const [site] = scenario.sites;
    pipeline.at('2013-01-01T12:00:00Z');
    await pipeline.send(site!.id, Array.from({ length: 103 }, () => ({ name: 'sign_up', visitor: 'ann' })));
    await pipeline.deliver();
    await pipeline.rollup();
    assert.deepEqual(await pipeline.stats(site!.id, { from: '2013-01-01', to: '2013-01-01', metrics: 'events,rejected' }), { events: 100, rejected: 3 });
  });

  await t.test('and a single event that one of them does not know of is noticed, whichever it is', async () => {
    const purchase = { ...VIEW, name: 'purchase', transaction: 't1', value: 10, basket: 'one' };
    const plan = planOf([
      { visitor: { id: 'i' }, start: -600_000, steps: [STEP, { ...STEP, event: purchase }, { ...STEP, gap: 1_800_001 }] },
      { person: 'bob', steps: [{ ...STEP, bot: 'agent' }, { ...STEP, flaw: 'bad_url' }] },
      { visitor: 'nobody', steps: [{ ...STEP, event: { ...VIEW, name: 'sign_up' } }] },
    ]);
    const run = runs++;
    const scenario = scenarioOf(plan, run);
    await perform(pipeline, plan, scenario, run);
    assert.equal(await firstDifference(pipeline, scenario, scenario.facts), undefined);
    assert.equal(scenario.facts.length, 6);
    for (const missed of scenario.facts) {
      const difference = await firstDifference(pipeline, scenario, scenario.facts.filter((fact) => fact !== missed));
      assert.match(difference ?? 'no difference', /^run\d+-0 \(Asia\/Kolkata\), .* is .*, expected /);
    }
  });

  await t.test('on whatever happens', (t) => whateverHappens(t, pipeline, 0, () => runs++));
});

// ---- The oracle itself, against numbers counted by hand

const SITE: SiteFacts = { id: 'shop', zone: 'UTC', currency: 'EUR' };
const NOWHERE: Origin = {
  source: '(direct)', channel: null, referrer: null, utm_source: null, utm_medium: null, utm_campaign: null, utm_content: null, utm_term: null,
  country: null, device: null, browser: null, os: null, language: null,
};

/** An event of ann at a time of 2026-03-10 (or a whole time). */
function at(time: string, more: Partial<Fact> & { source?: string } = {}): Fact {
  const { source = '(direct)', ...rest } = more;
  return {
    site: 'shop', key: null, ts: Date.parse(time.includes('T') ? time : `2026-03-10T${time}Z`), place: 0, name: 'page_view', visitor: 'ann', address: null,
    userAgent: null, path: '/', says: { ...NOWHERE, source }, value: null, currency: null, items: [], bot: false, rejected: null, ...rest,
  };
}

const DAYS = ['2026-03-01', '2026-03-31'] as const;

/** The named numbers of each record. */
function only(records: Record<string, Numbers>, ...names: string[]): Record<string, (number | null | undefined)[]> {
  return Object.fromEntries(Object.entries(records).map(([value, numbers]) => [value, names.map((name) => numbers[name])]));
}

test('The oracle: exactly thirty minutes continue a visit, a millisecond more begins another', () => {
  const { byHour, totals } = count([at('08:50:00.000'), at('09:20:00.000'), at('09:50:00.001'), at('08:50', { visitor: 'bob' })], SITE);
  assert.deepEqual(only(byHour(), 'visitors', 'visits', 'engaged_visits', 'bounces', 'visit_seconds', 'events'), {
    '2026-03-10T08:00:00+00:00': [2, 2, 0, 2, 0, 2],
    '2026-03-10T09:00:00+00:00': [1, 1, 1, 0, 1800, 2],
  });
  const { visitors, visits, bounce_rate, visit_duration, views_per_visit, conversion_rate, average_order_value } = totals(...DAYS);
  assert.deepEqual([visitors, visits, bounce_rate, visit_duration, views_per_visit, conversion_rate, average_order_value], [2, 3, 0.6667, 600, 1.3333, 0, null]);
});

test('The oracle: of copies in one hour the last counts, whatever it is; in the next hour none, but after a refused one', () => {
  const sold = (time: string, key: string, more: Partial<Fact> = {}) => at(time, { name: 'purchase', key, value: 10, ...more });
  const numbersOf = (...facts: Fact[]) => {
    const { purchases, revenue, rejected, bots } = count(facts, SITE).totals(...DAYS);
    return [purchases, revenue, rejected, bots];
  };
  assert.deepEqual(numbersOf(sold('09:10', 'a'), sold('09:05', 'a', { value: 7 })), [1, 7, 0, 0]);
  assert.deepEqual(numbersOf(sold('09:10', 'a'), sold('09:20', 'a', { rejected: 'bad_url' })), [0, 0, 1, 0]);
  assert.deepEqual(numbersOf(sold('09:10', 'a'), sold('09:20', 'a', { bot: true })), [0, 0, 0, 1]);
  assert.deepEqual(numbersOf(sold('10:10', 'a', { value: 7 }), sold('09:10', 'a')), [1, 10, 0, 0]);
  assert.deepEqual(numbersOf(sold('09:10', 'a'), sold('10:10', 'a', { rejected: 'bad_url' })), [1, 10, 0, 0]);
  assert.deepEqual(numbersOf(sold('09:10', 'a', { rejected: 'bad_url' }), sold('10:10', 'a')), [1, 10, 1, 0]);
  assert.deepEqual(numbersOf(sold('09:10', 'a'), sold('11:10', 'a')), [2, 20, 0, 0]);
  assert.deepEqual(numbersOf(sold('09:10', 'a'), sold('09:10', 'b'), { ...sold('09:10', 'a'), site: 'other' }), [2, 20, 0, 0]);
});

test('The oracle: a visit counts for its first event, a long one for its first event of the hour before', () => {
  const times = ['09:50', '10:15', '10:40', '11:05'];
  const { breakdown } = count(times.map((time, i) => at(time, { source: `s${i}`, path: `/${i}` })), SITE);
  assert.deepEqual(only(breakdown('source', ...DAYS), 'visits', 'events', 'engaged_visits', 'visit_seconds'), { s0: [1, 3, 1, 3000], s1: [0, 1, 0, 1500] });
  assert.deepEqual(only(breakdown('entry_page', ...DAYS), 'visits'), { '/0': [1] });
  assert.deepEqual(only(breakdown('exit_page', ...DAYS), 'exits'), { '/0': [0], '/1': [0], '/2': [0], '/3': [1] });
});

test('The oracle: an entry page has thirty minutes, and a midnight parts bounces and exits by day', () => {
  const other = (time: string) => at(time, { name: 'sign_up' });
  const entries = (...facts: Fact[]) => only(count(facts, SITE).breakdown('entry_page', ...DAYS), 'visits');
  assert.deepEqual(entries(other('09:00:00'), at('09:30:00.000', { path: '/in' })), { '/in': [1] });
  assert.deepEqual(entries(other('09:00'), other('09:20'), at('09:30:00.001', { path: '/late' })), {});
  const night = count([at('23:59'), at('2026-03-11T00:01:00Z', { path: '/b' })], SITE);
  assert.deepEqual(only(night.byDay(), 'visits', 'bounces', 'visit_seconds', 'visitors'), { '2026-03-10': [1, 1, 0, 1], '2026-03-11': [0, -1, 120, 1] });
  assert.deepEqual([night.totals(...DAYS).bounces, night.totals(...DAYS).visitors], [0, 1]);
  assert.deepEqual(only(night.breakdown('exit_page', '2026-03-10', '2026-03-10'), 'exits'), { '/': [0] });
});

test('The oracle: a copy that does not count may continue a visit an hour later', () => {
  const view = at('09:50', { key: 'a', source: 'first' });
  const facts = [view, { ...view, ts: at('10:40').ts, says: { ...NOWHERE, source: 'copy' } }, at('11:05')];
  assert.deepEqual(only(count(facts, SITE).byHour(), 'visits', 'events', 'engaged_visits', 'visit_seconds'), {
    '2026-03-10T09:00:00+00:00': [1, 1, 0, 0],
    '2026-03-10T11:00:00+00:00': [0, 1, 1, 1500],
  });
  assert.deepEqual(only(count(facts, SITE).breakdown('source', ...DAYS), 'events'), { first: [1], copy: [1] });
});

test('The oracle: visitors without id are others after the local midnight, and nobody is no visitor', () => {
  const home = { visitor: null, address: '192.0.2.1', userAgent: 'x' };
  const facts = [at('18:25', home), at('18:35', home), at('18:36', { ...home, userAgent: 'y' }), at('18:37', { ...home, address: null })];
  const india = count(facts, { ...SITE, zone: 'Asia/Kolkata' });
  assert.deepEqual(only(india.byDay(), 'visitors', 'visits', 'events'), { '2026-03-10': [1, 1, 1], '2026-03-11': [2, 2, 3] });
  assert.equal(india.totals(...DAYS).visitors, 3);
  assert.deepEqual(only(india.byHour(), 'events'), { '2026-03-10T23:00:00+05:30': [1], '2026-03-11T00:00:00+05:30': [3] });
  assert.equal(count(facts, SITE).totals(...DAYS).visitors, 2);
});

test('The oracle: hours of a day with twenty-five hours have the offset they had', () => {
  const facts = ['00:30', '01:30'].map((time) => at(`2026-10-25T${time}:00Z`));
  assert.deepEqual(Object.keys(count(facts, { ...SITE, zone: 'Europe/Berlin' }).byHour()), ['2026-10-25T02:00:00+02:00', '2026-10-25T02:00:00+01:00']);
});

test('The oracle: revenue is the site\'s currency only, refunds are taken off, and products are counted by piece', () => {
  const basket = [{ id: 'x', quantity: 2, price: 10 }, { id: 'y', quantity: 1, price: 0.5 }, { id: 'x', quantity: 1, price: 1 }];
  const { totals, breakdown } = count([
    at('09:00', { name: 'purchase', value: 20.5, items: basket }),
    at('09:01', { name: 'purchase', value: 100, currency: 'USD', items: basket }),
    at('09:02', { name: 'purchase' }),
    at('09:03', { name: 'refund', value: -3.25, currency: 'EUR', items: [{ id: 'y', quantity: 1, price: 0.5 }] }),
    at('09:04', { name: 'view_item', value: 9, items: [{ id: 'x', quantity: 1, price: 10 }] }),
  ], SITE);
  const { purchases, refunds, revenue, view_items, average_order_value } = totals(...DAYS);
  assert.deepEqual([purchases, refunds, revenue, view_items, average_order_value], [3, 1, 17.25, 1, 5.75]);
  assert.deepEqual(only(breakdown('product', ...DAYS), 'items', 'view_items', 'purchases', 'refunds', 'revenue'), { x: [7, 1, 2, 0, 21], y: [3, 0, 2, 1, 0] });
  assert.deepEqual(only(breakdown('currency', ...DAYS), 'purchases', 'refunds', 'revenue'), { EUR: [1, 1, 17.25], USD: [1, 0, 100] });
});
