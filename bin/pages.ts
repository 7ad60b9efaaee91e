// `npm start` begins with it: builds the pages and the snippet into dist/pages, unless they are built from just these sources.
// before: dashboard/, tracker/; next: local/pages.ts, lib/pages.ts
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { COLLECT_ELSEWHERE, CONFIG, SNIPPET, type PagesConfig } from '../core/pages.ts';
import { isMain } from '../local/main.ts';
import { PAGES_FOLDER } from '../local/pages.ts';

const ROOT = join(import.meta.dirname, '..');
// Beside the folder, all of which is served: what it was built from, and the snippet for doors that are elsewhere (lib/pages.ts).
const BUILT_FROM = join(ROOT, 'dist', 'pages.sources');
const ELSEWHERE = join(ROOT, 'dist', 'snippet-elsewhere.js');
const SOURCES = ['dashboard', 'tracker', 'core', 'bin/pages.ts', 'package-lock.json'];
/** Most bytes, compressed, that a browser loads before a page is there. */
const MOST_BYTES = 150_000;

/** One digest of everything that the pages are made of. */
function digestOfSources(): string {
  const digest = createHash('sha256');
  for (const source of SOURCES) {
    const path = join(ROOT, source);
    const files = statSync(path).isFile() ? [path] : readdirSync(path, { recursive: true, encoding: 'utf8' }).map((name) => join(path, name)).filter((name) => statSync(name).isFile()).sort();
    for (const file of files) digest.update(`${file.slice(ROOT.length)}\n${readFileSync(file).length}\n`).update(readFileSync(file));
  }
  return digest.digest('hex');
}

/** Whether dist/pages is what these sources make. */
function isBuilt(digest: string): boolean {
  return existsSync(PAGES_FOLDER) && existsSync(ELSEWHERE) && existsSync(BUILT_FROM) && readFileSync(BUILT_FROM, 'utf8') === digest;
}

/** The bytes, compressed, that a browser loads for a page: itself, and what its text names. */
export function firstLoad(folder: string, page: string): number {
  const html = readFileSync(join(folder, page), 'utf8');
  const named = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map(([, file]) => file!);
  return [page, ...named].reduce((sum, file) => sum + gzipSync(readFileSync(join(folder, file))).length, 0);
}

/** Builds both pages and the snippet into `folder`. Throws where the first load of a page is larger than it may be. */
export async function buildPages(folder: string): Promise<{ page: string; bytes: number }[]> {
  const [{ build }, { buildTracker }] = await Promise.all([import('vite'), import('../tracker/build.ts')]);
  const pages = ['index.html', 'admin.html'];
  await build({
    root: join(ROOT, 'dashboard'),
    configFile: false,
    publicDir: false,
    logLevel: 'warn',
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      outDir: folder,
      emptyOutDir: true,
      // Both colours of each theme stand in one declaration (`light-dark()`), which these understand.
      target: ['chrome123', 'firefox120', 'safari17.5'],
      // What is put into the text as `data:` is not allowed to load.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      rolldownOptions: { input: pages.map((page) => join(ROOT, 'dashboard', page)) },
    },
  });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, SNIPPET), await buildTracker());
  writeFileSync(join(folder, CONFIG), JSON.stringify({ collect: '' } satisfies PagesConfig));
  const sizes = pages.map((page) => ({ page, bytes: firstLoad(folder, page) }));
  const tooLarge = sizes.filter(({ bytes }) => bytes > MOST_BYTES);
  if (tooLarge.length > 0) throw new Error(tooLarge.map(({ page, bytes }) => `dashboard/${page}: ${bytes} bytes compressed at the first load: accepts at most ${MOST_BYTES}`).join('; '));
  return sizes;
}

async function main(): Promise<void> {
  const digest = digestOfSources();
  if (isBuilt(digest)) {
    process.stdout.write('The pages are built already\n');
    return;
  }
  for (const { page, bytes } of await buildPages(PAGES_FOLDER)) process.stdout.write(`dashboard/${page}: ${Math.round(bytes / 1000)} KB of ${MOST_BYTES / 1000} KB, compressed\n`);
  const { buildTracker } = await import('../tracker/build.ts');
  writeFileSync(ELSEWHERE, await buildTracker({ collect: COLLECT_ELSEWHERE }));
  writeFileSync(BUILT_FROM, digest);
}

if (isMain(import.meta.filename)) await main();
