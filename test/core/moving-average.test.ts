import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { movingAverage } from '../../core/moving-average.ts';

const SEED = Number(process.env.AVERAGE_SEED ?? 20261124);

/** A double as a whole number of its smallest unit, 2^-1074: in these, sums are exact. */
function exact(value: number): bigint {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  const [high, low] = [bits.getUint32(0), bits.getUint32(4)];
  const exponent = (high >>> 20) & 0x7ff;
  const fraction = (BigInt(high & 0xfffff) << 32n) | BigInt(low);
  const magnitude = exponent === 0 ? fraction : (fraction | (1n << 52n)) << BigInt(exponent - 1);
  return high >>> 31 ? -magnitude : magnitude;
}

/** Whether the average of the numbers is that of exact arithmetic, but for so many units of the sum of their sizes. */
function isExact(average: number, numbers: readonly number[], units: number): boolean {
  const sum = numbers.reduce((total, value) => total + exact(value), 0n);
  const sizes = numbers.reduce((total, value) => total + exact(Math.abs(value)), 0n);
  const difference = exact(average) * BigInt(numbers.length) - sum;
  // A rounding of the quotient, and what is left of the sizes after compensated summation.
  const allowed = (sum < 0n ? -sum : sum) / 2n ** 51n + (sizes * BigInt(Math.round(units))) / 2n ** 100n + BigInt(numbers.length);
  return (difference < 0n ? -difference : difference) <= allowed;
}

test('It is undefined before the first number, and then the average of the last ones', () => {
  const average = movingAverage(3);
  assert.equal(average.average(), undefined);
  const seen = [3, 6, 9, 12, 0].map((value) => { average.add(value); return average.average(); });
  assert.deepEqual(seen, [3, 4.5, 6, 9, 7]);
});

test('Its numbers can be looked at, oldest first, and from either end', () => {
  const average = movingAverage(3);
  for (const value of [1, 2, 3, 4, 5]) average.add(value);
  assert.deepEqual([[...average], average.length, average.window], [[3, 4, 5], 3, 3]);
  assert.deepEqual([0, 1, 2, 3, -1, -3, -4].map((i) => average.at(i)), [3, 4, 5, undefined, 5, 3, undefined]);
});

test('A window of one is the last number itself', () => {
  const average = movingAverage(1);
  for (const value of [0.1, 1e300, -7]) {
    average.add(value);
    assert.equal(average.average(), value);
  }
});

for (const window of [0, -1, 1.5, NaN, Infinity]) {
  test(`A window of ${window} is refused`, () => { assert.throws(() => movingAverage(window), /^RangeError: window .*: accepts a whole number from 1 on$/); });
}

test('What is not finite is refused, and leaves everything as it was', () => {
  const average = movingAverage(2);
  average.add(4);
  for (const value of [NaN, Infinity, -Infinity]) assert.throws(() => { average.add(value); }, RangeError);
  assert.deepEqual([[...average], average.average()], [[4], 4]);
});

test('A number of another magnitude leaves nothing behind when it has left the window', () => {
  const average = movingAverage(10);
  for (let i = 0; i < 1000; i++) average.add(i % 100 === 50 ? 1e18 : 0.1);
  for (let i = 0; i < 10; i++) average.add(0.1);
  assert.equal(average.average(), 0.1);
});

test('A million numbers of mixed magnitudes later it is still what exact arithmetic says', (t) => {
  t.diagnostic(`AVERAGE_SEED=${SEED}`);
  // A small generator of its own (Lehmer), so that a seed says the whole stream.
  let state = (SEED % 2_147_483_646) + 1;
  const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  const average = movingAverage(97);
  const last: number[] = [];
  for (let i = 0; i < 1_000_000; i++) {
    const value = (random() - 0.5) * 10 ** Math.floor(random() * 30 - 12);
    average.add(value);
    last.push(value);
    if (last.length > 97) last.shift();
    if (i % 9973 === 0) assert.ok(isExact(average.average()!, last, 97), `after ${i + 1} numbers`);
  }
});

test('Of any numbers and window it keeps and averages the last ones', () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 20 }), fc.array(fc.double({ noNaN: true, min: -1e200, max: 1e200 }), { maxLength: 100 }),
    (window, values) => {
      const average = movingAverage(window);
      values.forEach((value, i) => {
        average.add(value);
        const last = values.slice(Math.max(0, i + 1 - window), i + 1);
        assert.deepEqual([...average], last);
        assert.ok(isExact(average.average()!, last, window), `${last.join(' ')}: ${average.average()}`);
      });
    },
  ), { seed: SEED, numRuns: 300 });
});
