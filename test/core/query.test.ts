import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DIMENSION_NAMES, metricsOf } from '../../core/metrics.ts';
import { Problem } from '../../core/problem.ts';
import { breakdownQuery, funnelQuery, statsQuery, timeseriesQuery, type Parameters } from '../../core/query.ts';
import { NOW, siteOf } from '../memory.ts';

const QUERIES = { stats: statsQuery, timeseries: timeseriesQuery, breakdown: breakdownQuery, funnel: funnelQuery };
type Kind = keyof typeof QUERIES;

function parametersOf(text: string): Parameters {
  const parameters = new Map<string, string[]>();
  for (const [name, value] of new URLSearchParams(text)) parameters.set(name, [...(parameters.get(name) ?? []), value]);
  return parameters;
}

const KOLKATA = siteOf({ timezone: 'Asia/Kolkata' });
const ask = (kind: Kind, text: string, now = NOW) => QUERIES[kind](parametersOf(kind === 'breakdown' && !text.includes('dimension=') ? `dimension=page&${text}` : text), KOLKATA, now) as unknown as Record<string, unknown>;
const asked = (kind: Kind, text: string, now = NOW) => { const { from, to } = ask(kind, text, now); return [from, to]; };

function refusal(kind: Kind, text: string, status = 400): Problem {
  try {
    ask(kind, text);
  } catch (error) {
    assert.ok(error instanceof Problem, String(error));
    assert.equal(error.status, status);
    return error;
  }
  return assert.fail(`${kind}?${text} was accepted`);
}

test('defaults: seven days up to today, in the site\'s zone', () => {
  for (const kind of ['stats', 'timeseries', 'breakdown'] as const) {
    const query = ask(kind, '');
    assert.deepEqual([query.site, query.from, query.to, query.time_zone], ['shop', '2026-11-14', '2026-11-20', 'Asia/Kolkata'], kind);
  }
});

test('defaults: metrics, interval, order and limit', () => {
  assert.deepEqual(ask('stats', '').metrics, ['visitors', 'visits', 'pageviews', 'events', 'bounce_rate', 'visit_duration', 'purchases', 'revenue']);
  assert.equal(ask('timeseries', '').interval, 'day');
  assert.ok((ask('timeseries', '').metrics as string[]).length > 0);
  const { dimension, order_by, limit, metrics } = ask('breakdown', 'dimension=country');
  assert.deepEqual([dimension, order_by, limit, (metrics as string[])[0]], ['country', 'visits', 10, 'visits']);
});

const RANGES: [range: string, from: string, to: string][] = [
  ['today', '2026-11-20', '2026-11-20'], ['yesterday', '2026-11-19', '2026-11-19'], ['7d', '2026-11-14', '2026-11-20'], ['28d', '2026-10-24', '2026-11-20'],
  ['30d', '2026-10-22', '2026-11-20'], ['90d', '2026-08-23', '2026-11-20'], ['month', '2026-11-01', '2026-11-20'], ['year', '2026-01-01', '2026-11-20'],
];
for (const [range, from, to] of RANGES) {
  test(`range=${range} on 2026-11-20 is ${from} to ${to}`, () => {
    for (const kind of ['stats', 'timeseries', 'breakdown'] as const) assert.deepEqual(asked(kind, `range=${range}`), [from, to], kind);
  });
}

test('today is the site\'s: at 18:30 UTC tomorrow has begun in Kolkata', () => {
  assert.deepEqual(asked('stats', 'range=today', Date.parse('2026-11-20T18:29:59.999Z')), ['2026-11-20', '2026-11-20']);
  assert.deepEqual(asked('stats', 'range=today', Date.parse('2026-11-20T18:30:00Z')), ['2026-11-21', '2026-11-21']);
  assert.deepEqual(asked('stats', 'range=month', Date.parse('2026-11-30T18:30:00Z')), ['2026-12-01', '2026-12-01']);
  assert.deepEqual(asked('stats', 'range=year', Date.parse('2026-12-31T18:30:00Z')), ['2027-01-01', '2027-01-01']);
});

const ACCEPTED: [kind: Kind, text: string, from: string, to: string][] = [
  ['stats', 'from=2026-11-20&to=2026-11-20', '2026-11-20', '2026-11-20'],
  ['stats', 'from=2028-02-29&to=2028-03-01', '2028-02-29', '2028-03-01'],
  ['stats', 'from=2024-11-19&to=2026-11-20', '2024-11-19', '2026-11-20'],
  ['timeseries', 'from=2024-11-19&to=2026-11-20', '2024-11-19', '2026-11-20'],
  ['timeseries', 'interval=day&from=2024-11-19&to=2026-11-20', '2024-11-19', '2026-11-20'],
  ['timeseries', 'interval=hour&from=2026-10-21&to=2026-11-20', '2026-10-21', '2026-11-20'],
  ['timeseries', 'interval=month&from=2016-12-01&to=2026-11-20', '2016-12-01', '2026-11-20'],
  ['timeseries', 'interval=month&from=2016-12-01&to=2026-11-30', '2016-12-01', '2026-11-30'],
];
for (const [kind, text, from, to] of ACCEPTED) test(`${kind}?${text} is accepted`, () => { assert.deepEqual(asked(kind, text), [from, to]); });

// Each line: what is wrong with it, and the parameters that are named, with their values.
const REFUSED: [kind: Kind, text: string, named: [parameter: string, value: string, accepts: RegExp][], status?: number][] = [
  ['stats', 'range=8d', [['range', '"8d"', /one of today, yesterday, 7d.*from and to/]]],
  ['stats', 'range=', [['range', '""', /one of today/]]],
  ['stats', 'range=TODAY', [['range', '"TODAY"', /one of today/]]],
  ['stats', 'range=constructor', [['range', '"constructor"', /one of today/]]],
  ['stats', 'range=__proto__', [['range', '"__proto__"', /one of today/]]],
  ['stats', 'from=2026-11-20', [['to', 'null', /YYYY-MM-DD.*together/]]],
  ['stats', 'to=2026-11-20', [['from', 'null', /YYYY-MM-DD.*together/]]],
  ['stats', 'from=&to=', [['from', '""', /YYYY-MM-DD/], ['to', '""', /YYYY-MM-DD/]]],
  ['stats', 'from=2026-02-29&to=2026-11-31', [['from', '"2026-02-29"', /a date that exists/], ['to', '"2026-11-31"', /a date that exists/]]],
  ['stats', 'from=20.11.2026&to=2026-11-20', [['from', '"20.11.2026"', /YYYY-MM-DD/]]],
  ['stats', 'from=2026-11-20T00:00&to=2026-11-20', [['from', '"2026-11-20T00:00"', /YYYY-MM-DD/]]],
  ['stats', 'from=2026-11-21&to=2026-11-20', [['from', '"2026-11-21"', /not after to, 2026-11-20/]]],
  ['stats', 'from=2024-11-18&to=2026-11-20', [['from', '"2024-11-18"', /at most 732 days/]]],
  ['stats', 'range=7d&from=2026-11-19&to=2026-11-20', [['range', '"7d"', /nothing beside from and to/]]],
  ['timeseries', 'interval=day&from=2024-11-18&to=2026-11-20', [['from', '"2024-11-18"', /at most 732 days/]]],
  ['timeseries', 'interval=hour&from=2026-10-20&to=2026-11-20', [['from', '"2026-10-20"', /at most 31 days/]]],
  ['timeseries', 'interval=hour&range=90d', [['range', '"90d"', /at most 31 days/]]],
  ['timeseries', 'interval=hour&range=year', [['range', '"year"', /at most 31 days/]]],
  ['timeseries', 'interval=month&from=2016-11-01&to=2026-11-20', [['from', '"2016-11-01"', /at most 120/]]],
  ['timeseries', 'interval=month&from=2016-11-30&to=2026-11-01', [['from', '"2016-11-30"', /at most 120/]]],
  ['timeseries', 'interval=week', [['interval', '"week"', /one of hour, day, month/]]],
  ['timeseries', 'interval=', [['interval', '""', /one of hour, day, month/]]],
  ['stats', 'metrics=', [['metrics', '""', /visitors, visits, pageviews/]]],
  ['stats', 'metrics=visits,', [['metrics', '""', /each once/]]],
  ['stats', 'metrics=visits,visits', [['metrics', '"visits"', /each once/]]],
  ['stats', 'metrics=visits,sales', [['metrics', '"sales"', /visitors, visits, pageviews/]]],
  ['stats', 'metrics=visits%20', [['metrics', '"visits "', /visitors, visits/]]],
  ['stats', 'metrics=items', [['metrics', '"items"', /what is kept of a whole site: visitors, visits/]], 422],
  ['timeseries', 'metrics=exits', [['metrics', '"exits"', /what is kept of a whole site: visitors, visits/]], 422],
  ['stats', 'metrics=__proto__', [['metrics', '"__proto__"', /visitors/]]],
  ['breakdown', 'dimension=colour', [['dimension', '"colour"', /one of page, entry_page/]]],
  ['breakdown', 'dimension=constructor', [['dimension', '"constructor"', /one of page/]]],
  ['breakdown', 'dimension=country&metrics=visitors', [['metrics', '"visitors"', /what is kept by country: visits, /]], 422],
  ['breakdown', 'dimension=page&metrics=revenue', [['metrics', '"revenue"', /what is kept by page: pageviews, events/]], 422],
  // What is wrong in itself weighs more than what is not kept.
  ['breakdown', 'dimension=page&metrics=revenue&limit=0', [['metrics', '"revenue"', /kept by page/], ['limit', '"0"', /from 1 to 100/]]],
  ['stats', 'time_zone=Europe/Nowhere', [['time_zone', '"Europe/Nowhere"', /an IANA time zone such as Europe/]]],
  ['stats', 'time_zone=', [['time_zone', '""', /an IANA time zone/]]],
  ['stats', 'time_zone=%2B05:30', [['time_zone', '"+05:30"', /an IANA time zone/]]],
  ['stats', 'time_zone=Asia/Tokyo&from=2026-10-20&to=2026-11-20', [['from', '"2026-10-20"', /at most 31 days in a zone that is not the site's, Asia\/Kolkata, up to/]]],
  ['funnel', 'time_zone=Asia/Tokyo&range=90d', [['range', '"90d"', /at most 31 days in a zone/]]],
  ['timeseries', 'time_zone=Asia/Tokyo&from=2026-10-21&to=2026-11-20&smooth=33', [['smooth', '33', /no more than 62 days/]]],
  ['timeseries', 'time_zone=Asia/Tokyo&interval=month&range=7d&smooth=3', [['smooth', '3', /no more than 62 days/]]],
  ['breakdown', 'dimension=page&time_zone=Asia/Tokyo', [['time_zone', '"Asia/Tokyo"', /Asia\/Kolkata, the site's, or nothing: breakdowns are kept by the site's days/]], 422],
  ['stats', 'filter=page==/a&metrics=pageviews&time_zone=Asia/Tokyo', [['time_zone', '"Asia/Tokyo"', /values of a dimension are kept by the site's days/]], 422],
  ['breakdown', 'limit=0', [['limit', '"0"', /from 1 to 100/]]],
  ['breakdown', 'limit=101', [['limit', '"101"', /from 1 to 100/]]],
  ['breakdown', 'limit=', [['limit', '""', /from 1 to 100/]]],
  ['breakdown', 'limit=-1', [['limit', '"-1"', /whole number/]]],
  ['breakdown', 'limit=1.5', [['limit', '"1.5"', /whole number/]]],
  ['breakdown', 'limit=1e1', [['limit', '"1e1"', /whole number/]]],
  ['breakdown', 'limit=٣', [['limit', '"٣"', /whole number/]]],
  ['breakdown', 'order_by=revenue', [['order_by', '"revenue"', /one of pageviews/]]],
  ['breakdown', 'order_by=', [['order_by', '""', /one of pageviews/]]],
  // Everything that is wrong is named at once.
  ['breakdown', 'dimension=colour&range=8d&limit=0', [['dimension', '"colour"', /one of/], ['range', '"8d"', /one of/], ['limit', '"0"', /from 1/]]],
];
for (const [kind, text, named, status = 400] of REFUSED) {
  test(`${kind}?${text} is refused with ${status} for ${named.map(([parameter]) => parameter).join(', ')}`, () => {
    const { errors, detail } = refusal(kind, text, status);
    const sorted = (list: readonly { parameter: string; value: string }[]) => list.map(({ parameter, value }) => `${parameter}=${value}`).sort();
    assert.deepEqual(sorted(errors), sorted(named.map(([parameter, value]) => ({ parameter, value }))));
    for (const [parameter, value, accepts] of named) {
      const error = errors.find((one) => one.parameter === parameter)!;
      assert.match(error.accepts, accepts);
      assert.ok(detail.includes(`${parameter} ${value}: accepts ${error.accepts}`), detail);
    }
  });
}

test('a breakdown needs a dimension', () => {
  assert.throws(() => breakdownQuery(new Map(), KOLKATA, NOW), (error) => error instanceof Problem && error.errors.some(({ parameter }) => parameter === 'dimension'));
});

test('every dimension takes each of its own metrics, and orders by it', () => {
  for (const dimension of DIMENSION_NAMES) {
    for (const metric of metricsOf(dimension)) {
      const query = ask('breakdown', `dimension=${dimension}&metrics=${metric}&order_by=${metric}`);
      assert.deepEqual([query.dimension, query.metrics, query.order_by], [dimension, [metric], metric]);
    }
  }
});

test('metrics keep the order they were asked in', () => {
  assert.deepEqual(ask('stats', 'metrics=revenue,visitors,bots').metrics, ['revenue', 'visitors', 'bots']);
});

for (const limit of [1, 10, 99, 100]) test(`limit=${limit} is accepted`, () => { assert.equal(ask('breakdown', `limit=${limit}`).limit, limit); });

test('long values are shortened in the answer', () => {
  const { errors, detail } = refusal('stats', `range=${'v'.repeat(10_000)}`);
  assert.ok(errors[0]!.value.length <= 80 && detail.length < 500);
});

test('dates at the end of the calendar are answered, not failed on', () => {
  assert.throws(() => ask('stats', 'from=0001-01-01&to=9999-12-31'), Problem);
  for (const text of ['from=9999-12-31&to=9999-12-31', 'from=0001-01-01&to=0001-01-02']) {
    try {
      ask('stats', text);
    } catch (error) {
      assert.ok(error instanceof Problem, String(error));
    }
  }
});

const COMPARISONS: [asked: string, compare: string, from: string, to: string][] = [
  ['range=7d', 'previous_period', '2026-11-07', '2026-11-13'],
  ['range=today', 'previous_period', '2026-11-19', '2026-11-19'],
  ['from=2026-03-01&to=2026-03-31', 'previous_period', '2026-01-29', '2026-02-28'],
  ['from=2026-03-01&to=2026-03-31', 'previous_year', '2025-03-01', '2025-03-31'],
  ['from=2024-02-29&to=2024-03-01', 'previous_year', '2023-02-28', '2023-03-01'],
  ['from=2025-02-28&to=2025-03-01', 'previous_year', '2024-02-28', '2024-03-01'],
];
for (const [range, compare, from, to] of COMPARISONS) {
  test(`${range} compared with the ${compare} is ${from} to ${to}`, () => {
    for (const kind of ['stats', 'timeseries'] as const) {
      const query = ask(kind, `${range}&compare=${compare}`);
      assert.deepEqual([query.compare, query.comparison], [compare, { from, to }], kind);
    }
  });
}

test('Without compare and smooth there is nothing of them in the query', () => {
  const query = ask('timeseries', '');
  assert.deepEqual(['compare', 'comparison', 'smooth'].filter((name) => name in query), []);
});

test('smooth is a number of buckets', () => {
  assert.equal(ask('timeseries', 'smooth=7').smooth, 7);
  for (const value of ['1', '0', '-7', '91', '7.5', '07d', '', '1e1']) assert.match(refusal('timeseries', `smooth=${value}`).detail, /^smooth .*accepts a whole number of buckets from 2 to 90/);
});

test('What cannot be compared says so', () => {
  assert.match(refusal('stats', 'compare=last_week').detail, /^compare "last_week": accepts one of previous_period, previous_year$/);
});

test('A funnel has a range and nothing else', () => {
  assert.deepEqual(ask('funnel', 'range=30d'), { site: 'shop', from: '2026-10-22', to: '2026-11-20', time_zone: 'Asia/Kolkata' });
});

test('Dates long before any event are refused, so that there is always a range before', () => {
  assert.match(refusal('stats', 'from=1969-12-31&to=1970-01-01').detail, /^from "1969-12-31": accepts a date that exists, YYYY-MM-DD, from 1970-01-01 to 2199-12-31/);
  assert.deepEqual(ask('stats', 'from=1970-01-01&to=1970-01-02&compare=previous_year').comparison, { from: '1969-01-01', to: '1969-01-02' });
});

test('A filter is a dimension and one of its values, whatever is in that', () => {
  assert.deepEqual(ask('stats', 'filter=source==google').filter, { dimension: 'source', value: 'google' });
  assert.deepEqual(ask('timeseries', `filter=${encodeURIComponent('page==/a?b==c&d')}`).filter, { dimension: 'page', value: '/a?b==c&d' });
  for (const value of ['source', 'source=google', 'source==', 'sauce==google', '==google', 'source==(other)', '__proto__==x']) {
    assert.match(refusal('stats', `filter=${encodeURIComponent(value)}`).detail, /^filter .*: accepts a dimension, == and one of its values \(not \(other\)\), such as source==google/, value);
  }
});

test('Filtered metrics are those of the dimension, by default those of the read that it has', () => {
  assert.deepEqual(ask('stats', 'filter=source==google').metrics, ['visits', 'pageviews', 'events', 'bounce_rate', 'visit_duration', 'purchases', 'revenue']);
  assert.deepEqual(ask('timeseries', 'filter=page==/a').metrics, ['pageviews']);
  assert.deepEqual(ask('timeseries', 'filter=entry_page==/a').metrics, ['visits']);
  assert.match(refusal('stats', 'filter=page==/a&metrics=visitors', 422).detail, /^metrics "visitors": accepts what is kept by page: pageviews, events$/);
});

test('What belongs to a value is kept by day, so it has no hours, and a year of days', () => {
  assert.match(refusal('timeseries', 'filter=source==google&interval=hour', 422).detail, /^interval "hour": accepts day or month beside a filter/);
  assert.match(refusal('stats', 'filter=source==google&from=2024-01-01&to=2026-01-01').detail, /^from .*at most 366 days/);
});

test('Another zone than the site\'s has dates of its own, and names the site\'s', () => {
  const late = Date.parse('2026-11-20T18:30:00Z');
  const zones = (query: Record<string, unknown>) => [query.from, query.time_zone, query.site_time_zone];
  assert.deepEqual(zones(ask('stats', 'range=today&time_zone=America/New_York', late)), ['2026-11-20', 'America/New_York', 'Asia/Kolkata']);
  assert.deepEqual(zones(ask('funnel', 'range=today', late)), ['2026-11-21', 'Asia/Kolkata', undefined]);
  for (const kind of ['stats', 'timeseries', 'breakdown', 'funnel'] as const) assert.ok(!('site_time_zone' in ask(kind, 'time_zone=Asia/Kolkata')), kind);
  assert.equal(ask('timeseries', 'time_zone=Asia/Tokyo&from=2026-10-21&to=2026-11-20&smooth=32').smooth, 32);
});
