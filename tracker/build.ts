// The tracker as a page loads it: one small script, put together by esbuild. before: tracker/t.ts; next: bin/pages.ts
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/** Most bytes of the script, compressed: every page of every merchant loads it. */
export const TRACKER_BYTES = 2_048;
/** The browsers of the last five years. */
const BROWSERS = ['chrome95', 'edge95', 'firefox94', 'safari15'];

export interface TrackerOptions {
  /** The address of the browser doors, with a slash at its end; where the script itself comes from, if it is not given. */
  collect?: string;
  /** Most bytes, compressed. */
  accepted?: number;
}

/** The script's text. Throws where it has more bytes, compressed, than it may have. */
export async function buildTracker({ collect, accepted = TRACKER_BYTES }: TrackerOptions = {}): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 't.ts')], bundle: true, write: false, format: 'iife', target: BROWSERS, minify: true, legalComments: 'none', logLevel: 'warning',
    define: { COLLECT: JSON.stringify(collect ?? '') },
    // Without it, TypeScript's settings add a "use strict" that the script does without.
    tsconfigRaw: {},
  });
  const { text } = outputFiles[0]!;
  const bytes = compressedBytes(text);
  if (bytes > accepted) throw new Error(`tracker/t.ts: ${bytes} bytes with gzip: accepts at most ${accepted}`);
  return text;
}

/** Bytes of the script as it goes over the wire, with gzip's level 9. */
export function compressedBytes(script: string): number {
  return gzipSync(script, { level: 9 }).length;
}
