// The Lake on one machine: Parquet files in folders, queried by DuckDB. Each query sees just the files of the
// partitions and runs it reads, as views with the names that Athena's tables have.
import { hash } from 'node:crypto';
import { mkdir, readFile, readdir, stat } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { ROW_COLUMNS, type ColumnType } from '../core/event.ts';
import { partitionOf, partitionPath, type Partition } from '../core/hour.ts';
import { CHANGE_COLUMNS, HOUR_COLUMNS, STEP_COLUMNS } from '../core/metrics.ts';
import type { Lake, Query, SiteSlice } from '../core/ports.ts';
import { render } from '../core/sql.ts';
import { filesIn, moveIntoPlace, removeAll } from './files.ts';

const decompress = promisify(gunzip);
const SQL_FOLDER = join(import.meta.dirname, '..', 'sql');
const DUCKDB_TYPES: Record<ColumnType | 'ints', string> = {
  string: 'varchar', int: 'integer', bigint: 'bigint', hash: 'bigint', boolean: 'boolean', ints: 'integer[]',
};
const PARTITION_COLUMNS = { dt: 'string', hr: 'string' } as const;

type Columns = Readonly<Record<string, ColumnType | 'ints'>>;
/** What runs write, each under a prefix of its own, for other statements to read. */
const RUN_COLUMNS = {
  steps: STEP_COLUMNS, hours: HOUR_COLUMNS, changes: CHANGE_COLUMNS, differences: HOUR_COLUMNS, day_values: HOUR_COLUMNS,
  copies: { event_key: 'hash', visitor: 'hash', ts: 'bigint', site_id: 'string', quarter: 'int', renews: 'boolean' },
  touched: { event_key: 'hash', is_event: 'boolean', settled: 'boolean', file: 'bigint' },
} as const satisfies Record<string, Columns>;

/** The level that costs least: a run is read a few times, and soon superseded. */
const PARQUET = 'format parquet, compression zstd, compression_level 1';
/** Of what is written from memory, looking for repetitions among many values costs more than it saves. */
const PARQUET_OF_RUN = `${PARQUET}, dictionary_size_limit 1000`;

/** The statements by name; read once, so that a running process keeps the ones it was started with. */
async function readStatements(): Promise<Map<string, string>> {
  const files = (await readdir(SQL_FOLDER)).filter((file) => file.endsWith('.sql'));
  return new Map(await Promise.all(files.map(async (file) => [basename(file, '.sql'), await readFile(join(SQL_FOLDER, file), 'utf8')] as const)));
}

/** How DuckDB reads lines of `rowLine` (core/deliver/row.ts). */
const LINES = "delim = '\u001f', quote = '', escape = '', header = false, auto_detect = false, new_line = '\\n'";
const LINE_COLUMNS = Object.entries(ROW_COLUMNS).map(([name, type]) => `${name}: '${DUCKDB_TYPES[type]}'`).join(', ');

export interface LocalLake extends Lake {
  /**
   * Adds rows to a partition; when it resolves, the file is complete and on disk.
   * @param lines a file of `rowLine`s; it is removed
   * @param name what the new file is called, unique in its partition
   */
  addEvents(lines: string, partition: Partition, name: string): Promise<void>;
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
    // It would tell files apart by name, size and time, and parts of the same name follow one another within moments.
    enable_external_file_cache: 'false',
    // Both would reach for the network.
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  });
  await removeAll(temporary);
  await mkdir(temporary, { recursive: true });
  const statements = await readStatements();
  const statementsName = hash('sha256', JSON.stringify([...statements].sort()), 'hex').slice(0, 16);
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

  /** What a view over files has, or an empty one where there are none. */
  function selectOf(columns: Columns, files: readonly string[], keys: Columns): string {
    const empty = Object.entries({ ...columns, ...keys }).map(([column, type]) => `cast(null as ${DUCKDB_TYPES[type]}) as ${column}`);
    return files.length === 0 ? `select ${empty.join(', ')} where false` : `select * from ${parquet(files, keys)}`;
  }

  /** What the view `events` has over files that are told apart. Two readings: a filter on `added` leaves one of them out. */
  function selectOfFiles({ before, added }: NonNullable<Query['reads']['files']>): string {
    const read = (names: readonly string[], columns: string) =>
      (names.length === 0 ? [] : [`select *, ${columns} from ${parquet(names.map((name) => join(folder, name)), PARTITION_COLUMNS)}`]);
    const selects = [...read(before, 'false as added, file_index as file'), ...read(added, 'true as added, null as file')];
    return selects.length === 0 ? selectOf({ ...ROW_COLUMNS, added: 'boolean', file: 'bigint' }, [], PARTITION_COLUMNS) : selects.join(' union all by name ');
  }

  /** Makes the views that a query reads, of a slice's sites alone if there is one. */
  async function prepareViews(connection: DuckDBConnection, { events, files, affected, ...runs }: Query['reads'], slice?: SiteSlice): Promise<void> {
    const view = async (name: string, select: string) => {
      await connection.run(`create temp view ${name} as ${slice ? `select * from (${select}) where ${inSlice(slice)}` : select}`);
    };
    const ofRuns = async (name: string, columns: Columns, of: string, names: readonly string[]) =>
      view(name, selectOf(columns, await filesOf(folder, names.map((run) => `${of}/run=${run}`)), { run: 'string' }));
    if (affected) {
      await ofRuns('affected', ROW_COLUMNS, 'affected', [affected.run]);
      await view('events', `select * from affected ${affected.added ? '' : 'where not added'}`);
    } else if (files) await view('events', selectOfFiles(files));
    else if (events) await view('events', selectOf(ROW_COLUMNS, await filesOf(folder, events.map(eventsPath)), PARTITION_COLUMNS));
    for (const [name, columns] of Object.entries(RUN_COLUMNS)) {
      const named = runs[name as keyof typeof RUN_COLUMNS];
      if (named) await ofRuns(name, columns, name, named);
    }
  }

  return {
    async unload({ statement, reads, slices = [undefined], parameters }, prefix) {
      const sql = render(statements.get(statement)!, parameters);
      const written = aside();
      await mkdir(written, { recursive: true });
      const parts = slices.map((slice, i) => ({ slice, name: `part-${i}.parquet` }));
      for (const { slice, name } of parts) {
        await connected(async (connection) => {
          await prepareViews(connection, reads, slice);
          await connection.run(`copy (${sql}) to ${text(join(written, name))} (${PARQUET_OF_RUN})`);
        });
      }
      const target = join(folder, prefix);
      await removeAll(target);
      await moveIntoPlace(written, target);
      return parts.map(({ name }) => `${prefix}/${name}`);
    },

    async *rows(part) {
      const connection = await instance.connect();
      try {
        const from = `from read_parquet(${text(join(folder, part))}, hive_partitioning = false)`;
        const types = (await connection.runAndReadAll(`describe select * ${from}`)).getRows();
        // Each text of a list would be a call of its own into the engine: a day's lists as one text each take a fifth of the time.
        const lists = types.filter(([, type]) => type === 'VARCHAR[]').map(([name]) => String(name));
        const replace = lists.length === 0 ? '' : `replace (${lists.map((name) => `${joined(name)} as ${name}`).join(', ')})`;
        for await (const rows of (await connection.stream(`select * ${replace} ${from}`)).yieldRowObjectJs()) {
          for (const row of rows as Record<string, unknown>[]) {
            for (const name of lists) row[name] = row[name] === null ? null : textsOf(row[name] as string, `${part} ${name}`);
            yield row;
          }
        }
      } finally {
        connection.closeSync();
      }
    },

    async remove(prefix) {
      await removeAll(join(folder, prefix));
    },

    ...filesOfLake(folder),

    byFile: {
      statements: statementsName,
      async files(partitions) {
        const names = await filesOf(folder, partitions.map(eventsPath));
        return Promise.all(names.map(async (name) => ({ name: relative(folder, name).replaceAll('\\', '/'), bytes: (await stat(name)).size })));
      },
    },

    async addEvents(lines, partition, name) {
      const written = `${aside()}.parquet`;
      await connected((connection) => connection.run(
        `copy (select * from read_csv(${text(lines)}, columns = {${LINE_COLUMNS}}, ${LINES})) to ${text(written)} (${PARQUET})`,
      ));
      await moveIntoPlace(written, join(folder, eventsPath(partition), `${name}.parquet`));
      await removeAll(lines);
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

/** Parquet files as a table; `keys` are columns that their paths hold. */
function parquet(files: readonly string[], keys: Columns): string {
  const hive = Object.entries(keys).map(([key, type]) => `'${key}': '${DUCKDB_TYPES[type]}'`).join(', ');
  return `read_parquet([${files.map(text).join(', ')}], hive_partitioning = true, hive_types = {${hive}}, union_by_name = true)`;
}

function eventsPath(partition: Partition): string {
  return `events/${partitionPath(partition)}`;
}

/** Whether a row is of a slice's sites, in SQL. Texts are compared byte by byte, which is the order of code points. */
function inSlice({ first, end }: SiteSlice): string {
  return `site_id >= ${text(first)}${end === '' ? '' : ` and site_id < ${text(end)}`}`;
}

/** A list of texts as one text, in SQL: how many there are and the texts, with U+001E between all; -1 where one is null. */
function joined(name: string): string {
  return `case when list_count(${name}) = len(${name}) then len(${name}) || chr(30) || array_to_string(${name}, chr(30)) when ${name} is not null then '-1' end`;
}

/** The texts that were joined so. Throws where there are not as many: no text that is stored holds U+001E (core/event.ts). */
function textsOf(joinedTexts: string, where: string): string[] {
  const [count, ...texts] = joinedTexts.split('\u001e');
  if (count === '0') return [];
  if (Number(count) !== texts.length) throw new Error(`${where}: accepts lists of texts without U+001E, of which none is null`);
  return texts;
}

/** A text literal of SQL. */
function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
