// The Lake on one machine: Parquet files in folders, queried by DuckDB. Each query sees just the files of the
// partitions and runs it reads, as views with the names that Athena's tables have.
import { mkdir, readFile, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { ROW_COLUMNS, type ColumnType } from '../core/event.ts';
import { partitionOf, partitionPath, type Partition } from '../core/hour.ts';
import { CHANGE_COLUMNS, HOUR_COLUMNS, STEP_COLUMNS } from '../core/metrics.ts';
import type { Lake, Query, ResultRow } from '../core/ports.ts';
import { render } from '../core/sql.ts';
import { filesIn, moveIntoPlace, removeAll } from './files.ts';

const decompress = promisify(gunzip);
const SQL_FOLDER = join(import.meta.dirname, '..', 'sql');
const DUCKDB_TYPES: Record<ColumnType | 'ints', string> = {
  string: 'varchar', int: 'integer', bigint: 'bigint', hash: 'bigint', boolean: 'boolean', ints: 'integer[]',
};
const PARTITION_COLUMNS = { dt: 'string', hr: 'string' } as const;

/** The level that costs least: a run is read a few times, and soon superseded. */
const PARQUET = 'format parquet, compression zstd, compression_level 1';
/** Of what is written from memory, looking for repetitions among many values costs more than it saves. */
const PARQUET_OF_RUN = `${PARQUET}, dictionary_size_limit 1000`;

/** The statements by name; read once, so that a running process keeps the ones it was started with. */
async function readStatements(): Promise<Map<string, string>> {
  const files = (await readdir(SQL_FOLDER)).filter((file) => file.endsWith('.sql'));
  return new Map(await Promise.all(files.map(async (file) => [basename(file, '.sql'), await readFile(join(SQL_FOLDER, file), 'utf8')] as const)));
}

/** The columns of rows as DuckDB reads them from JSON. */
const JSON_COLUMNS = Object.entries(ROW_COLUMNS).map(([name, type]) => `${name}: '${DUCKDB_TYPES[type]}'`).join(', ');

export interface LocalLake extends Lake {
  /**
   * Adds rows to a partition; when it resolves, the file is complete and on disk.
   * @param jsonLines a file of one JSON object a line; it is removed
   * @param name what the new file is called, unique in its partition
   */
  addEvents(jsonLines: string, partition: Partition, name: string): Promise<void>;
  close(): void;
}

/**
 * Opens the lake in a folder. Its engine's file also is the lock on the whole data folder: a second process is refused.
 * @param options.memory what the engine may hold in memory, such as `2GB`; more is spilled to disk
 */
export async function duckdbLake(folder: string, { enginePath, temporary, memory, threads }: {
  enginePath: string; temporary: string; memory: string; threads: number;
}): Promise<LocalLake> {
  const instance = await DuckDBInstance.create(enginePath, {
    threads: String(threads),
    memory_limit: memory,
    temp_directory: temporary,
    // Rows have no order, and keeping one costs memory.
    preserve_insertion_order: 'false',
    // Both would reach for the network.
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  });
  await removeAll(temporary);
  await mkdir(temporary, { recursive: true });
  const statements = await readStatements();
  let counter = 0;
  const aside = () => join(temporary, `${process.pid}-${counter++}`);

  async function connected<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    const connection = await instance.connect();
    try {
      return await work(connection);
    } finally {
      connection.closeSync();
    }
  }

  /** A view over files, or an empty one where there are none. */
  async function view(connection: DuckDBConnection, name: string, columns: Readonly<Record<string, ColumnType | 'ints'>>, files: readonly string[], keys: Record<string, 'string'>): Promise<void> {
    const empty = Object.entries({ ...columns, ...keys }).map(([column, type]) => `cast(null as ${DUCKDB_TYPES[type]}) as ${column}`);
    const hive = Object.keys(keys).map((key) => `'${key}': 'varchar'`).join(', ');
    const select = files.length === 0
      ? `select ${empty.join(', ')} where false`
      : `select * from read_parquet([${files.map(text).join(', ')}], hive_partitioning = true, hive_types = {${hive}}, union_by_name = true)`;
    await connection.run(`create temp view ${name} as ${select}`);
  }

  async function prepareViews(connection: DuckDBConnection, { events, steps, hours, changes }: Query['reads']): Promise<void> {
    if (events) await view(connection, 'events', ROW_COLUMNS, await filesOf(folder, events.map(eventsPath)), PARTITION_COLUMNS);
    if (steps) await view(connection, 'steps', STEP_COLUMNS, await filesOf(folder, steps.map((run) => `steps/run=${run}`)), { run: 'string' });
    if (hours) await view(connection, 'hours', HOUR_COLUMNS, await filesOf(folder, hours.map((run) => `hours/run=${run}`)), { run: 'string' });
    if (changes) await view(connection, 'changes', CHANGE_COLUMNS, await filesOf(folder, changes.map((run) => `changes/run=${run}`)), { run: 'string' });
  }

  return {
    async unload({ statement, reads, parameters }, prefix) {
      const sql = render(statements.get(statement)!, parameters);
      const written = aside();
      await mkdir(written, { recursive: true });
      await connected(async (connection) => {
        await prepareViews(connection, reads);
        await connection.run(`copy (${sql}) to ${text(join(written, 'part-0.parquet'))} (${PARQUET_OF_RUN})`);
      });
      const target = join(folder, prefix);
      await removeAll(target);
      await moveIntoPlace(written, target);
      return [`${prefix}/part-0.parquet`];
    },

    async *rows(part) {
      const connection = await instance.connect();
      try {
        const result = await connection.stream(`select * from read_parquet(${text(join(folder, part))}, hive_partitioning = false)`);
        for await (const rows of result.yieldRowObjectJs()) yield* rows as ResultRow[];
      } finally {
        connection.closeSync();
      }
    },

    async remove(prefix) {
      await removeAll(join(folder, prefix));
    },

    ...filesOfLake(folder),

    async addEvents(jsonLines, partition, name) {
      const written = `${aside()}.parquet`;
      await connected((connection) => connection.run(
        `copy (select * from read_json(${text(jsonLines)}, columns = {${JSON_COLUMNS}}, format = 'newline_delimited')) to ${text(written)} (${PARQUET})`,
      ));
      await moveIntoPlace(written, join(folder, eventsPath(partition), `${name}.parquet`));
      await removeAll(jsonLines);
    },

    close: () => instance.closeSync(),
  };
}

/** What is asked of the lake's files themselves, which takes no engine. */
export function filesOfLake(folder: string): Pick<Lake, 'sizeOf' | 'rawParts' | 'records'> {
  return {
    async sizeOf(partition) {
      const sizes = await Promise.all((await filesOf(folder, [eventsPath(partition)])).map(async (file) => (await stat(file)).size));
      return sizes.reduce((sum, size) => sum + size, 0);
    },

    async rawParts(arrived) {
      const prefix = `raw/${partitionPath(partitionOf(arrived))}`;
      const files = await filesIn(join(folder, prefix), '.ndjson.gz');
      return Promise.all(files.map(async (file) => ({ name: `${prefix}/${basename(file)}`, bytes: (await stat(file)).size })));
    },

    async *records(part) {
      // Split here, since to readline a U+2028 in a record would be the end of its line.
      const text = await decompress(await readFile(join(folder, part)));
      yield* text.toString().trimEnd().split('\n');
    },
  };
}

async function filesOf(folder: string, prefixes: readonly string[]): Promise<string[]> {
  return (await Promise.all(prefixes.map((prefix) => filesIn(join(folder, prefix), '.parquet')))).flat();
}

function eventsPath(partition: Partition): string {
  return `events/${partitionPath(partition)}`;
}

/** A text literal of SQL. */
function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
