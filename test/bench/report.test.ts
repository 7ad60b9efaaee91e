// Which rows of a stage are measured.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowsOf } from '../../bench/report.ts';

test('Of the rows that are asked for a stage measures its own, in its own order', () => {
  assert.deepEqual(rowsOf(['single', 'batch', 'crash'], ['crash', 'full', 'single']), ['single', 'crash']);
});

test('A stage of which no row is asked for measures the usual ones, and without such all of them', () => {
  assert.deepEqual(rowsOf(['hour', 'full', 'files'], ['single'], ['hour', 'files']), ['hour', 'files']);
  assert.deepEqual(rowsOf(['hour', 'full', 'files'], undefined, ['hour']), ['hour']);
  assert.deepEqual(rowsOf(['hour', 'full', 'files'], []), ['hour', 'full', 'files']);
});
