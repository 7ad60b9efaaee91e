// The histogram of the load generator against the numbers themselves.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Histogram } from '../../bench/histogram.ts';
import { chanceOf } from '../chance.ts';

/** The value that `share` of the sorted ones do not exceed. */
const exact = (sorted: readonly number[], share: number): number => sorted[Math.ceil(share * sorted.length) - 1]!;

test('Shares of microseconds to minutes are told to within a hundredth', () => {
  const chance = chanceOf(20);
  const histogram = new Histogram();
  // As many of each magnitude: 10 µs to 100 s.
  const values = Array.from({ length: 20_000 }, () => 10 ** (chance.upTo(7_000_000) / 1_000_000 - 2));
  for (const value of values) histogram.add(value);
  values.sort((a, b) => a - b);
  assert.equal(histogram.count, 20_000);
  assert.equal(histogram.max, values.at(-1));
  for (const share of [0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999]) {
    const [told, is] = [histogram.percentile(share), exact(values, share)];
    // Half a microsecond is what the rounding of a value may add.
    assert.ok(Math.abs(told - is) <= 0.01 * is + 0.0005, `${share}: ${told} instead of ${is}, seed 20`);
  }
});

test('Whole microseconds up to a quarter of a millisecond are told as they are', () => {
  for (const microseconds of [0, 1, 2, 127, 128, 129, 255]) {
    const histogram = new Histogram();
    histogram.add(microseconds / 1000);
    assert.equal(histogram.percentile(0.5), microseconds / 1000);
  }
});

test('The longest is kept beyond what has a bucket', () => {
  const histogram = new Histogram();
  histogram.add(3_600_000);
  assert.equal(histogram.max, 3_600_000);
  assert.ok(histogram.percentile(1) > 2_000_000);
});

test('Of no times nothing is told', () => {
  const histogram = new Histogram();
  assert.ok(Number.isNaN(histogram.percentile(0.5)));
  assert.equal(histogram.count, 0);
});
