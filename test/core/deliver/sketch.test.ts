import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sketch } from '../../../core/deliver/sketch.ts';
import { contextOf, draftOf } from '../../memory.ts';
import { saidBy } from './said-by.ts';

/** Bucket and rank by writing the 64 bits down and counting. */
function naive(visitor: bigint): { sketch_bucket: number; sketch_rank: number } {
  const bits = (visitor < 0n ? visitor + (1n << 64n) : visitor).toString(2).padStart(64, '0');
  const first = bits.slice(12).indexOf('1');
  return { sketch_bucket: parseInt(bits.slice(0, 12), 2), sketch_rank: first === -1 ? 53 : first + 1 };
}

const CASES: [name: string, visitor: bigint, bucket: number, rank: number][] = [
  ['0', 0n, 0, 53],
  ['1', 1n, 0, 52],
  ['-1, all ones', -1n, 4095, 1],
  ['the greatest', 2n ** 63n - 1n, 2047, 1],
  ['the least', -(2n ** 63n), 2048, 53],
  ['the last bit of the first 20', 1n << 32n, 0, 20],
  ['the first bit of the other 32', 1n << 31n, 0, 21],
  ['the lowest bit of the bucket', 1n << 52n, 1, 53],
];
for (const [name, visitor, bucket, rank] of CASES) {
  test(`the register of ${name}`, () => { assert.deepEqual(saidBy(sketch, draftOf({ visitor }), contextOf()), { sketch_bucket: bucket, sketch_rank: rank }); });
}

test('nobody has no register', () => { assert.deepEqual(saidBy(sketch, draftOf(), contextOf()), {}); });

test('registers are those of the bits written down (seed 20261120)', () => {
  const hash = fc.oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.nat({ max: 63 }).map((bit) => BigInt.asIntN(64, 1n << BigInt(bit))));
  fc.assert(fc.property(hash, (visitor) => { assert.deepEqual(saidBy(sketch, draftOf({ visitor }), contextOf()), naive(visitor)); }), { seed: 20261120, numRuns: 1000 });
});
