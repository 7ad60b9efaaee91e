import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..');
const FOLDERS = ['core', 'lambdas', 'local', 'lib', 'bin', 'bench', 'tracker', 'dashboard'];

interface Import { from: string; what: string; /** By a call, and not when the file is loaded. */ whenCalled: boolean }

/** Every import of the project's code: relative ones as paths from the root, others as they stand. */
function importsOf(folder: string): Import[] {
  let files: string[];
  try {
    files = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  } catch {
    return []; // A folder of a later stage that is not there yet.
  }
  return files.filter((file) => /\.(ts|tsx)$/.test(file) && !file.includes('node_modules')).flatMap((file) => {
    const path = join(ROOT, folder, file);
    const found = readFileSync(path, 'utf8').matchAll(/^\s*(?:import|export)\b[^'"]*?from\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)|^\s*import\s+['"]([^'"]+)['"]/gm);
    return [...found].map((match) => {
      const what = (match[1] ?? match[2] ?? match[3])!;
      const from = relative(ROOT, path).split(sep).join('/');
      const whenCalled = match[2] !== undefined;
      return { from, whenCalled, what: what.startsWith('.') ? relative(ROOT, resolve(dirname(path), what)).split(sep).join('/') : what };
    });
  });
}

const ALL = FOLDERS.flatMap(importsOf);
const says = ({ from, what }: Import) => `${from} imports ${what}`;
const isProject = (what: string) => FOLDERS.some((folder) => what.startsWith(`${folder}/`));

/** Rules: which imports are looked at, and which of them are allowed. */
const RULES: [rule: string, concerns: (i: Import) => boolean, allowed: (i: Import) => boolean][] = [
  ['core/ imports nothing of the project outside core/', ({ from, what }) => from.startsWith('core/') && isProject(what), ({ what }) => what.startsWith('core/')],
  ['core/ imports no SDK, server or engine', ({ from }) => from.startsWith('core/'), ({ what }) => !/^(@aws-sdk|@aws-lambda|@middy|aws-lambda|aws-cdk|@duckdb|lmdb|(node:)?(http|https|http2|net|fs|dgram|tls|cluster|worker_threads|child_process)(\/|$))/.test(what) || what === 'node:net'],
  ['core/ takes from node:net only what tells addresses apart', ({ from, what }) => from.startsWith('core/') && what === 'node:net', ({ from }) => /import \{ (BlockList, )?isIP \} from 'node:net'/.test(readFileSync(join(ROOT, from), 'utf8'))],
  ['@aws-sdk is imported only under lambdas/aws/', ({ what }) => what.startsWith('@aws-sdk/'), ({ from }) => from.startsWith('lambdas/aws/')],
  ['DuckDB and LMDB are imported only under local/ and bench/', ({ what }) => /^(@duckdb\/|lmdb$)/.test(what), ({ from }) => /^(local|bench)\//.test(from)],
  ['local/ never imports lambdas/aws/', ({ from }) => from.startsWith('local/'), ({ what }) => !what.startsWith('lambdas/aws/')],
  ['lambdas/ never imports local/', ({ from }) => from.startsWith('lambdas/'), ({ what }) => !what.startsWith('local/')],
  ['lib/ and the CDK app take of the program only core/ and what both must agree on', ({ from, what }) => /^(lib\/|bin\/(footfall|build)\.ts$)/.test(from) && isProject(what), ({ what }) => /^(lib|core)\//.test(what) || what === 'lambdas/environment.ts'],
  ['lib/ never imports bin/, and nobody else imports either', ({ what }) => /^(lib|bin)\//.test(what), ({ from, what }) => from.startsWith('lib/') ? what.startsWith('lib/') : from.startsWith('bin/')],
  ['the CDK is imported only in lib/ and bin/', ({ what }) => /^(aws-cdk-lib|constructs|cdk-nag)(\/|$)/.test(what), ({ from }) => /^(lib|bin)\//.test(from)],
  ['lambdas/environment.ts imports nothing, so that lib/ brings no SDK with it', ({ from }) => from === 'lambdas/environment.ts', () => false],
  ['tracker/ imports nothing of the project', ({ from, what }) => from.startsWith('tracker/') && isProject(what), () => false],
  ['dashboard/ takes from the project only core/', ({ from, what }) => from.startsWith('dashboard/') && isProject(what), ({ what }) => /^(dashboard|core)\//.test(what)],
  ['only bin/ imports what is built for browsers', ({ what }) => /^(tracker|dashboard)\//.test(what), ({ from }) => /^(tracker|dashboard|bin)\//.test(from)],
  ['the program never imports bench/ or test/', ({ from }) => !from.startsWith('bench/'), ({ what }) => !/^(bench|test)\//.test(what)],
];

for (const [rule, concerns, allowed] of RULES) {
  test(rule, () => {
    assert.deepEqual(ALL.filter((one) => concerns(one) && !allowed(one)).map(says), []);
  });
}

/** What is loaded with a file: its imports and theirs, but not those that a function makes when it is called. */
function loadedWith(file: string, seen = new Set<string>()): Set<string> {
  for (const { from, what, whenCalled } of ALL) {
    if (from !== file || whenCalled || seen.has(what)) continue;
    seen.add(what);
    loadedWith(what, seen);
  }
  return seen;
}

test('The one-machine deployment loads nothing that only AWS needs', () => {
  const loaded = [...loadedWith('local/start.ts')];
  assert.ok(loaded.includes('lambdas/admin.ts') && loaded.includes('core/rollup.ts'));
  assert.deepEqual(loaded.filter((what) => /^(@aws-|lambdas\/aws\/)/.test(what)), []);
});

test('The rules see the imports there are', () => {
  assert.ok(ALL.some(({ from, what }) => from === 'core/deliver.ts' && what === 'core/deliver/check.ts'));
  assert.ok(ALL.some(({ from, what }) => from === 'lib/data.ts' && what === 'lambdas/environment.ts'));
  assert.ok(ALL.some(({ from, what }) => from === 'local/lake.ts' && what === '@duckdb/node-api'));
});

test('Every platform has its binaries in the lock file, and no address of a registry stands in it', () => {
  const text = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
  const { packages } = JSON.parse(text) as { packages: Record<string, { optionalDependencies?: Record<string, string>; resolved?: string }> };
  // As Node looks for them: beside the package, or beside one of the packages it lies in.
  const found = (path: string, name: string): boolean =>
    packages[`${path}node_modules/${name}`] !== undefined || (path !== '' && found(path.slice(0, path.lastIndexOf('node_modules/')), name));
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter((name) => !found(path === '' ? '' : `${path}/`, name)));
  assert.deepEqual(missing, []);
  assert.doesNotMatch(text, /"resolved"/);
});
