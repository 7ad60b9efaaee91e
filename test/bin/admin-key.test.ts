import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { findKey, isKey, listKeys } from '../../core/keys.ts';
import { dynamoStore } from '../../lambdas/aws/store.ts';
import { createTable, startDynalite } from '../dynalite.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'admin-key.ts');

test('The command makes a key that opens the installation, shows it once, and makes no second one unasked', async (t) => {
  const dynalite = await startDynalite();
  t.after(() => dynalite.stop());
  const table = await createTable(dynalite.client);
  const registry = dynamoStore(dynalite.client, table, { consistent: true });
  const { hostname, port } = await dynalite.client.config.endpoint!();
  const run = async (...options: string[]) => {
    const child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, '--table', table, ...options], {
      env: { PATH: process.env.PATH, AWS_ENDPOINT_URL: `http://${hostname}:${port}`, AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' },
    });
    const [out, error, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit') as Promise<[number]>]);
    return { code, out: out.trim(), error };
  };

  const first = await run();
  assert.equal(first.code, 0, first.error);
  assert.ok(isKey(first.out, 'admin'), first.out);
  assert.equal((await findKey(registry, `Bearer ${first.out}`))?.scope, 'admin');

  const second = await run();
  assert.deepEqual([second.code, second.out], [1, '']);
  assert.match(second.error, /^admin-key: there is an admin key already \(made by the deployer, made .*\): pass --another for one more$/m);
  assert.ok(!second.error.includes(first.out));

  const another = await run('--another', '--label', 'mine');
  assert.equal(another.code, 0, another.error);
  assert.notEqual(another.out, first.out);
  assert.deepEqual((await listKeys(registry)).map(({ label }) => label).sort(), ['made by the deployer', 'mine']);
});
