// The average of the last numbers of a stream: a piece of its own, which knows nothing of what the numbers are.

/** The last numbers of a stream, at most a window of them, and their average. */
export interface MovingAverage extends Iterable<number> {
  /** How many numbers it keeps at most. */
  readonly window: number;
  /** How many it keeps now. */
  readonly length: number;
  /** Adds a number; the oldest one goes where the window is full. Throws a RangeError on what is not finite. */
  add(value: number): void;
  /** The average of the numbers it keeps, correct to the last digits of a double; undefined where there are none. */
  average(): number | undefined;
  /** One of the numbers it keeps: 0 is the oldest, −1 the newest; undefined beyond. */
  at(index: number): number | undefined;
}

/** A sum, and what rounding has taken from it so far (Neumaier 1974). */
interface Sum { total: number; lost: number }

const ZERO: Sum = { total: 0, lost: 0 };

function plus({ total, lost }: Sum, value: number): Sum {
  const sum = total + value;
  // Of the two that were added, the digits of the smaller one are those that can be lost.
  const rounding = Math.abs(total) >= Math.abs(value) ? total - sum + value : value - sum + total;
  return { total: sum, lost: lost + rounding };
}

/**
 * The numbers lie in two stacks. `newer` is added to on top, and knows the sum of all it holds. `older` is taken from on
 * top, and knows for each number the sum of it and those below, which are newer. So the sum of the window is one addition,
 * and nothing is ever subtracted: a number that has left has left no rounding error behind, whatever came before. When
 * `older` is empty, `newer` is turned over into it: each number is moved once, so `add` takes O(1) on average over any
 * window of calls, and `average` and `at` always.
 *
 * Throws a RangeError where the window is not a whole number from 1 on.
 */
export function movingAverage(window: number): MovingAverage {
  if (!Number.isSafeInteger(window) || window < 1) throw new RangeError(`window ${window}: accepts a whole number from 1 on`);
  let older: { value: number; sum: Sum }[] = [];
  let newer: number[] = [];
  let newerSum = ZERO;

  const turnOver = () => {
    let sum = ZERO;
    older = newer.reverse().map((value) => ({ value, sum: (sum = plus(sum, value)) }));
    newer = [];
    newerSum = ZERO;
  };
  const at = (index: number): number | undefined => {
    const place = index < 0 ? index + older.length + newer.length : index;
    return place < older.length ? older[older.length - 1 - place]?.value : newer[place - older.length];
  };

  return {
    window,
    get length() { return older.length + newer.length; },
    add(value) {
      if (!Number.isFinite(value)) throw new RangeError(`value ${value}: accepts a finite number`);
      if (older.length + newer.length === window) {
        if (older.length === 0) turnOver();
        older.pop();
      }
      newer.push(value);
      newerSum = plus(newerSum, value);
    },
    average() {
      const length = older.length + newer.length;
      if (length === 0) return undefined;
      const oldest = older.at(-1)?.sum ?? ZERO;
      const { total, lost } = plus(oldest, newerSum.total);
      return (total + (lost + newerSum.lost)) / length;
    },
    at,
    *[Symbol.iterator]() {
      for (let i = 0; i < older.length + newer.length; i++) yield at(i)!;
    },
  };
}
