// The functions' code as it is uploaded.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { ENVIRONMENT } from '../../lambdas/environment.ts';
import { bundle, limitOf } from '../../lib/bundle.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'footfall-dist-'));
after(() => { rmSync(folder, { recursive: true, force: true }); });

const bundles = bundle(folder);

test('Every function has a bundle, none larger than it may be', () => {
  assert.deepEqual(bundles.map(({ name }) => name).sort(), Object.keys(ENVIRONMENT).sort());
  for (const { name, bytes, limit } of bundles) {
    assert.equal(readFileSync(join(folder, name, 'index.mjs')).byteLength, bytes);
    assert.ok(bytes <= limit, `${name}: ${bytes} of ${limit}`);
  }
  assert.deepEqual([limitOf('transform'), limitOf('serve'), limitOf('rollup')], [600_000, 500_000, 1_000_000]);
});

test('No bundle holds an engine, a server or anything of the one-machine deployment', () => {
  for (const { name, inputs } of bundles) {
    assert.ok(inputs.includes(`lambdas/${name}.ts`));
    assert.deepEqual(inputs.filter((input) => /^(local|bench|test|lib|bin)\/|node_modules\/(@duckdb|lmdb|tsx|esbuild|aws-cdk-lib)\//.test(input)), [], name);
  }
});

test('What a function reads lies beside it', () => {
  assert.deepEqual(readdirSync(join(folder, 'rollup', 'sql')).sort(), readdirSync(join(ROOT, 'sql')).sort());
  assert.ok(existsSync(join(folder, 'transform', 'country.mmdb')));
  assert.deepEqual(readdirSync(join(folder, 'serve')), ['index.mjs']);
});

for (const name of Object.keys(ENVIRONMENT)) {
  test(`The bundle of ${name} loads without environment or network, and has a handler`, async () => {
    const { handler } = await import(pathToFileURL(join(folder, name, 'index.mjs')).href) as { handler: unknown };
    assert.equal(typeof handler, 'function');
  });
}
