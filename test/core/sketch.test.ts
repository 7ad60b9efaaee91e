import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { REGISTERS, Sketch, registerOf } from '../../core/sketch.ts';

/** A sketch as it comes back from the store. */
function read(bytes: Uint8Array): Sketch {
  const sketch = new Sketch();
  sketch.merge(bytes);
  return sketch;
}

const SEED = 20261120;
/** 1.04 ÷ √4096. */
const STANDARD_ERROR = 0.01625;

/** Pseudo-random 64 bits (two streams of mulberry32), the same ones for the same seed. */
function hashes(seed: number): () => bigint {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  return () => (BigInt(next()) << 32n) | BigInt(next());
}

function sketchOf(count: number, seed: number): Sketch {
  const next = hashes(seed);
  const sketch = new Sketch();
  for (let i = 0; i < count; i++) {
    const { bucket, rank } = registerOf(next());
    sketch.add(bucket, rank);
  }
  return sketch;
}

test('an empty sketch counts nobody', () => { assert.equal(new Sketch().count(), 0); });

test('the same visitor again changes nothing', () => {
  const sketch = sketchOf(30, SEED);
  const before = sketch.bytes();
  sketch.merge(sketchOf(30, SEED).bytes());
  sketch.merge(sketch.bytes());
  assert.deepEqual(sketch.bytes(), before);
});

test('a lower rank changes nothing, a higher one does', () => {
  const sketch = new Sketch();
  sketch.add(5, 3);
  sketch.add(5, 2);
  assert.deepEqual([...sketch.bytes()], [0, 0, 5, 3]);
  sketch.add(5, 4);
  assert.deepEqual([...sketch.bytes()], [0, 0, 5, 4]);
});

test('registers are read as bucket × 64 + rank', () => {
  assert.deepEqual([...Sketch.of([4095 * 64 + 53, 64 + 1]).bytes()], [0, 0, 1, 1, 0x0f, 0xff, 53]);
});

const registers = fc.array(fc.tuple(fc.nat({ max: REGISTERS - 1 }), fc.integer({ min: 1, max: 53 })), { maxLength: 200 });
const of = (entries: readonly (readonly [number, number])[]) => {
  const sketch = new Sketch();
  for (const [bucket, rank] of entries) sketch.add(bucket, rank);
  return sketch;
};

test(`merging is the union, in any order (seed ${SEED})`, () => {
  fc.assert(fc.property(registers, registers, (a, b) => {
    const [ab, ba] = [of(a), of(b)];
    ab.merge(of(b).bytes());
    ba.merge(of(a).bytes());
    assert.deepEqual(ab.bytes(), of([...a, ...b]).bytes());
    assert.deepEqual(ba.bytes(), ab.bytes());
    assert.ok(ab.count() >= of(a).count());
  }), { seed: SEED, numRuns: 200 });
});

test('merging days counts a visitor of both once', () => {
  const [first, second] = [sketchOf(20_000, SEED), sketchOf(20_000, SEED)];
  first.merge(second.bytes());
  assert.equal(first.count(), second.count());
});

test(`bytes round trip, sparse (seed ${SEED})`, () => {
  fc.assert(fc.property(registers, (entries) => {
    const sketch = of(entries);
    const bytes = sketch.bytes();
    assert.deepEqual(read(bytes).bytes(), bytes);
    assert.equal(read(bytes).count(), sketch.count());
    assert.equal(bytes.length, 1 + 3 * new Set(entries.map(([bucket]) => bucket)).size);
  }), { seed: SEED, numRuns: 200 });
});

test('bytes round trip, dense, and never more than 4,097', () => {
  for (const used of [1364, 1365, 1366, 2000, REGISTERS]) {
    const sketch = of(Array.from({ length: used }, (_, i) => [REGISTERS - 1 - i, 1 + (i % 53)] as const));
    const bytes = sketch.bytes();
    assert.ok(bytes.length <= 1 + REGISTERS, `${used} registers: ${bytes.length} bytes`);
    assert.deepEqual(read(bytes).bytes(), bytes);
    assert.equal(read(bytes).count(), sketch.count());
  }
});

const dense = (rank: number) => Uint8Array.from({ length: 1 + REGISTERS }, (_, i) => (i === 0 ? 1 : rank));
const DAMAGED: [name: string, bytes: Uint8Array][] = [
  ['nothing', new Uint8Array(0)],
  ['a kind that does not exist', Uint8Array.of(2, 0, 5, 3)],
  ['half a register', Uint8Array.of(0, 0, 5)],
  ['a register and a byte', Uint8Array.of(0, 0, 5, 3, 0)],
  ['a dense sketch cut short', dense(1).subarray(0, REGISTERS)],
  ['a dense sketch and a byte', Uint8Array.of(...dense(1), 0)],
  ['a dense sketch without registers', Uint8Array.of(1)],
  ['a register that does not exist', Uint8Array.of(0, 0x10, 0x00, 3)],
  ['a rank of 0', Uint8Array.of(0, 0, 5, 0)],
  ['a rank above 53', Uint8Array.of(0, 0, 5, 54)],
  ['a rank above 53, dense', dense(54)],
  ['a register twice', Uint8Array.of(0, 0, 5, 3, 0, 5, 4)],
];
for (const [name, bytes] of DAMAGED) test(`damaged bytes are refused: ${name}`, () => { assert.throws(() => read(bytes), Error); });

test('up to 50 visitors are counted exactly, but for one here and there', () => {
  let wrong = 0;
  for (let seed = 1; seed <= 20; seed++) {
    for (let count = 1; count <= 50; count++) {
      const error = Math.abs(sketchOf(count, seed).count() - count);
      assert.ok(error <= 1, `seed ${seed}: ${count} visitors are off by ${error}`);
      if (error > 0) wrong++;
    }
  }
  assert.ok(wrong <= 150, `${wrong} of 1000`);
});

for (const count of [1_000, 10_000, 100_000]) {
  test(`${count} visitors are counted to within five standard errors`, () => {
    for (let seed = 1; seed <= (count > 10_000 ? 2 : 10); seed++) {
      const error = sketchOf(count, seed).count() / count - 1;
      assert.ok(Math.abs(error) <= 5 * STANDARD_ERROR, `seed ${seed}: ${error}`);
    }
  });
}

// The mean of 40 counts has a standard error of 1.6 % ÷ √40 = 0.26 %.
for (const count of [1_000, 5_000, 10_500, 20_000]) {
  test(`${count} visitors are counted without bias`, () => {
    let sum = 0;
    for (let seed = 1; seed <= 40; seed++) sum += sketchOf(count, seed).count() / count - 1;
    assert.ok(Math.abs(sum / 40) <= (5 * STANDARD_ERROR) / Math.sqrt(40), `on average off by ${((sum / 40) * 100).toFixed(2)} %`);
  });
}

test('what no sketch of people reaches is still a number', () => {
  const full = of(Array.from({ length: REGISTERS }, (_, bucket) => [bucket, 53] as const));
  assert.ok(full.count() > 1e18 && Number.isFinite(full.count()));
});
