// The engine on its own: what a limit is measured with, and what made-up data is written with.
// before: bench/rollup.ts and others; next: DuckDB
import { join } from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { duckdbLake, type LocalLake } from '../local/lake.ts';

/** The settings of local/pipeline.ts on a machine of two cores. */
export const ENGINE = { memory: '2560MiB', threads: 2 };

/** Lends a connection to an engine of its own, with the settings of the one that is measured. */
export async function connected<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: String(ENGINE.threads), memory_limit: ENGINE.memory, autoinstall_known_extensions: 'false', autoload_known_extensions: 'false',
  });
  try {
    return await work(await instance.connect());
  } finally {
    instance.closeSync();
  }
}

/** Opens the lake of a folder as `npm start` does, with an engine that has nothing in memory of what another one read. */
export function lakeIn(folder: string): Promise<LocalLake> {
  return duckdbLake(join(folder, 'lake'), { enginePath: join(folder, 'engine.duckdb'), temporary: join(folder, 'temporary'), ...ENGINE });
}

/** A path as a text literal of SQL. */
export function sqlPath(path: string): string {
  return `'${path.replaceAll('\\', '/').replaceAll("'", "''")}'`;
}

/** Parquet files as one table. @param options of `read_parquet`, beside that columns go by name */
export function sqlFiles(files: readonly string[], options = ''): string {
  return `read_parquet([${files.map(sqlPath).join(', ')}], ${options === '' ? '' : `${options}, `}union_by_name = true)`;
}
