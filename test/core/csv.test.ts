import assert from 'node:assert/strict';
import { test } from 'node:test';
import { csvOf } from '../../core/csv.ts';
import type { MetricName } from '../../core/metrics.ts';

const lines = (results: object[], metrics: MetricName[] = ['visits']) => csvOf({ query: { metrics }, results }).split('\r\n');

test('A line a result, a column a metric, and an empty cell for what is not defined', () => {
  assert.deepEqual(lines([{ value: '/a', metrics: { visits: 3, bounce_rate: 0.5 } }, { value: '/b', metrics: { visits: 0, bounce_rate: null } }]), [
    '\ufeffvalue,visits,bounce_rate', '/a,3,0.5', '/b,0,', '',
  ]);
});

test('A comparison stands beside its metric', () => {
  assert.deepEqual(lines([{ metrics: { visits: 3 }, comparison: { visits: 2 }, change: { visits: 0.5 } }]), ['\ufeffvisits,visits_comparison,visits_change', '3,2,0.5', '']);
});

test('A column that only some results have is there, in the others empty', () => {
  assert.deepEqual(lines([{ time: '2026-11-19', metrics: { visits: 1 } }, { time: '2026-11-20', metrics: { visits: 2 }, partial: true }]), ['\ufefftime,visits,partial', '2026-11-19,1,', '2026-11-20,2,true', '']);
});

test('Without results there are still the names of the columns', () => {
  assert.deepEqual(lines([], ['visits', 'revenue']), ['\ufeffvalue,visits,revenue', '']);
});

test('Quotes, commas and line ends stay within their cell', () => {
  const results: object[] = [{ value: 'a,"b"\r\nc', metrics: { visits: 1 } }];
  assert.equal(csvOf({ query: {}, results }), '\ufeffvalue,visits\r\n"a,""b""\r\nc",1\r\n');
});

const FORMULAS = ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '=HYPERLINK("https://evil.example")', '\uff1d1'];
for (const formula of FORMULAS) {
  test(`A value that is a formula is none in the cell: ${JSON.stringify(formula)}`, () => {
    const [, cell] = lines([{ value: formula, metrics: { visits: -1 } }]).join('\n').split('\n');
    assert.match(cell!, /^"?'/);
  });
}

test('A negative number is a number', () => {
  assert.equal(lines([{ value: '/a', metrics: { revenue: -12.5 } }])[1], '/a,-12.5');
});
