import assert from 'node:assert/strict';
import { test } from 'node:test';
import { render } from '../../core/sql.ts';

type Values = Parameters<typeof render>[1];

const RENDERED: [name: string, text: string, parameters: Values, expected: string][] = [
  ['text becomes a literal', 'where dt = :dt', { dt: '2026-11-20' }, "where dt = '2026-11-20'"],
  ['an empty text too', 'where value = :value', { value: '' }, "where value = ''"],
  ['a number is written as it is', 'limit :top', { top: 100 }, 'limit 100'],
  ['a negative number too', 'select :n', { n: -5 }, 'select -5'],
  ['a list becomes literals with commas', 'run in (:runs)', { runs: ['a-1', 'b-2'] }, "run in ('a-1', 'b-2')"],
  ['a list of one', 'run in (:runs)', { runs: ['a-1'] }, "run in ('a-1')"],
  ['an empty list becomes what no run is called', 'run in (:runs)', { runs: [] }, "run in ('-')"],
  ['a parameter may be used twice', ':a or :a', { a: 'x' }, "'x' or 'x'"],
  ['a longer name is another parameter', ':dt, :dt_before', { dt: 'a', dt_before: 'b' }, "'a', 'b'"],
  ['a cast stays a cast', 'select x::bigint, :x::text', { x: 1 }, 'select x::bigint, 1::text'],
  ['what stands in a comment is no parameter', 'select 1 -- not :this\n, :a', { a: 2 }, 'select 1 \n, 2'],
  ['statements without parameters stay', "select ':' || a", {}, "select ':' || a"],
  ['all characters of a name of ours', ':a', { a: 'AZaz09_.:#-' }, "'AZaz09_.:#-'"],
  ['a value that looks like a parameter is not filled in', ':a, :b', { a: ':b', b: 'x' }, "':b', 'x'"],
  ['100 characters are accepted', ':a', { a: 'x'.repeat(100) }, `'${'x'.repeat(100)}'`],
];
for (const [name, text, parameters, expected] of RENDERED) test(name, () => { assert.equal(render(text, parameters), expected); });

const UNSAFE: [name: string, value: string | number | string[]][] = [
  ['a quotation mark', "a'b"], ['an injected statement', "x'; drop table events; --"], ['a double quotation mark', 'a"b'], ['a backslash', 'a\\b'],
  ['a blank', 'a b'], ['a newline', 'a\nb'], ['a newline at the end', 'a\n'], ['NUL', 'a\u0000'], ['a slash', 'a/b'], ['a semicolon', 'a;'], ['a per cent sign', '%'],
  ['a dollar', '$1'], ['a bracket', '(a)'], ['a letter beyond ASCII', 'é'], ['a full-width quotation mark', '＇'], ['an emoji', '😀'], ['101 characters', 'x'.repeat(101)],
  ['a fraction', 1.5], ['NaN', NaN], ['Infinity', Infinity], ['a number that is not exact', 2 ** 53],
  ['a list with unsafe text in it', ['ok', "a'b"]], ['a list with a blank in it', ['a b']],
];
for (const [name, value] of UNSAFE) test(`refused: ${name}`, () => { assert.throws(() => render('select :value', { value }), /parameter value .*accepts/); });

test('a parameter that is missing is named', () => { assert.throws(() => render('select :a, :b', { a: 1 }), /parameter b is missing/); });
test('a parameter that only a comment uses is not used', () => { assert.throws(() => render('select 1 -- :a', { a: 1 }), /not used.*\ba\b/); });
test('parameters that are not used are named', () => { assert.throws(() => render('select :a', { a: 1, b: 2, c: 3 }), /not used.*b, c/); });
test('a name that every object has is not filled in', () => { assert.throws(() => render('select :constructor', {})); });
