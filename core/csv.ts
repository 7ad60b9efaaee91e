// Answers as CSV (RFC 4180), for a spreadsheet: a line a result, a column a metric.
import { stringify } from 'csv-stringify/sync';
import type { MetricName } from './metrics.ts';
import type { MetricValues } from './serve.ts';

/** A result of any read. */
interface Result { metrics?: MetricValues; comparison?: MetricValues; change?: MetricValues }

/** The metrics of a result as columns of their own: `visits`, and beside it `visits_comparison` and `visits_change`. */
function flat({ metrics = {}, comparison, change, ...rest }: Result): Record<string, unknown> {
  const columns: Record<string, unknown> = { ...rest };
  for (const name of Object.keys(metrics) as MetricName[]) {
    columns[name] = metrics[name];
    if (comparison) columns[`${name}_comparison`] = comparison[name];
    if (change) columns[`${name}_change`] = change[name];
  }
  return columns;
}

/**
 * The results as CSV with a line of names; what is null or absent is an empty cell. A text that a spreadsheet would take
 * for a formula gets an apostrophe in front: pages and sources are whatever a client sent. It begins with a byte order
 * mark, without which a spreadsheet does not take it for UTF-8.
 */
export function csvOf({ query, results }: { query: { metrics?: readonly MetricName[] }; results: readonly Result[] }): string {
  const lines = results.map(flat);
  // Only a breakdown can have no results.
  const columns = lines.length > 0 ? [...new Set(lines.flatMap(Object.keys))] : ['value', ...(query.metrics ?? [])];
  return stringify(lines, { bom: true, header: true, columns, escape_formulas: true, record_delimiter: 'windows', cast: { boolean: String } });
}
