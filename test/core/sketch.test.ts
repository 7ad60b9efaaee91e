import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EXACT, REGISTERS, Sketch, countOf } from '../../core/sketch.ts';

const SEED = 20261120;
/** 1.04 ÷ √4096. */
const STANDARD_ERROR = 0.01625;
/** Pairs of register and fingerprint a visitor may have. */
const PAIRS = 4096 * 4095;

/** An entry as `sql/` writes it. */
const entryOf = (bucket: number, fingerprint: number, rank: number) => bucket * 262_144 + fingerprint * 64 + rank;
/** The same register when nobody knows any more who was in it. */
const folded = (entry: number) => entryOf(Math.floor(entry / 262_144), 0, entry % 64);

/** Visitors by chance (sfc32, whose 128 bits of state keep the streams of different seeds apart). */
class Crowd {
  private b = 0x9e3779b9 | 0;
  private c = 0x243f6a88;
  private counter = 1;

  constructor(private a: number) {
    for (let i = 0; i < 20; i++) this.bits();
  }

  /** The next 32 bits. */
  bits(): number {
    const { a, b, c, counter } = this;
    const drawn = (a + b + counter) | 0;
    this.a = b ^ (b >>> 9);
    this.b = (c + (c << 3)) | 0;
    this.c = (((c << 21) | (c >>> 11)) + drawn) | 0;
    this.counter = (counter + 1) | 0;
    return drawn >>> 0;
  }

  /** The entry of one more visitor, a new one, as evenly spread as hashes are. */
  next(): number {
    const bits = this.bits();
    return entryOf(bits >>> 20, 1 + ((bits & 0xfffff) % 4095), Math.clz32(this.bits()) + 1);
  }
}

function visitors(count: number, seed: number): number[] {
  const from = new Crowd(seed);
  return Array.from({ length: count }, () => from.next());
}

function sketchOf(count: number, seed: number): Sketch {
  const from = new Crowd(seed);
  const sketch = new Sketch();
  for (let i = 0; i < count; i++) sketch.add(from.next());
  return sketch;
}

/** A sketch as it comes back from the store: of all these bytes. */
function read(...parts: Uint8Array[]): Sketch {
  const sketch = new Sketch();
  for (const bytes of parts) sketch.merge(bytes);
  return sketch;
}

/** The bytes these entries must have, put together with maps and sorting only. */
function expectedBytes(entries: readonly number[]): number[] {
  const highest = (keyOf: (entry: number) => number) => {
    const ranks = new Map<number, number>();
    for (const entry of entries) ranks.set(keyOf(entry), Math.max(ranks.get(keyOf(entry)) ?? 0, entry % 64));
    return [...ranks].sort(([a], [b]) => a - b);
  };
  const pairs = highest((entry) => Math.floor(entry / 64));
  if (pairs.length <= 128 && entries.every((entry) => entry !== folded(entry))) {
    return [2, ...pairs.flatMap(([pair, rank]) => [...Buffer.from((pair * 64 + rank).toString(16).padStart(8, '0'), 'hex')])];
  }
  const registers = highest((entry) => Math.floor(entry / 262_144));
  if (registers.length * 3 < 4096) return [0, ...registers.flatMap(([bucket, rank]) => [Math.floor(bucket / 256), bucket % 256, rank])];
  const ranks = new Map(registers);
  return [1, ...Array.from({ length: 4096 }, (_, bucket) => ranks.get(bucket) ?? 0)];
}

test('an empty sketch counts nobody, in one byte', () => {
  assert.equal(new Sketch().count(), 0);
  assert.deepEqual([...new Sketch().bytes()], [2]);
  assert.equal(read(new Sketch().bytes()).count(), 0);
});

test('the bytes of each kind', () => {
  const [low, high] = [entryOf(1, 2, 3), entryOf(4095, 4095, 53)];
  assert.deepEqual([...Sketch.of([high, low]).bytes()], [2, 0x00, 0x04, 0x00, 0x83, 0x3f, 0xff, 0xff, 0xf5]);
  assert.deepEqual([...Sketch.of([high, folded(low)]).bytes()], [0, 0, 1, 3, 0x0f, 0xff, 53]);
  const all = Array.from({ length: REGISTERS }, (_, bucket) => entryOf(bucket, 0, 1 + (bucket % 53)));
  assert.deepEqual([...Sketch.of(all).bytes()], [1, ...all.map((entry) => entry % 64)]);
});

test('the same visitor again changes nothing; of two ranks the higher counts', () => {
  for (const fingerprint of [7, 0]) {
    const [lower, higher] = [entryOf(5, fingerprint, 2), entryOf(5, fingerprint, 4)];
    for (const entries of [[higher], [lower, higher], [higher, lower], [higher, higher, lower, higher]]) {
      assert.deepEqual(Sketch.of(entries).bytes(), Sketch.of([higher]).bytes());
      assert.equal(Sketch.of(entries).count(), 1);
    }
  }
});

const REFUSED: [name: string, entry: number][] = [
  ['rank 0', entryOf(5, 7, 0)], ['rank 0 of a register', entryOf(5, 0, 0)], ['rank 54', entryOf(5, 7, 54)], ['rank 63', entryOf(5, 7, 63)],
  ['register 4,096', entryOf(4096, 7, 1)], ['register -1', entryOf(-1, 7, 1)], ['a negative number', -1], ['a fraction', entryOf(5, 7, 1.5)],
  ['32 bits more', entryOf(5, 7, 1) + 2 ** 32], ['NaN', NaN], ['infinity', Infinity],
];
for (const [name, entry] of REFUSED) {
  test(`an entry that does not exist is refused: ${name}`, () => {
    assert.throws(() => new Sketch().add(entry), Error);
    assert.throws(() => Sketch.of([entryOf(1, 0, 1), entry]), Error);
  });
}

const dense = (rank: number) => Uint8Array.from({ length: 1 + REGISTERS }, (_, i) => (i === 0 ? 1 : rank));
const exact = (...entries: number[]) => {
  const bytes = Buffer.alloc(1 + entries.length * 4, 2);
  entries.forEach((entry, i) => bytes.writeUInt32BE(entry, 1 + i * 4));
  return bytes;
};
const DAMAGED: [name: string, bytes: Uint8Array][] = [
  ['nothing', new Uint8Array(0)],
  ['a kind that does not exist', Uint8Array.of(3)],
  ['a kind that does not exist, with a register', Uint8Array.of(3, 0, 5, 3)],
  ['half a register', Uint8Array.of(0, 0, 5)],
  ['a register and a byte', Uint8Array.of(0, 0, 5, 3, 0)],
  ['a register that does not exist', Uint8Array.of(0, 0x10, 0x00, 3)],
  ['a rank of 0', Uint8Array.of(0, 0, 5, 0)],
  ['a rank above 53', Uint8Array.of(0, 0, 5, 54)],
  ['a register twice', Uint8Array.of(0, 0, 5, 3, 0, 5, 4)],
  ['registers in descending order', Uint8Array.of(0, 0, 5, 3, 0, 4, 3)],
  ['dense, cut short', dense(1).subarray(0, REGISTERS)],
  ['dense and a byte', Uint8Array.of(...dense(1), 0)],
  ['dense without registers', Uint8Array.of(1)],
  ['dense, a rank above 53', dense(54)],
  ['half an entry', exact(entryOf(5, 7, 3)).subarray(0, 3)],
  ['an entry and a byte', Uint8Array.of(...exact(entryOf(5, 7, 3)), 0)],
  ['an entry of 31 bits', exact(2 ** 30 + entryOf(5, 7, 3))],
  ['an entry of 32 bits', exact(2 ** 31 + entryOf(5, 7, 3))],
  ['an entry without a fingerprint', exact(entryOf(5, 0, 3))],
  ['an entry of rank 0', exact(entryOf(5, 7, 0))],
  ['an entry of rank 54', exact(entryOf(5, 7, 54))],
  ['an entry twice', exact(entryOf(5, 7, 3), entryOf(5, 7, 3))],
  ['a visitor with two ranks', exact(entryOf(5, 7, 3), entryOf(5, 7, 4))],
  ['entries in descending order', exact(entryOf(5, 7, 3), entryOf(5, 6, 3))],
  ['129 entries', exact(...Array.from({ length: 129 }, (_, bucket) => entryOf(bucket, 1, 1)))],
];
for (const [name, bytes] of DAMAGED) {
  test(`damaged bytes are refused: ${name}`, () => {
    assert.throws(() => read(bytes), Error);
    assert.throws(() => read(Uint8Array.of(0, 0, 1, 1), bytes), Error);
  });
}

test(`bytes of any kind come back the same, also from the middle of a buffer (seed ${SEED})`, () => {
  const all = visitors(6000, SEED);
  for (const count of [1, 2, 127, 128, 129, 130, 1600, 1900, 6000]) {
    for (const entries of [all.slice(0, count), all.slice(0, count).map(folded)]) {
      const sketch = Sketch.of(entries);
      const bytes = sketch.bytes();
      assert.deepEqual([...bytes], expectedBytes(entries), `${count} visitors`);
      assert.ok(bytes.length <= 1 + REGISTERS);
      const back = read(Buffer.from([9, 9, 9, ...bytes, 9]).subarray(3, -1));
      assert.deepEqual(back.bytes(), bytes);
      assert.equal(back.count(), sketch.count());
    }
  }
});

test('registers are written sparse until dense is no longer', () => {
  for (const [used, length] of [[1364, 4093], [1365, 4096], [1366, 4097], [REGISTERS, 4097]] as const) {
    assert.equal(Sketch.of(Array.from({ length: used }, (_, i) => entryOf(REGISTERS - 1 - i, 0, 1))).bytes().length, length);
  }
});

/** Entries of a crowd; of a narrow one from 160 pairs in 4 registers, some of them with two ranks, as only hostile bytes have. */
const crowd = fc.tuple(fc.nat(), fc.oneof(fc.nat({ max: 20 }), fc.integer({ min: 100, max: 160 }), fc.integer({ min: 2000, max: 4000 })), fc.boolean())
  .map(([seed, count, narrow]) => visitors(count, seed).map((entry) => (narrow ? entryOf(Math.floor(entry / 262_144) % 4, 1 + (Math.floor(entry / 64) % 40), entry % 64) : entry)));
/** Parts of a crowd, in tenths, which overlap; of every fourth nobody knows who was in it. */
const parts = fc.array(fc.record({ from: fc.nat({ max: 9 }), tenths: fc.integer({ min: 1, max: 10 }), fold: fc.nat({ max: 3 }) }), { minLength: 1, maxLength: 6 });

test(`merging gives the same bytes in any order and grouping (seed ${SEED})`, () => {
  const kinds = [0, 0, 0];
  fc.assert(fc.property(crowd, parts, fc.array(fc.nat(), { minLength: 20, maxLength: 20 }), (all, cuts, order) => {
    const pieces = cuts.map(({ from, tenths, fold }) => {
      const piece = all.slice((from * all.length) / 10, ((from + tenths) * all.length) / 10);
      return fold === 0 ? piece.map(folded) : piece;
    });
    // Two at a time are taken from anywhere and put back as one.
    const heap = pieces.map((piece) => Sketch.of(piece).bytes());
    const picks = order.values();
    const take = () => heap.splice(picks.next().value! % heap.length, 1)[0]!;
    while (heap.length > 1) heap.push(read(take(), take()).bytes());
    const merged = heap[0]!;
    assert.deepEqual([...merged], expectedBytes(pieces.flat()));
    kinds[merged[0]!]!++;

    const count = read(merged).count();
    assert.equal(count, Sketch.of(pieces.flat()).count());
    if (merged[0] === 2) assert.equal(count, new Set(pieces.flat().map((of) => Math.floor(of / 64))).size);
  }), { seed: SEED, numRuns: 300 });
  assert.ok(kinds.every((runs) => runs >= 20), `sparse, dense, exact: ${kinds.join(', ')} of 300 runs`);
});

test('30 days of 20 visitors of the same 100 are counted exactly', () => {
  const all = visitors(100, SEED);
  const random = new Crowd(SEED + 1);
  const days = Array.from({ length: 30 }, () => Array.from({ length: 20 }, () => all[random.bits() % 100]!));
  assert.equal(read(...days.map((day) => Sketch.of(day).bytes())).count(), new Set(days.flat()).size);
});

test('the 129th visitor makes it registers only, for ever', () => {
  const all = visitors(129, SEED);
  const sketch = Sketch.of(all.slice(0, 128));
  assert.equal(sketch.count(), 128);
  assert.equal(sketch.bytes()[0], 2);
  sketch.add(all[128]!);
  assert.equal(sketch.bytes()[0], 0);
  assert.deepEqual(read(sketch.bytes(), Sketch.of(all.slice(0, 3)).bytes()).bytes(), sketch.bytes());
});

// Over 2,000 seeds 2,000 × 128 × 127 / 2 / (4096 × 4095) = 0.97 pairs are expected to be shared; five or more would have
// a probability of 0.3 %.
test('1 to 128 visitors are counted exactly (seeds 1 to 2000)', () => {
  let shared = 0;
  for (let seed = 1; seed <= 2000; seed++) {
    const sketch = new Sketch();
    const pairs = new Set<number>();
    const from = new Crowd(seed);
    for (let count = 1; count <= EXACT; count++) {
      const drawn = from.next();
      sketch.add(drawn);
      pairs.add(Math.floor(drawn / 64));
      if (sketch.count() !== pairs.size) assert.fail(`seed ${seed}: ${sketch.count()} for ${pairs.size} pairs`);
    }
    shared += EXACT - pairs.size;
  }
  assert.ok(shared <= 4, `${shared} pairs were shared`);
});

test('the bytes of a sketch count as many as the sketch', () => {
  for (const count of [0, 1, 127, 128, 129, 1000, 1400, 5000, 50_000]) {
    const sketch = sketchOf(count, SEED);
    assert.equal(countOf(sketch.bytes()), sketch.count(), String(count));
  }
});

test('what is no sketch is not counted', () => {
  for (const bytes of [[], [3], [2, 0, 0, 0], [0, 0, 1], [0, 0, 1, 64], [1, 0], [2, 0, 4, 0, 65, 0, 4, 0, 65]]) assert.throws(() => countOf(Uint8Array.from(bytes)), /accepts/, String(bytes));
});

/** The table of docs/visitors.md. Seeds are 1 to so many: as many as take little time. */
const MEASURED: [count: number, seeds: number][] = [
  [10, 2000], [50, 2000], [100, 2000], [128, 2000], [129, 2000], [1_000, 2000], [10_000, 400], [100_000, 100], [1_000_000, 20], [10_000_000, 5],
];
const percent = (share: number) => Number((share * 100).toPrecision(4));

for (const [count, seeds] of MEASURED) {
  test(`${count} visitors: the error is that of the theory (seeds 1 to ${seeds})`, (t) => {
    const differences: number[] = [];
    let stored = 0;
    for (let seed = 1; seed <= seeds; seed++) {
      const sketch = sketchOf(count, seed);
      differences.push(sketch.count() - count);
      stored += sketch.bytes().length;
    }
    const errors = differences.map((difference) => difference / count);
    const mean = errors.reduce((sum, error) => sum + error, 0) / seeds;
    const rms = Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / seeds);
    const worst = errors.reduce((most, error) => (Math.abs(error) > Math.abs(most) ? error : most), 0);
    const row = [
      count.toLocaleString('en'), seeds.toLocaleString('en'), percent(mean), percent(rms), percent(worst),
      count <= EXACT ? 'exact' : percent(STANDARD_ERROR), Math.round(stored / seeds).toLocaleString('en'),
    ];
    t.diagnostic(`| ${row.join(' | ')} |`);

    if (count <= EXACT) {
      // Of the pairs shared by chance (100 visitors: 0.6 in 2,000 seeds) four more than expected; each is one visitor less.
      assert.ok(differences.every((difference) => difference === 0 || difference === -1));
      const missing = differences.filter((difference) => difference !== 0).length;
      assert.ok(missing <= 4 + (seeds * count * (count - 1)) / 2 / PAIRS, `${missing} visitors are missing`);
      return;
    }
    // The mean of so many has an error of 1/√seeds of one's, their root mean square one of 1/√(2 seeds) of itself: three
    // of these are granted, and five standard errors to a single count.
    assert.ok(Math.abs(mean) <= (3 * STANDARD_ERROR) / Math.sqrt(seeds), `on average off by ${percent(mean)} %`);
    assert.ok(rms <= STANDARD_ERROR * (1 + 3 / Math.sqrt(2 * seeds)), `root mean square ${percent(rms)} %`);
    assert.ok(Math.abs(worst) <= 5 * STANDARD_ERROR, `off by ${percent(worst)} %`);
  });
}

// The original estimate changes its method at 2.5 × 4,096, and is biased there.
for (const count of [200, 5_000, 10_500, 20_000]) {
  test(`${count} visitors are counted without bias (seeds 1 to 100)`, () => {
    let sum = 0;
    for (let seed = 1; seed <= 100; seed++) sum += sketchOf(count, seed).count() / count - 1;
    assert.ok(Math.abs(sum / 100) <= (3 * STANDARD_ERROR) / Math.sqrt(100), `on average off by ${percent(sum / 100)} %`);
  });
}

for (const [part, union] of [[60, 90], [80, 120], [100, 150], [6_000, 9_000], [20_000, 30_000]] as const) {
  test(`two parts of ${part} of ${union} visitors are counted as their union (seeds 1 to 20)`, () => {
    for (let seed = 1; seed <= 20; seed++) {
      const all = visitors(union, seed);
      const count = read(Sketch.of(all.slice(0, part)).bytes(), Sketch.of(all.slice(-part)).bytes()).count();
      assert.equal(count, Sketch.of(all).count());
      const pairs = new Set(all.map((of) => Math.floor(of / 64))).size;
      if (union <= EXACT) assert.equal(count, pairs);
      else assert.ok(Math.abs(count / union - 1) <= 5 * STANDARD_ERROR, `seed ${seed}: ${count}`);
    }
  });
}

// Of n visitors the ranks of n / 4096 are in a register, so it has none above k with a probability of e^(−n / 4096 / 2^k).
// Registers spread over these probabilities evenly, without chance, must give n back: also where ranks end at 53.
test('registers as n visitors are expected to leave them are estimated as n, for n up to 2^64', () => {
  for (let n = 2 ** 9; n <= 2 ** 64; n *= 2) {
    const registers: number[] = [];
    for (let bucket = 0, rank = 0; bucket < REGISTERS; bucket++) {
      while (rank < 53 && Math.exp(-n / 4096 / 2 ** rank) < (bucket + 0.5) / REGISTERS) rank++;
      if (rank > 0) registers.push(entryOf(bucket, 0, rank));
    }
    const error = Sketch.of(registers).count() / n - 1;
    assert.ok(Math.abs(error) <= 0.002, `2^${Math.log2(n)} visitors: ${percent(error)} %`);
  }
});

test('all registers at their end are still a number, and no registers nobody', () => {
  const full = Sketch.of(Array.from({ length: REGISTERS }, (_, bucket) => entryOf(bucket, 0, 53)));
  assert.equal(full.count(), 2 ** 64);
  assert.equal(read(dense(0)).count(), 0);
  assert.equal(read(Uint8Array.of(0)).count(), 0);
});
