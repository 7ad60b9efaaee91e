// Chance that a seed decides, for tests that make things up.

export interface Chance {
  /** A whole number from 0 to the most. */
  upTo: (most: number) => number;
  of: <T>(choices: readonly T[]) => T;
  happens: (share: number) => boolean;
}

/** Numbers from a seed (xorshift). */
export function chanceOf(seed: number): Chance {
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 10; i++) next();
  return {
    upTo: (most) => Math.floor(next() * (most + 1)),
    of: (choices) => choices[Math.floor(next() * choices.length)]!,
    happens: (share) => next() < share,
  };
}
