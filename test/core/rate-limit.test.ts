import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rateLimiter } from '../../core/rate-limit.ts';

const LIMIT = { per_second: 10, burst: 50 };

function limiter() {
  const time = { now: Date.parse('2026-11-20T10:00:00Z') };
  const take = rateLimiter(() => time.now);
  return { time, take, taken: (key: string, times: number) => Array.from({ length: times }, () => take(key, LIMIT)).filter(({ allowed }) => allowed).length };
}

test('After a pause 50 requests are allowed at once, and the next one is not', () => {
  const { taken, take } = limiter();
  assert.equal(taken('a', 50), 50);
  assert.deepEqual(take('a', LIMIT), { allowed: false, remaining: 0, fullInS: 5, nextInS: 1 });
});

test('In the long run 10 a second are allowed, however often is asked', () => {
  const { time, taken } = limiter();
  taken('a', 50);
  let allowed = 0;
  // A minute, in steps of 10 ms, each with a request: 600 of 6,000.
  for (let i = 0; i < 6000; i++) {
    time.now += 10;
    allowed += taken('a', 1);
  }
  assert.ok(Math.abs(allowed - 600) <= 1, String(allowed));
});

test('What is left is told: so many requests, and the seconds until all of them and until the next', () => {
  const { time, take } = limiter();
  assert.deepEqual(take('a', LIMIT), { allowed: true, remaining: 49, fullInS: 1, nextInS: 0 });
  for (let i = 0; i < 30; i++) take('a', LIMIT);
  // 31 taken, 5 filled in again after half a second, then one more taken: 23 are left, 27 are missing.
  time.now += 500;
  assert.deepEqual(take('a', LIMIT), { allowed: true, remaining: 23, fullInS: 3, nextInS: 0 });
});

test('A bucket is never fuller than its burst, and no key takes from another\'s', () => {
  const { time, taken } = limiter();
  taken('a', 50);
  assert.equal(taken('b', 60), 50);
  time.now += 3_600_000;
  assert.equal(taken('a', 60), 50);
});

test('A clock that is set back fills no bucket and empties none', () => {
  const { time, taken } = limiter();
  taken('a', 20);
  time.now -= 3_600_000;
  assert.equal(taken('a', 40), 30);
});

test('A limit that is changed holds from the next request on', () => {
  const { take, taken } = limiter();
  taken('a', 10);
  assert.equal(take('a', { per_second: 1, burst: 5 }).remaining, 4);
});
