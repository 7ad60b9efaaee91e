// The pages: the merchant's, the operator's, and the snippet for shops. What both deployments must agree on: paths,
// headers, and how long a browser may keep what. before: bin/pages.ts builds them; next: local/pages.ts, lib/pages.ts

/** The file of each path that is not the file's own name. */
export const PAGE_PATHS: Readonly<Record<string, string>> = { '/': 'index.html', '/admin': 'admin.html', '/admin/': 'admin.html' };

/** The snippet that shops embed: the one file that pages of others load. */
export const SNIPPET = 't.js';

/** Where the build puts what has the hash of its content in its name. */
const HASHED = /^assets\/[\w-]+-[\w-]{8}\.\w+$/;

/**
 * What a page may load, and do: nothing from elsewhere, no script or style that stands in the text, no form that the
 * browser itself would send, and nobody's frame.
 */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'self'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self'",
  "object-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
].join('; ');

/** Headers of every page and file. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
};

/** `Cache-Control` of a file (by its path under the build's folder): a name with a hash never changes its content. */
export function cacheControlOf(file: string): string {
  if (HASHED.test(file)) return 'public, max-age=31536000, immutable';
  return file === SNIPPET ? 'public, max-age=3600' : 'no-cache';
}

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8', json: 'application/json', js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8', svg: 'image/svg+xml',
};

/** `Content-Type` of a file. Throws on an ending that the build does not make. */
export function contentTypeOf(file: string): string {
  const ending = file.slice(file.lastIndexOf('.') + 1);
  const type = Object.hasOwn(TYPES, ending) ? TYPES[ending] : undefined;
  if (type === undefined) throw new Error(`file ${JSON.stringify(file)}: accepts the endings ${Object.keys(TYPES).join(', ')}`);
  return type;
}

/** The file that says where the browser doors are, for the snippet that pages show. */
export const CONFIG = 'config.json';
export interface PagesConfig {
  /** The doors' address, with a slash at its end; '' where it is the pages' own. */
  collect: string;
}

/** What stands in the snippet built for doors that are not where the snippet itself is; whoever uploads it puts their address there. */
export const COLLECT_ELSEWHERE = 'https://collect.invalid/';
