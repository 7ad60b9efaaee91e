import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { SUM_NAMES } from '../core/metrics.ts';
import { render } from '../core/sql.ts';
import { trinoParser, type Vocabulary } from './trino.ts';

const FOLDER = join(import.meta.dirname, '..', 'sql');
const text = (file: string) => readFileSync(join(FOLDER, file), 'utf8');
/** The sums a piece of a statement names, in its order, each where it is named first. */
const sumsIn = (sql: string) => [...new Set(sql.match(new RegExp(`\\b(${SUM_NAMES.join('|')})\\b`, 'g')))];
const trino = await trinoParser();

/** A statement as it is run, each parameter being of the kind that the text around it asks for. */
function rendered(file: string): string {
  const sql = text(file);
  // It has whatever name it is asked for, so that which names there are is known to core/sql.ts alone.
  const parameters = new Proxy<Record<string, string | number | string[]>>({}, {
    get: (_, name) => {
      if (sql.includes(`in (:${String(name)})`)) return ['run-1', 'run-2'];
      return new RegExp(`[<>]=? :${String(name)}\\b`).test(sql) ? 100 : '2026-01-01';
    },
  });
  return render(sql, parameters);
}

test('A day\'s texts hold the sums in the order in which they are read', () => {
  const list = /concat_ws\([\s\S]*?\n {4}\)/.exec(text('days.sql'))![0];
  assert.deepEqual(sumsIn(list), SUM_NAMES);
});

test('A day\'s texts of values that are added up hold the sums in that order, too, and of these leave out only last ones that are 0', () => {
  const lists = /array_agg\(case([\s\S]*?)end\) as sums/.exec(text('day_items.sql'))![1]!;
  const [last, ...shorter] = [...lists.matchAll(/(?:when([\s\S]*?)then|else) concat_ws\(chr\(31\), dimension, value,([\s\S]*?)\)\n/g)]
    .map(([, zero, listed]) => ({ zero: [...(zero ?? '').matchAll(/\b(\w+) = 0\b/g)].map(([, name]) => name), listed: sumsIn(listed!) })).reverse();
  assert.deepEqual(last, { zero: [], listed: SUM_NAMES });
  assert.equal(shorter.length, 2);
  for (const { zero, listed } of shorter) assert.deepEqual([...listed, ...zero], SUM_NAMES);
});

test('An hour\'s texts hold the sums in the order in which they are read, after the quarter', () => {
  const [, first, listed] = /concat_ws\(chr\(31\), cast\(h\.(\w+) as varchar\),([\s\S]*?) order by/.exec(text('hour_items.sql'))!;
  assert.deepEqual([first, sumsIn(listed!)], ['quarter', SUM_NAMES]);
});

test('The sums of two runs are compared column by column, all of them, and so are their sketches', () => {
  const compared = [...text('changes.sql').matchAll(/\ba\.(\w+) is distinct from b\.(\w+)/g)].map(([, ofOne, ofOther]) => [ofOne, ofOther]);
  assert.deepEqual(compared, [...SUM_NAMES, 'sketch'].map((name) => [name, name]));
});

test('Every statement begins with the question it answers, and bounds what it reads', () => {
  for (const file of readdirSync(FOLDER)) {
    assert.ok(/^(-- .*\n)+/.exec(text(file))?.[0].includes('?'), file);
    assert.match(text(file), /\b(dt|run) (= |in \():/, file);
  }
});

test('Every statement is one of Trino\'s language', () => {
  for (const file of readdirSync(FOLDER)) {
    assert.deepEqual(trino(rendered(file)).errors.map((error) => `sql/${file}:${error}`), []);
  }
});

const DUCKDB_ONLY = [
  'select * exclude (a) from t',
  'select * replace (1 as a) from t',
  'select a::varchar from t',
  'from t select a',
  'select a, from t',
  'select [1, 2]',
  "select {'a': 1}",
  'select list_transform(l, lambda x: x + 1) from t',
  'select a from t qualify row_number() over (order by a) = 1',
  'select a from t group by all',
  'select distinct on (a) a from t',
  'select count(*) filter (a = 1) from t',
  'select a from t union by name select a from u',
  'select a from t limit 1 offset 1',
  'select 7 // 2',
  'select a == 1 from t',
  "select 'a' ilike 'A'",
];
test('What DuckDB accepts and Trino does not is found', async () => {
  const duckdb = await DuckDBInstance.create();
  const connection = await duckdb.connect();
  await connection.run('create table t (a integer, l integer[]); create table u (a integer)');
  for (const sql of DUCKDB_ONLY) {
    await connection.run(sql);
    assert.notDeepEqual(trino(sql).errors, [], sql);
  }
  connection.closeSync();
  duckdb.closeSync();
});

// What both engines have and take to mean the same. Before another is added here, both manuals are to be read for what
// it does with nulls, with the largest numbers, and where the order is open.
const COMMON: Vocabulary = {
  functions: new Set([
    'abs', 'chr', 'coalesce', 'concat_ws', 'length', 'mod', 'substr',
    // A part beyond the last is null to Trino and empty to DuckDB: how many there are has to be known.
    'split_part',
    // Trino's are null if one argument is, DuckDB's only if all are: none may be null.
    'greatest', 'least',
    // A sum of bigints is a bigint in Trino, which fails where it gets larger, and a hugeint in DuckDB, which Parquet has
    // not: what leaves a statement is cast, and what can get large is a decimal before it is summed up.
    'array_agg', 'count', 'max', 'min', 'sum',
    'lag', 'rank', 'row_number',
  ]),
  // A decimal always with its digits, a varchar always without: what they are else, the engines see differently. And no
  // double, since one that becomes a whole number is rounded at .5 to the even by DuckDB, and away from zero by Trino.
  types: new Set(['bigint', 'boolean', 'decimal(38,0)', 'integer', 'varchar']),
  words: new Set([
    'with', 'select', 'distinct', 'as', 'from', 'where', 'having', 'group', 'by', 'grouping', 'sets', 'order', 'desc',
    'join', 'left', 'full', 'outer', 'cross', 'on', 'unnest', 'union', 'all', 'except',
    'case', 'when', 'then', 'else', 'end', 'cast', 'filter',
    'window', 'over', 'partition', 'rows', 'row', 'between', 'unbounded', 'preceding', 'current',
    'and', 'or', 'not', 'in', 'is', 'null', 'true', 'false',
    // Not /, which is a whole number of whole numbers in Trino and a double in DuckDB.
    '=', '<>', '<', '<=', '>', '>=', '+', '-', '*', '(', ')', ',', '.', '<eof>',
  ]),
};
const beyond = (sql: string) => {
  const used = trino(sql);
  return (['functions', 'types', 'words'] as const).flatMap((kind) => [...used[kind]].filter((name) => !COMMON[kind].has(name)));
};

test('No statement uses what only one of the two engines has, or what they take to mean different things', () => {
  for (const file of readdirSync(FOLDER)) assert.deepEqual(beyond(rendered(file)), [], `sql/${file}`);
});

test('A statement beyond what the two engines have in common is found, even where the grammar allows it', () => {
  for (const [sql, found] of [
    ['select 7 / 2', ['/']],
    ['select a % 2 from t', ['%']],
    ['select l[1] from t', ['[', ']']],
    ['select list_transform(l, x -> x + 1) from t', ['list_transform', '->']],
    ['select approx_distinct(a) over (order by a) from t', ['approx_distinct']],
    ['select COLUMNS(*) from t', ['columns']],
    ['select extract(day from a), current_date from t', ['extract', 'current_date']],
    ['select t.a from t asof join u on t.a >= u.a', ['asof']],
    ['select a from t semi join u using (a)', ['semi', 'using']],
    ["select date '2026-01-01'", ['date']],
    ['select try_cast(a as text) from t', ['text', 'try_cast']],
    ['select cast(a as decimal), cast(a as varchar(3)) from t', ['decimal', 'varchar(3)']],
    ['select 1; select 2', [';']],
  ] as const) assert.deepEqual(beyond(sql), found, sql);
});

// Trino has a limit of 150 stages a query, and a scan takes up to three of them with what is joined to it and summed up.
const MOST_SCANS = 25;
const scansOf = (sql: string) => Object.fromEntries(trino(sql).scans);
const scansTooMuch = (sql: string) => Object.values(scansOf(sql)).reduce((sum, times) => sum + times, 0) > MOST_SCANS;

test('No statement scans more than Trino can carry out at once, which makes the rows of a `with` query wherever it is named', (t) => {
  for (const file of readdirSync(FOLDER)) {
    const scans = scansOf(rendered(file));
    t.diagnostic(`sql/${file}: ${Object.entries(scans).map(([table, times]) => `${times} of ${table}`).join(', ')}`);
    assert.notDeepEqual(scans, {}, `sql/${file}`);
    assert.ok(!scansTooMuch(rendered(file)), `sql/${file} scans ${JSON.stringify(scans)}: accepts ${MOST_SCANS} in all`);
  }
});

test('What a `with` query scans counts wherever it is named, however deep', () => {
  for (const [sql, scans] of [
    ['select 1', {}],
    ['select a from t join u on t.a = u.a', { t: 1, u: 1 }],
    ['select a from t where a in (select a from t as s)', { t: 2 }],
    ['with w as (select a from t) select 1', {}],
    ['with w as (select a from T) select a from w union all select a from W', { t: 2 }],
    ['with a as (select x from t), b as (select x from a join u on a.x = u.x) select x from a, b, b as c', { t: 3, u: 2 }],
    // Where a `with` query is not known, its name is a table's.
    ['with t as (select a from t) select a from t', { t: 1 }],
    ['select a from (with w as (select a from t, t as u) select a from w) as x join w on w.a = x.a', { t: 2, w: 1 }],
  ] as const) assert.deepEqual(scansOf(sql), scans, sql);

  // Short, and too much: each of the queries names the one before it twice.
  const doubling = (queries: number) =>
    `with q0 as (select a from events), ${Array.from({ length: queries }, (_, i) => `q${i + 1} as (select a from q${i} union all select a from q${i})`).join(', ')} select a from q${queries}`;
  assert.deepEqual(scansOf(doubling(7)), { events: 128 });
  assert.deepEqual([4, 5].map((queries) => scansTooMuch(doubling(queries))), [false, true]);
});
