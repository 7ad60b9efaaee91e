// An acknowledged event survives `kill -9`, and is counted once.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { DuckDBInstance } from '@duckdb/node-api';
import { api, beacon, countedUntilNow, makeSite, startProcess, temporaryFolder } from './process.ts';

const CRASHES = 4;
const SENDERS = 8;
const MOST_SENT = 20_000;

test('Every event acknowledged before a kill -9 is counted, and none twice', async (t) => {
  const data = temporaryFolder();
  const acknowledged = new Set<string>();
  let sent = 0;
  for (let crash = 0; crash < CRASHES; crash++) {
    const running = await startProcess(t, data, { FOOTFALL_DELIVER_SECONDS: '0.02', FOOTFALL_ROLLUP_SECONDS: '0.02' });
    if (crash === 0) await makeSite(running.url, 'shop');
    let killed = false;
    const senders = Array.from({ length: SENDERS }, async () => {
      while (!killed && sent < MOST_SENT) {
        const path = `/${sent++}`;
        try {
          const { status } = await beacon(running.url, 'shop', [{ name: 'page_view', url: `https://shop.example${path}` }]);
          if (status === 204) acknowledged.add(path);
        } catch {
          return; // The process is gone; this event was not acknowledged, and may or may not be there.
        }
      }
    });
    // Long enough for some rounds of delivery and rollups; the kill falls into whatever they are at.
    await pause(300 + 170 * crash);
    await running.end('SIGKILL');
    killed = true;
    await Promise.all(senders);
  }

  const last = await startProcess(t, data);
  await countedUntilNow(last.url);
  const range = `from=${new Date(Date.now() - 86_400_000).toISOString().slice(0, 10)}&to=${new Date().toISOString().slice(0, 10)}`;
  const { results } = await api<{ results: { metrics: { pageviews: number } }[] }>(last.url, 'GET', `/v1/sites/shop/stats?${range}&metrics=pageviews`);
  await last.end();

  const connection = await (await DuckDBInstance.create()).connect();
  const files = join(data, 'lake/events/*/*/*.parquet').replaceAll('\\', '/');
  const rows = await connection.runAndReadAll(`select distinct path from read_parquet('${files}')`);
  const stored = new Set(rows.getRows().map(([path]) => String(path)));
  assert.ok(acknowledged.size > 100, `only ${acknowledged.size} events were acknowledged`);
  assert.deepEqual([...acknowledged].filter((path) => !stored.has(path)), [], 'acknowledged and lost');
  assert.equal(results[0]!.metrics.pageviews, stored.size, 'each stored event counts once');
  t.diagnostic(`${acknowledged.size} of ${sent} events acknowledged over ${CRASHES} crashes, ${stored.size} stored`);
});
