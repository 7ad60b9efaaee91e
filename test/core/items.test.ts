import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { SEPARATOR, dayItems, dayOf, hourItem, isSame, quartersOf, valuesOf } from '../../core/items.ts';
import { SUM_NAMES } from '../../core/metrics.ts';
import { countOf } from '../../core/sketch.ts';

/** A text of `sql/days.sql` with so many page views and events. */
const text = (dimension: string, value: string, pageviews: number) => [dimension, value, ...SUM_NAMES.map((name) => (name === 'pageviews' ? pageviews : 0))].join(SEPARATOR);
const breakdowns = (...sums: string[]) => dayItems('2026-11-20', 'run-1', { site_id: 'shop', sketch: [], sums })[1]!;

test('A dimension has its own values, whatever the others hold and in whatever order they came', () => {
  const item = breakdowns(text('page', '/a', 1), text('', '', 3), text('source', 'google', 5), text('page', '/b', 2));
  assert.deepEqual(valuesOf(item, 'page'), [['/a', { pageviews: 1 }], ['/b', { pageviews: 2 }]]);
  assert.deepEqual(valuesOf(item, 'source'), [['google', { pageviews: 5 }]]);
  assert.deepEqual(valuesOf(item, 'country'), []);
  assert.deepEqual(valuesOf(breakdowns(), 'page'), []);
});

test('An hour has the quarters that its row has texts of, with their sums and sketches', () => {
  const quarter = (number: number, pageviews: number) => [number, ...SUM_NAMES.map((name) => (name === 'pageviews' ? pageviews : 0))].join(SEPARATOR);
  const itemOf = (quarters: string[], sketches: (number[] | null)[]) => quartersOf(hourItem('2026-11-20T10', 'run-1', { site_id: 'shop', quarters, sketches }));
  assert.deepEqual(
    itemOf([quarter(40, 0), quarter(42, 3)], [null, [4096 * 64 + 65]]).map(({ quarter: number, sums, sketch }) => [number, sums, countOf(sketch)]),
    [[40, {}, 0], [42, { pageviews: 3 }, 1]],
  );
  assert.deepEqual(itemOf([''], [null]), []);
});

test('Sums that a text leaves out at its end are 0', () => {
  const short = (dimension: string, value: string) => [dimension, value, '7', '0', '2'].join(SEPARATOR);
  const [day, item] = dayItems('2026-11-20', 'run-1', { site_id: 'shop', sketch: [], sums: [short('', ''), short('page', '/a'), `page${SEPARATOR}/b${SEPARATOR}0`] });
  assert.deepEqual(dayOf(day!).sums, { events: 7, visits: 2 });
  assert.deepEqual(valuesOf(item!, 'page'), [['/a', { events: 7, visits: 2 }], ['/b', {}]]);
});

const HOSTILE = ['\n["source",[["forged",{"pageviews":9}]]]', '"]]]\n', '\\n["source",', '["source",[', '\u2028["source",', '{', '"', '\\', 'é😀', ''];
for (const value of HOSTILE) {
  test(`A value ${JSON.stringify(value)} is read as it was written, and is no other dimension`, () => {
    const item = breakdowns(text('page', value, 1), text('event', value, 2));
    assert.deepEqual(valuesOf(item, 'page'), [[value, { pageviews: 1 }]]);
    assert.deepEqual(valuesOf(item, 'event'), [[value, { pageviews: 2 }]]);
    assert.deepEqual(valuesOf(item, 'source'), []);
  });
}

test('A dimension whose name begins like another one is not taken for it', () => {
  const item = breakdowns(text('utm_source', 'mail', 1), text('source', 'google', 2));
  assert.deepEqual([valuesOf(item, 'source'), valuesOf(item, 'utm_source')], [[['google', { pageviews: 2 }]], [['mail', { pageviews: 1 }]]]);
});

test('An item that was written as one object is read, and is the same as one in lines', () => {
  const lines = breakdowns(text('page', '/a', 1), text('source', 'google', 5));
  const object = { ...lines, gzip: gzipSync(JSON.stringify({ source: [['google', { pageviews: 5 }]], page: [['/a', { pageviews: 1 }]] })) };
  assert.deepEqual([valuesOf(object, 'page'), valuesOf(object, 'event')], [[['/a', { pageviews: 1 }]], []]);
  assert.ok(isSame(lines, object));
  assert.ok(!isSame(lines, breakdowns(text('page', '/a', 2), text('source', 'google', 5))));
});
