import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Load } from '../../core/load.ts';
import { SEPARATOR, hourItem, hourKey } from '../../core/items.ts';
import { SUM_NAMES } from '../../core/metrics.ts';
import type { ResultRow } from '../../core/ports.ts';
import { loadHandler } from '../../lambdas/load.ts';
import { MemoryStore } from '../memory.ts';
import { contextOf, noting } from './aws-events.ts';

const HOUR = '2026-11-20T10';
/** A row of `sql/hour_items.sql` as it comes out of lines of JSON: one quarter, one page view. */
function rowOf(site: string, pageviews = 1): ResultRow {
  return { site_id: site, quarters: [[1_959_736, ...SUM_NAMES.map((name) => (name === 'pageviews' ? pageviews : 0))].join(SEPARATOR)], sketches: [null] };
}

function open(rows: ResultRow[]) {
  const metrics = new MemoryStore();
  const observer = noting();
  const lake = { rows: async function* (part: string) { assert.equal(part, 'items/run=r/part-1.gz'); yield* rows; } };
  return { metrics, observer, handler: loadHandler({ lake, metrics, observer }) };
}

const LOAD: Load = { part: 'items/run=r/part-1.gz', run: 'r', of: { hour: HOUR }, sparing: false };

test('The items of every row of a part are in the store when the function answers, and it says how many', async () => {
  const sites = Array.from({ length: 1234 }, (_, i) => `site-${i}`);
  const { metrics, observer, handler } = open(sites.map((site) => rowOf(site)));
  assert.deepEqual(await handler(LOAD, contextOf()), { written: 1234 });
  assert.deepEqual(metrics.all().map(({ pk }) => pk).sort(), sites.sort());
  assert.deepEqual(metrics.all()[0]!.sums, [{ pageviews: 1 }]);
  assert.deepEqual(observer.counts, { ItemsWritten: 1234 });
});

test('A sparing load writes only the items that differ from the store, whatever run those name', async () => {
  const { metrics, handler } = open([rowOf('same'), rowOf('other', 2), rowOf('new')]);
  await metrics.put([hourItem(HOUR, 'before', rowOf('same')), hourItem(HOUR, 'before', rowOf('other'))]);
  assert.deepEqual(await handler({ ...LOAD, sparing: true }, contextOf()), { written: 2 });
  const runs = await Promise.all(['same', 'other', 'new'].map(async (site) => (await metrics.get(site, hourKey(HOUR)))!.run));
  assert.deepEqual(runs, ['before', 'r', 'r']);
});
