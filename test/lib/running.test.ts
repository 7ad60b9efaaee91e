// The bundles as they are deployed: each in a process of its own, with nothing of the project around it, the variables
// that Lambda sets, and DynamoDB on loopback.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { beaconEnvelope } from '../../core/collect.ts';
import { newKey, storeKey } from '../../core/keys.ts';
import { checkSite, readSite, writeSite } from '../../core/sites.ts';
import { dynamoStore } from '../../lambdas/aws/store.ts';
import { ENVIRONMENT, type FunctionName } from '../../lambdas/environment.ts';
import { bundle } from '../../lib/bundle.ts';
import { createTable, startDynalite, type Dynalite } from '../dynalite.ts';
import { apiEvent, firehoseEvent } from '../lambdas/aws-events.ts';
import { temporaryFolder } from '../process.ts';

const folder = join(temporaryFolder(), 'dist');
let dynalite: Dynalite;
let table: string;
before(async () => {
  bundle(folder);
  dynalite = await startDynalite();
  table = await createTable(dynalite.client);
});
after(async () => { await dynalite.stop(); });

/** Invokes a function once; what it answers, or what it says of why it does not. */
async function invoke(name: FunctionName, event: unknown): Promise<unknown> {
  const { hostname, port } = await dynalite.client.config.endpoint!();
  const program = `
    const { handler } = await import(${JSON.stringify(pathToFileURL(join(folder, name, 'index.mjs')).href)});
    const answer = await handler(${JSON.stringify(event)}, { awsRequestId: 'request-1', getRemainingTimeInMillis: () => 60000 });
    process.stderr.write(JSON.stringify(answer) + '\\n');
    process.exit(0);`;
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '--eval', program], {
    cwd: folder,
    env: {
      // All tables are one, and nothing else is reached.
      SERVICE: 'footfall-test',
      ...Object.fromEntries(ENVIRONMENT[name].map((variable) => [variable, variable.endsWith('_TABLE') ? table : variable.endsWith('_DAYS') ? '30' : 'none'])),
      AWS_ENDPOINT_URL: `http://${hostname}:${port}`, AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test',
    },
  });
  const [answer, log] = await Promise.all([text(child.stderr), text(child.stdout)]);
  try {
    return JSON.parse(answer) as unknown;
  } catch {
    return assert.fail(`${name} said ${answer} and logged ${log}`);
  }
}

test('The functions run as they are deployed, with the credentials that Lambda puts into their environment', async () => {
  const registry = dynamoStore(dynalite.client, table, { consistent: true });
  const key = newKey('admin');
  await storeKey(registry, key, { scope: 'admin', label: '' }, '');
  const made = await invoke('admin', apiEvent({
    route: 'PUT /v1/sites/{site}', path: { site: 'shop' }, key, body: '{"name":"Shop","timezone":"Europe/Berlin","currency":"EUR"}',
  })) as { statusCode: number; body: string };
  assert.equal(made.statusCode, 200, made.body);
  assert.equal((await readSite(registry, 'shop'))?.timezone, 'Europe/Berlin');

  const read = await invoke('serve', apiEvent({ route: 'GET /v1/sites/{site}/stats', path: { site: 'shop' }, query: 'metrics=pageviews', key })) as { statusCode: number; body: string };
  assert.deepEqual([read.statusCode, (JSON.parse(read.body) as { results: unknown }).results], [200, [{ metrics: { pageviews: 0 }, partial: true }]]);

  const refused = await invoke('ingest', apiEvent({ route: 'POST /v1/events', key: newKey('write'), body: '{"events":[]}' })) as { statusCode: number };
  assert.equal(refused.statusCode, 401);
});

test('The transform runs as it is deployed: a record becomes a row with a country and a visitor', async () => {
  const registry = dynamoStore(dynalite.client, table, { consistent: true });
  await writeSite(registry, checkSite('shop', { name: 'Shop', timezone: 'UTC', currency: 'EUR' }, undefined, ''));
  const record = JSON.stringify(beaconEnvelope({ id: 'r', at: Date.UTC(2026, 10, 20, 10), ip: '8.8.8.8', userAgent: 'browser' }, '{"site":"shop","events":[{"name":"page_view"}]}'));
  const { records: [answer] } = await invoke('transform', firehoseEvent([`${record}\n`])) as { records: { result: string; data: string; metadata: unknown }[] };
  assert.deepEqual([answer!.result, answer!.metadata], ['Ok', { partitionKeys: { dt: '2026-11-20', hr: '10' } }]);
  const row = JSON.parse(Buffer.from(answer!.data, 'base64').toString()) as { site_id: string; country: string; visitor: unknown };
  assert.deepEqual([row.site_id, row.country, typeof row.visitor], ['shop', 'US', 'number']);
  assert.equal((await registry.range('salts', '', '~')).length, 1);
});
