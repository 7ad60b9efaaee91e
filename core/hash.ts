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
  // Of text out of the hash, each character a byte: 0.3 µs, where a Buffer is 1.2.
  const bytes = hash('sha256', joined, 'binary');
  for (let i = 0; i < 8; i++) FIRST.setUint8(i, bytes.charCodeAt(i));
  return FIRST.getBigInt64(0);
}

const FIRST = new DataView(new ArrayBuffer(8));
