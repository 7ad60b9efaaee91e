// A bucket and an Athena for tests of the functions: S3's client over a folder, Athena's over DuckDB on that folder's
// files. They know the few calls our code makes, and answer them as unkindly as the real ones may.
import { createReadStream, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import type { TestContext } from 'node:test';
import {
  AthenaClient, AthenaServiceException, GetQueryExecutionCommand, InvalidRequestException, StartQueryExecutionCommand, StopQueryExecutionCommand, TooManyRequestsException,
  type AthenaError, type QueryExecutionState, type QueryExecutionStatus, type StartQueryExecutionCommandInput,
} from '@aws-sdk/client-athena';
import { DeleteObjectsCommand, GetObjectCommand, ListObjectsV2Command, NoSuchKey, S3Client } from '@aws-sdk/client-s3';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { mockClient } from 'aws-sdk-client-mock';
import { ROW_COLUMNS, type ColumnType } from '../../../core/event.ts';
import { CHANGE_COLUMNS, HOUR_COLUMNS, STEP_COLUMNS } from '../../../core/metrics.ts';
import { temporaryFolder } from '../../process.ts';

/** How a query ends. One that fails or is cancelled has written half of its files by then. */
export type Ending = 'SUCCEEDED' | 'never' | { state: 'FAILED' | 'CANCELLED'; reason?: string; error?: AthenaError };

/** What goes wrong: each entry of a list once, in its order. */
export interface Faults {
  /** How the next queries end; those beyond succeed. */
  endings: Ending[];
  /** What the next calls that begin a query are answered with, those that look at one, and those that stop one; undefined is as it should be. */
  starts: (Error | undefined)[];
  polls: (Error | undefined)[];
  stops: (Error | undefined)[];
  /** Objects that cannot be removed. */
  locked: Set<string>;
  /** Bytes of each chunk in which objects arrive. */
  chunkBytes: number;
}

/** A query as it was asked, and how it goes. */
export interface FakeQuery { id: string; input: StartQueryExecutionCommandInput; status: QueryExecutionStatus }

export interface FakeLake {
  s3: S3Client;
  athena: AthenaClient;
  bucket: string;
  workgroup: string;
  database: string;
  put: (key: string, content: Uint8Array | string) => void;
  /** Puts rows, each in JSON, as Parquet with the columns of the table that the key begins with: as Firehose does. */
  putRows: (key: string, rows: readonly string[]) => Promise<void>;
  /** The keys that begin so, in order. */
  keys: (prefix: string) => string[];
  queries: FakeQuery[];
  faults: Faults;
  /** How many lists were asked for, how many keys each call to remove had, and the objects whose content nobody reads any more. */
  calls: { lists: number; removals: number[]; closed: string[] };
}

const $metadata = {};
export const throttled = (): Error => new TooManyRequestsException({ message: 'Rate exceeded', $metadata });
export const expired = (name: 'ExpiredToken' | 'ExpiredTokenException'): Error =>
  new AthenaServiceException({ name, message: 'The security token included in the request is expired', $fault: 'client', $metadata });

const DUCKDB_TYPES: Record<ColumnType | 'ints', string> = {
  string: 'varchar', int: 'integer', bigint: 'bigint', hash: 'bigint', boolean: 'boolean', ints: 'integer[]',
};
type Columns = Readonly<Record<string, ColumnType | 'ints'>>;
/** The tables: the columns in their files, and those that the files' keys tell. */
const TABLES: Readonly<Record<string, { columns: Columns; keys: readonly string[] }>> = {
  events: { columns: ROW_COLUMNS, keys: ['dt', 'hr'] },
  steps: { columns: STEP_COLUMNS, keys: ['run'] },
  hours: { columns: HOUR_COLUMNS, keys: ['run'] },
  changes: { columns: CHANGE_COLUMNS, keys: ['run'] },
};
const UNLOAD = /^UNLOAD \((.+)\) TO 's3:\/\/([^/']+)\/([^']+\/)' WITH \((?:format = '(PARQUET)', compression = 'ZSTD'|format = '(JSON)')\)$/s;
/** Files that a result is spread over. */
const FILES = 3;
/** Looks at a query until it has ended. */
const LOOKS = 4;

/** An empty bucket and an Athena, gone with the test. */
export async function fakeLake(t: TestContext): Promise<FakeLake> {
  const folder = temporaryFolder();
  const [bucket, workgroup, database] = ['footfall-test', 'footfall-queries', 'footfall_lake'];
  const faults: Faults = { endings: [], starts: [], polls: [], stops: [], locked: new Set(), chunkBytes: 65_536 };
  const calls: FakeLake['calls'] = { lists: 0, removals: [], closed: [] };
  const queries: FakeQuery[] = [];

  const pathOf = (key: string) => join(folder, ...key.split('/'));
  const sizeOf = (key: string) => statSync(pathOf(key)).size;
  const keys = (prefix: string) => readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((key) => key.startsWith(prefix))
    .sort();
  const put = (key: string, content: Uint8Array | string) => {
    mkdirSync(dirname(pathOf(key)), { recursive: true });
    writeFileSync(pathOf(key), content);
  };

  const s3 = new S3Client({ region: 'us-east-1' });
  mockClient(s3)
    .on(ListObjectsV2Command).callsFake(async ({ Prefix = '', ContinuationToken = '' }: { Prefix?: string; ContinuationToken?: string }) => {
      calls.lists++;
      const left = keys(Prefix).filter((key) => key > ContinuationToken);
      const page = left.slice(0, 1000);
      return {
        // As S3 does, nothing rather than an empty list.
        ...(page.length > 0 && { Contents: page.map((key) => ({ Key: key, Size: sizeOf(key) })) }),
        IsTruncated: left.length > page.length,
        ...(left.length > page.length && { NextContinuationToken: page.at(-1) }),
      };
    })
    .on(GetObjectCommand).callsFake(async ({ Key: key }: { Key: string }) => {
      if (!existsSync(pathOf(key))) throw new NoSuchKey({ message: 'The specified key does not exist.', $metadata });
      return { Body: createReadStream(pathOf(key), { highWaterMark: faults.chunkBytes }).once('close', () => calls.closed.push(key)) };
    })
    .on(DeleteObjectsCommand).callsFake(async ({ Delete: { Objects: objects } }: { Delete: { Objects: { Key: string }[] } }) => {
      if (objects.length === 0 || objects.length > 1000) throw Object.assign(new Error('The XML you provided was not well-formed'), { name: 'MalformedXML' });
      calls.removals.push(objects.length);
      const locked = objects.filter(({ Key: key }) => faults.locked.has(key));
      for (const { Key: key } of objects) if (!faults.locked.has(key)) rmSync(pathOf(key), { force: true });
      return locked.length === 0 ? {} : { Errors: locked.map(({ Key }) => ({ Key, Code: 'AccessDenied', Message: 'Access Denied' })) };
    });

  const instance = await DuckDBInstance.create(':memory:', { threads: '1', autoinstall_known_extensions: 'false', autoload_known_extensions: 'false' });
  t.after(() => { instance.closeSync(); });
  async function connected<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    const connection = await instance.connect();
    try {
      return await work(connection);
    } finally {
      connection.closeSync();
    }
  }

  const jsonOf = (files: string, columns: Columns) =>
    `read_json(${files}, columns = {${Object.entries(columns).map(([name, type]) => `${name}: '${DUCKDB_TYPES[type]}'`).join(', ')}}, format = 'newline_delimited', hive_partitioning = false, filename = true)`;

  /** The tables as they are now. A column that no file has is null, as in Athena. */
  async function prepareViews(connection: DuckDBConnection): Promise<void> {
    for (const [table, { columns, keys: fromKeys }] of Object.entries(TABLES)) {
      const types = { ...columns, ...Object.fromEntries(fromKeys.map((key) => [key, 'string' as const])) };
      const none = `select ${Object.entries(types).map(([name, type]) => `cast(null as ${DUCKDB_TYPES[type]}) as ${name}`).join(', ')} where false`;
      const paths = keys(`${table}/`).filter((key) => sizeOf(key) > 0).map((key) => text(pathOf(key)));
      const files = `[${paths.join(', ')}]`;
      const values = fromKeys.map((key) => `regexp_extract(filename, '[/\\\\]${key}=([^/\\\\]+)', 1) as ${key}`).join(', ');
      const rows = table === 'changes' ? jsonOf(files, columns) : `read_parquet(${files}, union_by_name = true, hive_partitioning = false, filename = true)`;
      const some = `union all by name select * exclude (filename), ${values} from ${rows}`;
      await connection.run(`create temp view ${table} as ${none} ${paths.length > 0 ? some : ''}`);
    }
  }

  interface File { name: string; content: Uint8Array }
  /** The files of a result, in no particular order; none where it has no rows. */
  async function filesOf(id: string, sql: string, isJson: boolean): Promise<File[]> {
    return connected(async (connection) => {
      await prepareViews(connection);
      await connection.run(`create temp table result as ${sql}`);
      const rows = Number((await connection.runAndReadAll('select count(*) from result')).getRows()[0]![0]);
      const aside = temporaryFolder();
      const files: File[] = [];
      for (let i = 0; i < Math.min(rows, FILES); i++) {
        const name = `${FILES - i}_${id}${isJson ? '.gz' : ''}`;
        const options = isJson ? 'format json, compression gzip' : 'format parquet, compression zstd';
        await connection.run(`copy (select * from result where rowid % ${FILES} = ${i} order by rowid desc) to ${text(join(aside, name))} (${options})`);
        files.push({ name, content: readFileSync(join(aside, name)) });
      }
      await connection.run('drop table result; drop view events; drop view steps; drop view hours; drop view changes');
      return files;
    });
  }

  interface Run { query: FakeQuery; looks: number; ending: Ending; write: (from: number, to?: number) => void; half: number }
  const runs = new Map<string, Run>();
  const invalid = (message: string) => new InvalidRequestException({ message, $metadata });
  const runOf = (id: string) => {
    const run = runs.get(id);
    if (!run) throw invalid(`QueryExecution ${id} was not found`);
    return run;
  };

  /** How a query goes on from look to look: queued, running with its first files written, back in the queue, ended. */
  function advance(run: Run): void {
    const { query, ending, looks, half, write } = run;
    if (looks === 2) write(0, half);
    if (looks < LOOKS || ending === 'never') {
      query.status = { State: looks % 2 === 1 ? 'QUEUED' : 'RUNNING' };
    } else if (ending === 'SUCCEEDED') {
      write(half);
      query.status = { State: ending };
    } else {
      query.status = { State: ending.state, ...(ending.reason !== undefined && { StateChangeReason: ending.reason }), ...(ending.error && { AthenaError: ending.error }) };
    }
  }

  const athena = new AthenaClient({ region: 'us-east-1' });
  mockClient(athena)
    .on(StartQueryExecutionCommand).callsFake(async (input: StartQueryExecutionCommandInput) => {
      const fault = faults.starts.shift();
      if (fault) throw fault;
      const known = queries.find((query) => query.input.ClientRequestToken === input.ClientRequestToken);
      if (known && known.input.QueryString !== input.QueryString) throw invalid('Idempotent parameters do not match');
      if (known) return { QueryExecutionId: known.id };
      const [, sql, into, target, parquet, json] = UNLOAD.exec(input.QueryString!) ?? [];
      if (!sql || !target || into !== bucket || input.WorkGroup !== workgroup || input.QueryExecutionContext?.Database !== database) throw invalid(`not understood: ${JSON.stringify(input)}`);
      const query: FakeQuery = { id: `query-${queries.length + 1}`, input, status: { State: 'QUEUED' } };
      queries.push(query);
      const isFree = keys(target).length === 0;
      const files = isFree ? await filesOf(query.id, sql, parquet === undefined && json !== undefined) : [];
      runs.set(query.id, {
        query, looks: 0, half: Math.ceil(files.length / 2),
        write: (from, to) => { for (const { name, content } of files.slice(from, to)) put(target + name, content); },
        ending: isFree ? faults.endings.shift() ?? 'SUCCEEDED' : { state: 'FAILED', reason: `HIVE_PATH_ALREADY_EXISTS: s3://${bucket}/${target}`, error: { Retryable: false } },
      });
      return { QueryExecutionId: query.id };
    })
    .on(GetQueryExecutionCommand).callsFake(async ({ QueryExecutionId: id }: { QueryExecutionId: string }) => {
      const run = runOf(id);
      const isOver = (['SUCCEEDED', 'FAILED', 'CANCELLED'] as (QueryExecutionState | undefined)[]).includes(run.query.status.State);
      run.looks++;
      // It goes on whether or not it is looked at with success.
      if (!isOver) advance(run);
      const fault = faults.polls.shift();
      if (fault) throw fault;
      return { QueryExecution: { QueryExecutionId: id, Status: run.query.status, Statistics: { DataScannedInBytes: 1000 * run.looks, TotalExecutionTimeInMillis: 100 * run.looks } } };
    })
    .on(StopQueryExecutionCommand).callsFake(async ({ QueryExecutionId: id }: { QueryExecutionId: string }) => {
      const fault = faults.stops.shift();
      if (fault) throw fault;
      runOf(id).query.status = { State: 'CANCELLED', StateChangeReason: 'Query was cancelled by user' };
      return {};
    });

  return {
    s3, athena, bucket, workgroup, database, put, keys, queries, faults, calls,
    async putRows(key, rows) {
      const lines = join(temporaryFolder(), 'rows.ndjson');
      writeFileSync(lines, rows.join('\n'));
      mkdirSync(dirname(pathOf(key)), { recursive: true });
      const { columns } = TABLES[key.slice(0, key.indexOf('/'))]!;
      await connected((connection) => connection.run(`copy (select * exclude (filename) from ${jsonOf(text(lines), columns)}) to ${text(pathOf(key))} (format parquet)`));
    },
  };
}

/** A text literal of SQL. */
function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
