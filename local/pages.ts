// The pages on one machine: read once at the start, kept in memory as they are and compressed.
// before: bin/pages.ts builds them; next: local/http.ts
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { join, sep } from 'node:path';
import { gzipSync } from 'node:zlib';
import Negotiator from 'negotiator';
import { PAGE_HEADERS, PAGE_PATHS, cacheControlOf, contentTypeOf } from '../core/pages.ts';

export interface Page { status: 200 | 304; headers: Record<string, string>; body: Buffer }

export interface Pages {
  /** The answer to a GET of a path (as it stands in the request, without the query); undefined where there is no page. */
  get(path: string, headers: IncomingHttpHeaders): Page | undefined;
}

interface Kept { headers: Record<string, string>; body: Buffer; compressed: Buffer }

/** Where `npm run` puts what `bin/pages.ts` builds. */
export const PAGES_FOLDER = join(import.meta.dirname, '..', 'dist', 'pages');

/**
 * The pages of a folder. A path is only ever looked up among the files that were there at the start, so none can lead
 * out of the folder. A folder that is not there has no pages.
 */
export function pagesOf(folder: string): Pages {
  const files = new Map(filesIn(folder).map((file) => [`/${file}`, kept(folder, file)]));
  for (const [path, file] of Object.entries(PAGE_PATHS)) {
    const page = files.get(`/${file}`);
    if (page) files.set(path, page);
  }
  return {
    get(path, { 'accept-encoding': accepted, 'if-none-match': known }) {
      const page = files.get(path);
      if (!page) return undefined;
      const { headers, body, compressed } = page;
      if (known !== undefined && known.split(',').some((tag) => tag.trim().replace(/^W\//, '') === headers.etag)) {
        return { status: 304, headers, body: Buffer.alloc(0) };
      }
      const encoding = new Negotiator({ headers: { 'accept-encoding': accepted ?? 'identity' } }).encoding(['gzip', 'identity']);
      return encoding === 'gzip' ? { status: 200, headers: { ...headers, 'content-encoding': 'gzip' }, body: compressed } : { status: 200, headers, body };
    },
  };
}

function filesIn(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []; // Nothing has been built.
    throw error;
  }
  return names.filter((name) => statSync(join(folder, name)).isFile()).map((name) => name.split(sep).join('/'));
}

function kept(folder: string, file: string): Kept {
  const body = readFileSync(join(folder, file));
  const headers = {
    ...PAGE_HEADERS,
    'content-type': contentTypeOf(file),
    'cache-control': cacheControlOf(file),
    etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
    vary: 'accept-encoding',
  };
  return { headers, body, compressed: gzipSync(body, { level: 9 }) };
}
