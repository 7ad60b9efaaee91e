// Times by how often they occurred, in memory that does not grow with them. before: bench/load.ts; next: bench/report.ts

/** Buckets of each power of two: a value is told to within 1/128 of itself. */
const PARTS = 128;
const PART_BITS = 7;
const LARGEST = 2 ** 31 - 1;

/** The bucket of a whole number from 0 to LARGEST: below PARTS each has its own, above it they widen with the numbers. */
function bucketOf(value: number): number {
  const shift = Math.max(0, 31 - Math.clz32(value) - PART_BITS);
  return shift * PARTS + (value >>> shift);
}

/** The middle of a bucket. */
function middleOf(bucket: number): number {
  const shift = Math.max(0, Math.floor(bucket / PARTS) - 1);
  return (bucket - shift * PARTS) * 2 ** shift + (2 ** shift - 1) / 2;
}

/** A count of times, of which shares can be told to within 0.8 %. */
export class Histogram {
  readonly #counts = new Float64Array(bucketOf(LARGEST) + 1);
  #count = 0;
  #max = 0;

  /** @param ms from 0; half an hour and more is told as such in `max` only */
  add(ms: number): void {
    this.#counts[bucketOf(Math.min(LARGEST, Math.max(0, Math.round(ms * 1000))))]!++;
    this.#count++;
    if (ms > this.#max) this.#max = ms;
  }

  get count(): number {
    return this.#count;
  }

  /** The longest, ms, as it was added; 0 where there was none. */
  get max(): number {
    return this.#max;
  }

  /** The ms that `share` (0 to 1) of the times do not exceed; NaN where there are none. */
  percentile(share: number): number {
    let left = Math.max(1, Math.ceil(share * this.#count));
    const bucket = this.#counts.findIndex((count) => (left -= count) <= 0);
    return bucket === -1 ? NaN : middleOf(bucket) / 1000;
  }
}
