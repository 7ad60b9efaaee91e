// Trino's grammar, which Athena speaks: whether a statement is of its language, and which words of it the statement uses.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import type { TrinoSQL, TrinoSqlListener } from 'dt-sql-parser';
import { ROOT, temporaryFolder } from './process.ts';

/** What a statement is made of, in lower case; names and values are left out. */
export interface Vocabulary {
  /** Functions called, but for those that are keywords, such as cast and grouping. */
  functions: Set<string>;
  /** Types cast to, and types of literals such as `date '2026-01-01'`. */
  types: Set<string>;
  /** Keywords, operators and punctuation. */
  words: Set<string>;
}

/** How often each table is scanned, `with` queries being none: Trino makes their rows anew wherever they are named. */
type Scans = Map<string, number>;

/** Reads statements as Trino does: `errors` say where and in the parser's words; there are none if Trino accepts the text. */
export type TrinoParser = (sql: string) => { errors: string[]; scans: Scans } & Vocabulary;

interface Bundle {
  TrinoSQL: typeof TrinoSQL;
  TrinoSqlListener: typeof TrinoSqlListener;
  TrinoSqlParser: { readonly ruleNames: readonly string[] };
}

type RuleContext = ReturnType<TrinoSQL['parse']>;

// The rules whose text is a name or a value, or is told of by `functions` or `types`.
const LEAVES = new Set(['identifier', 'nonReserved', 'string', 'number', 'type', 'typeParameter']);

// Of a table and a join after it, Trino takes these for the table's alias, and so for a join of another kind than DuckDB.
const JOINS = new Set(['anti', 'asof', 'positional', 'semi']);

/** Trino's parser. Its package imports folders, which Node does not, so what is needed of it is bundled first. */
export async function trinoParser(): Promise<TrinoParser> {
  const bundle = join(temporaryFolder(), 'trino.mjs');
  await build({
    stdin: {
      contents: `
        export { TrinoSQL } from 'dt-sql-parser/dist/parser/trino';
        export { TrinoSqlListener } from 'dt-sql-parser/dist/lib/trino/TrinoSqlListener';
        export { TrinoSqlParser } from 'dt-sql-parser/dist/lib/trino/TrinoSqlParser';`,
      resolveDir: ROOT,
    },
    outfile: bundle, bundle: true, platform: 'node', format: 'esm', logLevel: 'error',
  });
  const trino = (await import(pathToFileURL(bundle).href)) as Bundle;
  const rules = trino.TrinoSqlParser.ruleNames;

  return (sql) => {
    // What the `with` queries scan that can be named in a query, and what a `with` query and the statement do; of both the inmost last.
    const known = [new Map<string, Scans>()];
    const scans = [new Map<string, number>()];
    const parser = new trino.TrinoSQL();
    const [errors, functions, types, words] = [[] as string[], new Set<string>(), new Set<string>(), new Set<string>()];
    const tree = parser.parse(sql, ({ startLine, startColumn, message }) => errors.push(`${startLine}:${startColumn} ${message}`));
    const listener: TrinoSqlListener = Object.assign(new trino.TrinoSqlListener(), {
      enterFunctionCall: (call) => { functions.add(call.functionName().getText().toLowerCase()); },
      enterCast: (cast) => { types.add(cast.type().getText().toLowerCase()); },
      enterTypeConstructor: (literal) => { types.add(literal.getChild(0)!.getText().toLowerCase()); },
      enterQueryStatement: () => { known.push(new Map(known.at(-1))); },
      exitQueryStatement: () => { known.pop(); },
      enterNamedQuery: () => { scans.push(new Map()); },
      exitNamedQuery: (query) => { known.at(-1)!.set(query.identifier().getText().toLowerCase(), scans.pop()!); },
      enterTableName: (table) => {
        const [name, counted] = [table.getText().toLowerCase(), scans.at(-1)!];
        for (const [scanned, times] of known.at(-1)!.get(name) ?? [[name, 1] as const]) counted.set(scanned, (counted.get(scanned) ?? 0) + times);
      },
      visitTerminal: (node) => {
        const word = node.getText().toLowerCase();
        const rule = (node.parent as RuleContext).ruleIndex;
        if (!LEAVES.has(rules[rule]!) || JOINS.has(word)) words.add(word);
      },
    } satisfies Partial<TrinoSqlListener>);
    parser.listen(listener, tree);
    return { errors, functions, types, words, scans: scans[0]! };
  };
}
