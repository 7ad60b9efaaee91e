import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SUM_NAMES } from '../core/metrics.ts';

const FOLDER = join(import.meta.dirname, '..', 'sql');
const text = (file: string) => readFileSync(join(FOLDER, file), 'utf8');
/** The sums a piece of a statement names, in its order, each where it is named first. */
const sumsIn = (sql: string) => [...new Set(sql.match(new RegExp(`\\b(${SUM_NAMES.join('|')})\\b`, 'g')))];

test('A day\'s texts hold the sums in the order in which they are read', () => {
  const list = /concat_ws\([\s\S]*?\n {4}\)/.exec(text('days.sql'))![0];
  assert.deepEqual(sumsIn(list), SUM_NAMES);
});

test('The sums of two runs are compared column by column, all of them and in the same order', () => {
  const selects = [...text('changes.sql').matchAll(/select\s+site_id, local_day, quarter([\s\S]*?)from hours/g)].map((match) => sumsIn(match[1]!));
  assert.equal(selects.length, 4);
  for (const select of selects) assert.deepEqual(select, SUM_NAMES);
});

test('Every statement begins with the question it answers, and bounds what it reads', () => {
  for (const file of readdirSync(FOLDER)) {
    assert.ok(/^(-- .*\n)+/.exec(text(file))?.[0].includes('?'), file);
    assert.match(text(file), /\b(dt|run) (= |in \():/, file);
  }
});

// Words of one engine only, and integer division, which the two do differently.
const UNCOMMON = /\b(from_unixtime|to_unixtime|approx_distinct|approx_percentile|date_parse|date_format|date_add|json_extract_scalar|cardinality|qualify|asof|exclude|struct_pack|list_transform|strftime|epoch_ms)\b|[^*/]\/[^*/]/i;
test('No statement uses what only one of the two engines has', () => {
  for (const file of readdirSync(FOLDER)) assert.doesNotMatch(text(file).replace(/--.*$/gm, ''), UNCOMMON, file);
});
