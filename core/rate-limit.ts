// How often a key may ask: a bucket of tokens for each, which fills at an even rate up to a burst. In memory, so where
// several instances answer, each has buckets of its own.
import QuickLRU from 'quick-lru';
import type { Clock } from './ports.ts';

export type RateLimit = {
  /** Requests a second in the long run. */
  per_second: number;
  /** Requests at once, after a pause. */
  burst: number;
};

export const DEFAULT_RATE_LIMIT: RateLimit = { per_second: 10, burst: 50 };

/** What became of one request. */
export interface Allowance {
  allowed: boolean;
  /** Whole requests that would be allowed now. */
  remaining: number;
  /** Seconds, rounded up, until the bucket is full again, and until there is one request in it. */
  fullInS: number;
  nextInS: number;
}

/** Keys whose buckets are remembered; one that is forgotten begins with a full one. */
const MAX_KEYS = 10_000;

/** Tokens of a request: a millisecond fills `per_second` of them, so that they are whole numbers and nothing is lost in adding up. */
const REQUEST = 1000;

/** Takes one request from the bucket of a key, if there is one in it. */
export function rateLimiter(clock: Clock): (id: string, limit: RateLimit) => Allowance {
  const buckets = new QuickLRU<string, { tokens: number; at: number }>({ maxSize: MAX_KEYS });
  return (id, { per_second, burst }) => {
    const now = clock();
    const { tokens: before, at } = buckets.get(id) ?? { tokens: burst * REQUEST, at: now };
    // A clock that is set back fills nothing.
    const filled = Math.min(burst * REQUEST, before + Math.max(0, now - at) * per_second);
    const allowed = filled >= REQUEST;
    const tokens = allowed ? filled - REQUEST : filled;
    buckets.set(id, { tokens, at: now });
    const seconds = (missing: number) => Math.ceil(Math.max(0, missing) / (per_second * REQUEST));
    return { allowed, remaining: Math.floor(tokens / REQUEST), fullInS: seconds(burst * REQUEST - tokens), nextInS: seconds(REQUEST - tokens) };
  };
}
