// 64-bit hashes. SHA-256 because the inputs are a client's: with a weaker hash, made-up ids could be chosen to
// collide and take other events with them.
import { hash } from 'node:crypto';

/**
 * 64 bits of SHA-256 over the parts, as a signed integer (Parquet's bigint). The length of each part goes in too, so
 * that ("a", "bc") and ("ab", "c") differ.
 */
export function hash64(...parts: readonly string[]): bigint {
  let joined = '';
  for (const part of parts) joined += `${part.length}:${part}`;
  return hash('sha256', joined, 'buffer').readBigInt64BE(0);
}
