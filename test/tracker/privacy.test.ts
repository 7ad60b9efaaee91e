// The script of docs/privacy.md that erases a visitor or a site, as it stands there.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { start } from '../../local/start.ts';
import { ADMIN_KEY, ROOT, api, beacon, countedUntilNow, makeSite, runToEnd, temporaryFolder, until } from '../process.ts';

const PAGE = readFileSync(join(ROOT, 'docs', 'privacy.md'), 'utf8');

/** The page's script in a folder of its own, where its imports still find what they name. */
function script(): string {
  const path = join(temporaryFolder(), 'erase.mts');
  const text = /^```ts\n([\s\S]*?)^```$/m.exec(PAGE)![1]!
    .replaceAll(/from '\.\/([^']+)'/g, (_, file: string) => `from '${pathToFileURL(join(ROOT, file)).href}'`)
    .replace(`from '@duckdb/node-api'`, () => `from '${import.meta.resolve('@duckdb/node-api')}'`);
  writeFileSync(path, `export {};\n${text}`);
  return path;
}

const options = (dataFolder: string) => ({ dataFolder, port: 0, host: '127.0.0.1', adminKey: ADMIN_KEY, deliverEveryMs: 50, rollupEveryMs: 50, rollupShare: 1, report: () => undefined });
const METRICS = 'visitors,visits,pageviews,events,purchases,revenue';

/** Two sites with two named visitors and a nameless one each; resolves when all is counted and Footfall has stopped. */
async function fill(dataFolder: string): Promise<void> {
  const footfall = await start(options(dataFolder));
  for (const site of ['shop', 'other']) {
    await makeSite(footfall.url, site);
    for (const visitor of ['customer-1', 'customer-2', undefined]) {
      const url = 'https://shop.example/';
      await beacon(footfall.url, site, [
        { name: 'page_view', url, visitor },
        { name: 'purchase', url, visitor, transaction_id: `T-${visitor}`, value: 10, currency: 'EUR', items: [{ id: `product-of-${visitor}`, quantity: 2 }] },
      ]);
    }
  }
  await countedUntilNow(footfall.url);
  await footfall.stop();
}

/** Runs the script, then the command that it prints; resolves to what is counted then. */
async function erase(t: TestContext, dataFolder: string, args: string[]) {
  const { code, stdout, stderr } = await runToEnd(t, script(), [dataFolder, ...args], process.env);
  assert.equal(code, 0, stderr);
  const command = /npm run reprocess -- (--from \S+ --to \S+)$/m.exec(stdout)![1]!.split(' ');
  const footfall = await start(options(dataFolder));
  t.after(() => footfall.stop());
  const { code: done, stderr: why } = await runToEnd(t, 'local/reprocess.ts', [...command, '--url', footfall.url], { ...process.env, FOOTFALL_KEY: ADMIN_KEY });
  assert.equal(done, 0, why);
  return {
    stats: async (site: string) => (await api<{ results: [{ metrics: Record<string, number> }] }>(footfall.url, 'GET', `/v1/sites/${site}/stats?range=7d&metrics=${METRICS}`)).results[0].metrics,
    products: async (site: string) => (await api<{ results: { value: string }[] }>(footfall.url, 'GET', `/v1/sites/${site}/breakdown?range=7d&dimension=product`)).results.map(({ value }) => value).sort(),
    url: footfall.url,
  };
}

/** Everything under raw/, as it came. */
function raw(dataFolder: string): string {
  const folder = join(dataFolder, 'lake', 'raw');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.gz')).map((name) => gunzipSync(readFileSync(join(folder, name))).toString()).join('');
}

const ALL = { visitors: 3, visits: 3, pageviews: 3, events: 6, purchases: 3, revenue: 30 };

test('A visitor who is erased as docs/privacy.md says is in no number and no record any more, and everybody else is', async (t) => {
  const folder = temporaryFolder();
  await fill(folder);
  assert.match(raw(folder), /customer-1/);
  const { stats, products } = await erase(t, folder, ['shop', 'customer-1']);
  await until(async () => ((await stats('shop')).events === 4 ? true : undefined), 'the numbers without them');
  assert.deepEqual(await stats('shop'), { visitors: 2, visits: 2, pageviews: 2, events: 4, purchases: 2, revenue: 20 });
  assert.deepEqual(await products('shop'), ['product-of-customer-2', 'product-of-undefined']);
  assert.deepEqual(await stats('other'), ALL);
  assert.equal(raw(folder).match(/visitor\\":\\"customer-1\\"/g)?.length, 2, 'the two events on the other site');
  assert.match(raw(folder), /customer-2/);
});

test('A site that is erased as docs/privacy.md says is nowhere any more, and the others are as they were', async (t) => {
  const folder = temporaryFolder();
  await fill(folder);
  const { stats, url } = await erase(t, folder, ['shop']);
  await assert.rejects(stats('shop'), /404/);
  assert.deepEqual(await stats('other'), ALL);
  assert.doesNotMatch(raw(folder), /site\\":\\"shop/);
  const { sites } = await api<{ sites: { id: string }[] }>(url, 'GET', '/v1/sites');
  assert.deepEqual(sites.map(({ id }) => id), ['other']);
  // Made again, it begins with nothing.
  await makeSite(url, 'shop');
  assert.deepEqual(await stats('shop'), { visitors: 0, visits: 0, pageviews: 0, events: 0, purchases: 0, revenue: 0 });
});

test('The script of docs/privacy.md refuses while Footfall runs', async (t) => {
  const folder = temporaryFolder();
  const footfall = await start(options(folder));
  t.after(() => footfall.stop());
  const { code, stderr } = await runToEnd(t, script(), [folder, 'shop'], process.env);
  assert.notEqual(code, 0);
  assert.match(stderr, /lock/i);
});
