// How the pages are built and served.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { buildPages, firstLoad } from '../../bin/pages.ts';
import { CONTENT_SECURITY_POLICY, cacheControlOf, contentTypeOf } from '../../core/pages.ts';
import { pagesOf } from '../../local/pages.ts';
import { temporaryFolder } from '../process.ts';

const folder = join(temporaryFolder(), 'pages');
const sizes = await buildPages(folder);
const pages = pagesOf(folder);
const script = readdirSync(join(folder, 'assets')).find((name) => /^index-.*\.js$/.test(name))!;

test('Both pages are built with the snippet, and what a browser loads first is counted', () => {
  assert.deepEqual(sizes.map(({ page }) => page), ['index.html', 'admin.html']);
  for (const { page, bytes } of sizes) assert.ok(bytes > 5000 && bytes <= 150_000 && bytes === firstLoad(folder, page), `${page}: ${bytes}`);
  assert.ok(readFileSync(join(folder, 't.js')).length > 100);
});

test('The first load is the page and what it names, compressed', () => {
  const own = temporaryFolder();
  mkdirSync(join(own, 'assets'));
  const files = { 'index.html': '<link href="/assets/a.css"><script src="/assets/b.js"></script><a href="/admin">', 'assets/a.css': 'a{}', 'assets/b.js': 'b()', 'assets/later.js': 'c()' };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(own, name), text);
  const size = (text: string) => gzipSync(text).length;
  assert.equal(firstLoad(own, 'index.html'), size(files['index.html']) + size('a{}') + size('b()'));
});

test('The pages answer at their paths, /admin with and without a slash', () => {
  const body = (path: string) => pages.get(path, {})?.body.toString();
  assert.match(body('/')!, /<title>Footfall<\/title>/);
  assert.match(body('/admin')!, /<title>Footfall · Admin<\/title>/);
  assert.equal(body('/admin/'), body('/admin'));
  assert.equal(body('/'), body('/index.html'));
});

test('Nothing in the pages is forbidden by their own policy', () => {
  for (const path of ['/', '/admin']) {
    const html = pages.get(path, {})!.body.toString();
    assert.doesNotMatch(html, /<style|style=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)|(?:src|href)="(?!\/assets\/)/);
  }
  assert.doesNotMatch(CONTENT_SECURITY_POLICY, /unsafe|data:|\*|http/);
});

test('Every file says what it is and how long it may be kept', () => {
  const headers = (path: string) => pages.get(path, {})!.headers;
  assert.deepEqual(['/', '/admin', '/t.js', `/assets/${script}`].map((path) => headers(path)['cache-control']), ['no-cache', 'no-cache', 'public, max-age=3600', 'public, max-age=31536000, immutable']);
  assert.deepEqual(['/', `/assets/${script}`].map((path) => headers(path)['content-type']), ['text/html; charset=utf-8', 'text/javascript; charset=utf-8']);
  for (const path of ['/', '/t.js', `/assets/${script}`]) {
    assert.equal(headers(path)['x-content-type-options'], 'nosniff');
    assert.equal(headers(path)['content-security-policy'], CONTENT_SECURITY_POLICY);
  }
  assert.equal(cacheControlOf('assets/later.js'), 'no-cache');
  assert.throws(() => contentTypeOf('assets/x.toString'), /file "assets\/x\.toString": accepts the endings html, /);
});

test('Who takes gzip gets gzip, and who has the file already gets nothing', () => {
  const plain = pages.get('/', {})!;
  for (const accepted of ['gzip', 'br, gzip;q=0.5', '*']) {
    const packed = pages.get('/', { 'accept-encoding': accepted })!;
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.deepEqual(gunzipSync(packed.body), plain.body);
  }
  for (const refused of ['identity', 'br', 'gzip;q=0, identity']) assert.equal(pages.get('/', { 'accept-encoding': refused })!.headers['content-encoding'], undefined);
  const { etag } = plain.headers;
  assert.match(etag!, /^"[\w-]{22}"$/);
  assert.deepEqual([pages.get('/', { 'if-none-match': etag })!.status, pages.get('/', { 'if-none-match': `"x", W/${etag}` })!.status, pages.get('/', { 'if-none-match': '"x"' })!.status], [304, 304, 200]);
  assert.equal(pages.get('/', { 'if-none-match': etag })!.body.length, 0);
});

for (const path of ['/../pages.sources', '/assets/../../package.json', '/%2e%2e/package.json', '//etc/passwd', '/assets', '/assets/', '', 'index.html', '/index.html/', '/__proto__', '/index.html\0', '/v1/key']) {
  test(`There is no page at ${JSON.stringify(path)}`, () => { assert.equal(pages.get(path, {}), undefined); });
}

test('A folder that was never built has no pages', () => {
  assert.equal(pagesOf(join(temporaryFolder(), 'nothing')).get('/', {}), undefined);
});
