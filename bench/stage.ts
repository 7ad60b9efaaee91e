// The stages, and one of them measured in this process. before: bench/run.ts, which gives each a process of its own
import { pathToFileURL } from 'node:url';
import { endWithParent } from './child.ts';
import type { BenchOptions, Measurement } from './report.ts';

/** The stages, each with what its limit is. */
export const STAGES = {
  collect: 'a bare Node HTTP server that puts each body on the same durable log, and does nothing else',
  pipeline: 'where nothing else is said, that bare server, under the same load',
  deliver: 'decoding, JSON.parse and JSON.stringify of the same bytes, and nothing else',
  rollup: 'DuckDB reading the same columns of the same files: select max(column) of each',
  growth: 'DuckDB reading the same columns of the same files: select max(column) of each',
  serve: 'the same items read from the store, and nothing done with them',
  reprocess: 'DuckDB reading all columns of the same hours, each with the hour before it: select max(column) of each',
  startup: 'the same process with an empty data folder',
} as const;

export type Stage = keyof typeof STAGES;

async function measureOf(stage: Stage): Promise<(options: BenchOptions) => Promise<Measurement[]>> {
  switch (stage) {
    case 'collect': return (await import('./collect.ts')).measure;
    case 'pipeline': return (await import('./pipeline.ts')).measure;
    case 'deliver': return (await import('./deliver.ts')).measure;
    case 'rollup': return (await import('./rollup.ts')).measure;
    case 'growth': return (await import('./growth.ts')).measure;
    case 'serve': return (await import('./serve.ts')).measure;
    case 'reprocess': return (await import('./reprocess.ts')).measure;
    case 'startup': return (await import('./startup.ts')).measure;
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  endWithParent();
  const [, , stage, options] = process.argv;
  const measure = await measureOf(stage as Stage);
  const measurements = await measure(JSON.parse(options!) as BenchOptions);
  process.send!(measurements, () => process.disconnect());
}
