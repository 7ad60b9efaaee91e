// Unique visitors in at most 4 KB, mergeable over any range of time: exact up to 128 of them, a HyperLogLog beyond.
// Registers: Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog: the analysis of a near-optimal cardinality estimation
// algorithm" (2007), standard error 1.04 / √4096 = 1.6 %. Estimate: Ertl, "New cardinality estimation algorithms for
// HyperLogLog sketches" (2017), the improved raw estimator, which has no bias where the original changes its method.
// More bits of the hash while visitors are few is the idea of Heule, Nunkesser, Hall, "HyperLogLog in practice" (2013).

/** Registers; a visitor's is chosen by the upper 12 of its 64 bits. */
export const REGISTERS = 4096;
const REST_BITS = 52;
const MAX_RANK = REST_BITS + 1;

/**
 * Visitors up to which a sketch knows each. That two of n share register and fingerprint, and count as one, has a
 * probability of n(n − 1) / 2 / (4096 × 4095): 0.00007 for 50, 0.0005 for 128.
 */
export const EXACT = 128;

/** An entry, as `sql/` groups and keeps them, is (bucket × FINGERPRINTS + fingerprint) × RANKS + rank, below 2^30. */
const FINGERPRINTS = 4096;
const RANKS = 64;

/** The register (0 to 4,095) of a 64-bit hash, and its rank: the place of the first 1 in the other 52 bits, 1 to 53. */
export function registerOf(hash: bigint): { bucket: number; rank: number } {
  const unsigned = BigInt.asUintN(64, hash);
  const bucket = Number(unsigned >> BigInt(REST_BITS));
  const upper = Number((unsigned >> 32n) & 0xfffffn); // the first 20 of the 52 bits
  if (upper !== 0) return { bucket, rank: Math.clz32(upper) - 12 + 1 };
  const lower = Number(unsigned & 0xffffffffn);
  return { bucket, rank: 20 + Math.clz32(lower) + 1 };
}

// The first of a sketch's bytes, and what follows it:
/** The registers in use, ascending: 2 bytes of bucket, 1 of rank. */
const SPARSE_KIND = 0;
/** The ranks of all registers, 1 byte each. */
const DENSE_KIND = 1;
/** Entries, ascending, 4 bytes each. */
const EXACT_KIND = 2;

/**
 * A mergeable count of unique visitors. What it has become depends on all that was added, never on the order: with more
 * than EXACT visitors, or a register of which nobody knows who was in it, it is registers only, and stays so.
 */
export class Sketch {
  /** While exact: rank by visitor (bucket × FINGERPRINTS + fingerprint). */
  private readonly visitors = new Map<number, number>();
  private registers: Registers | undefined;

  /** A sketch of entries as `sql/` writes them. Throws as `add` does. */
  static of(entries: Iterable<number>): Sketch {
    const sketch = new Sketch();
    for (const entry of entries) sketch.add(entry);
    return sketch;
  }

  /**
   * Adds a visitor, or with fingerprint 0 all who were in a register.
   * @param entry (bucket × 4096 + fingerprint) × 64 + rank; bucket and fingerprint 0 to 4,095, rank 1 to 53
   * @throws Error on anything else
   */
  add(entry: number): void {
    const visitor = Math.floor(entry / RANKS);
    const bucket = Math.floor(visitor / FINGERPRINTS);
    const rank = entry % RANKS;
    check(bucket, rank);
    if (this.registers || visitor % FINGERPRINTS === 0) {
      this.onlyRegisters().raise(bucket, rank);
      return;
    }
    // A visitor has one rank; of two, which only damaged bytes have, the higher counts, in whatever order they come.
    if (rank > (this.visitors.get(visitor) ?? 0)) this.visitors.set(visitor, rank);
    if (this.visitors.size > EXACT) this.onlyRegisters();
  }

  private onlyRegisters(): Registers {
    if (this.registers) return this.registers;
    this.registers = new Registers();
    for (const [visitor, rank] of this.visitors) this.registers.raise(Math.floor(visitor / FINGERPRINTS), rank);
    this.visitors.clear();
    return this.registers;
  }

  /**
   * Adds everybody a sketch has seen.
   * @param bytes what `bytes` of that sketch gave
   * @throws Error on anything else; some of it may have been added then
   */
  merge(bytes: Uint8Array): void {
    const registers = isExact(bytes) ? undefined : this.onlyRegisters();
    readBytes(bytes, (entry) => { this.add(entry); }, (bucket, rank) => { registers!.raise(bucket, rank); });
  }

  /** The same bytes for the same visitors: at most 513 while exact; of registers the shorter kind, at most 4,097. */
  bytes(): Uint8Array {
    if (this.registers) return this.registers.bytes();
    const entries = Uint32Array.from(this.visitors, ([visitor, rank]) => visitor * RANKS + rank).sort();
    const exact = new DataView(new ArrayBuffer(1 + entries.length * 4));
    exact.setUint8(0, EXACT_KIND);
    entries.forEach((entry, i) => { exact.setUint32(1 + i * 4, entry); });
    return new Uint8Array(exact.buffer);
  }

  /** The number of unique visitors, a whole number ≥ 0: exact, or estimated from registers. */
  count(): number {
    return this.registers?.count() ?? this.visitors.size;
  }
}

/**
 * The number of unique visitors in a sketch's bytes: what `merge` into an empty one and `count` say, without registers
 * that have to be filled first.
 * @throws Error on what is no sketch
 */
export function countOf(bytes: Uint8Array): number {
  const having = new Uint16Array(MAX_RANK + 1);
  let visitors = 0;
  let used = 0;
  readBytes(bytes, () => { visitors++; }, (_, rank) => {
    used++;
    having[rank]!++;
  });
  if (isExact(bytes)) return visitors;
  having[0] = REGISTERS - used;
  return estimate(having);
}

function isExact(bytes: Uint8Array): boolean {
  return bytes[0] === EXACT_KIND;
}

/** Tells what bytes hold: visitors as entries, or registers that saw somebody. Throws on what is no sketch. */
function readBytes(bytes: Uint8Array, visit: (entry: number) => void, register: (bucket: number, rank: number) => void): void {
  const { length } = bytes;
  if (isExact(bytes) && length % 4 === 1 && length <= 1 + EXACT * 4) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, length);
    for (let i = 1, before = 0; i < length; i += 4) {
      const entry = view.getUint32(i);
      const visitor = Math.floor(entry / RANKS);
      if (visitor <= before || visitor % FINGERPRINTS === 0) {
        throw new Error(`a sketch with visitor ${visitor} after ${before}: accepts visitors with fingerprints, in ascending order`);
      }
      check(Math.floor(visitor / FINGERPRINTS), entry % RANKS);
      visit(entry);
      before = visitor;
    }
  } else if (bytes[0] === SPARSE_KIND && length % 3 === 1) {
    for (let i = 1, before = -1; i < length; i += 3) {
      const bucket = (bytes[i]! << 8) | bytes[i + 1]!;
      if (bucket <= before) throw new Error(`a sketch with register ${bucket} after ${before}: accepts registers in ascending order`);
      check(bucket, bytes[i + 2]!);
      register(bucket, bytes[i + 2]!);
      before = bucket;
    }
  } else if (bytes[0] === DENSE_KIND && length === 1 + REGISTERS) {
    for (let bucket = 0; bucket < REGISTERS; bucket++) {
      const rank = bytes[bucket + 1]!;
      if (rank === 0) continue;
      check(bucket, rank);
      register(bucket, rank);
    }
  } else {
    throw new Error(`a sketch of ${length} bytes, kind ${bytes[0]}: accepts what Sketch.bytes wrote`);
  }
}

function check(bucket: number, rank: number): void {
  if (!(bucket >= 0 && bucket < REGISTERS && rank >= 1 && rank <= MAX_RANK && Number.isInteger(rank))) {
    throw new Error(`register ${bucket} with rank ${rank}: accepts registers below ${REGISTERS} with ranks from 1 to ${MAX_RANK}`);
  }
}

/** A HyperLogLog. */
class Registers {
  /** Rank by register; 0 = has seen nobody. */
  private readonly ranks = new Uint8Array(REGISTERS);
  /** How many registers have each rank; all that an estimate needs. */
  private readonly having = new Uint16Array(MAX_RANK + 1);

  constructor() {
    this.having[0] = REGISTERS;
  }

  raise(bucket: number, rank: number): void {
    const before = this.ranks[bucket]!;
    if (rank <= before) return;
    this.ranks[bucket] = rank;
    this.having[before]!--;
    this.having[rank]!++;
  }

  bytes(): Uint8Array {
    const used = REGISTERS - this.having[0]!;
    if (used * 3 >= REGISTERS) {
      const dense = new Uint8Array(1 + REGISTERS);
      dense[0] = DENSE_KIND;
      dense.set(this.ranks, 1);
      return dense;
    }
    const sparse = new Uint8Array(1 + used * 3);
    sparse[0] = SPARSE_KIND;
    let i = 1;
    this.ranks.forEach((rank, bucket) => {
      if (rank === 0) return;
      sparse[i++] = bucket >> 8;
      sparse[i++] = bucket & 0xff;
      sparse[i++] = rank;
    });
    return sparse;
  }

  count(): number {
    return estimate(this.having);
  }
}

/** Algorithm 6 of Ertl (2017), rounded. @param having how many registers have each rank */
function estimate(having: Uint16Array): number {
  if (having[0] === REGISTERS) return 0;
  let z = REGISTERS * tau(1 - having[MAX_RANK]! / REGISTERS);
  for (let rank = MAX_RANK - 1; rank >= 1; rank--) z = 0.5 * (z + having[rank]!);
  z += REGISTERS * sigma(having[0]! / REGISTERS);
  // There are no more than 2^64 visitors to tell apart; registers all at their end would say infinity.
  return Math.round(Math.min(2 ** 64, (REGISTERS * REGISTERS) / (2 * Math.LN2 * z)));
}

/** σ of Ertl (2017), algorithm 6: what the registers that saw nobody say. 0 ≤ x < 1. */
function sigma(x: number): number {
  let power = x;
  let weight = 1;
  let sum = x;
  for (let before = NaN; sum !== before;) {
    before = sum;
    power *= power;
    sum += power * weight;
    weight += weight;
  }
  return sum;
}

/** τ of Ertl (2017), algorithm 6: what the registers at the highest rank say. 0 ≤ x ≤ 1. */
function tau(x: number): number {
  if (x === 0 || x === 1) return 0;
  let root = x;
  let weight = 1;
  let sum = 1 - x;
  for (let before = NaN; sum !== before;) {
    before = sum;
    root = Math.sqrt(root);
    weight *= 0.5;
    sum -= (1 - root) ** 2 * weight;
  }
  return sum / 3;
}
