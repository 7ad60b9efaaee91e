// The Lake on AWS: objects of one bucket, queried by Athena. Firehose writes the rows, Athena the runs of rollups; its
// tables find their partitions in the objects' keys. before: core/deliver.ts; next: core/rollup.ts
import { randomUUID } from 'node:crypto';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import {
  AthenaClient, AthenaServiceException, GetQueryExecutionCommand, StartQueryExecutionCommand, StopQueryExecutionCommand,
  type QueryExecution, type QueryExecutionState, type StartQueryExecutionCommandInput,
} from '@aws-sdk/client-athena';
import { DeleteObjectsCommand, GetObjectCommand, S3Client, paginateListObjectsV2 } from '@aws-sdk/client-s3';
import { quote } from '../../core/event.ts';
import { partitionOf, partitionPath } from '../../core/hour.ts';
import type { Lake, RawPart, ResultRow, Statement } from '../../core/ports.ts';
import { render } from '../../core/sql.ts';
import { PREFIXES } from '../environment.ts';

export const athena = (): AthenaClient => new AthenaClient();
export const s3 = (): S3Client => new S3Client();

const PARQUET = "format = 'PARQUET', compression = 'ZSTD'";
// Without a compression: of JSON, Athena knows none but gzip.
const JSON_LINES = "format = 'JSON'";
/** How what lies under a prefix is written: as lines where the functions read it. */
const FORMATS: Readonly<Record<string, string>> = { hours: PARQUET, steps: PARQUET, changes: JSON_LINES, items: JSON_LINES };
/** What a run writes, all of it or a slice; nothing else is written or removed here. */
const RUN_PREFIX = new RegExp(`^(${Object.keys(FORMATS).join('|')})/run=[A-Za-z0-9-]{1,100}(/\\d{1,9})?$`);

/** With the slash behind it, so that a run's objects are not those of another whose name goes on. */
function folderOf(prefix: string): string {
  if (!RUN_PREFIX.test(prefix)) throw new Error(`prefix ${quote(prefix)}: accepts ${RUN_PREFIX.source}`);
  return `${prefix}/`;
}

/** The part of the lake that only needs S3. */
export function s3Lake(s3: S3Client, bucket: string): Omit<Lake, 'unload'> {
  return {
    async *rows(part) {
      let line = 0;
      for await (const text of linesOf(contentOf(s3, bucket, part))) {
        line++;
        yield parsed(text, () => `${part} line ${line}`);
      }
    },

    async remove(prefix) {
      // At most 1,000 at once, which is as many as a page of the list has.
      for await (const objects of listed(s3, bucket, folderOf(prefix))) {
        const { Errors: [first] = [] } = await s3.send(new DeleteObjectsCommand({
          Bucket: bucket, Delete: { Objects: objects.map(({ name }) => ({ Key: name })), Quiet: true },
        }));
        if (first) throw new Error(`${first.Key} cannot be removed: ${first.Code} ${first.Message}`);
      }
    },

    async sizeOf(partition) {
      let size = 0;
      for await (const objects of listed(s3, bucket, `${PREFIXES.events}${partitionPath(partition)}/`)) for (const { bytes } of objects) size += bytes;
      return size;
    },

    async rawParts(arrived) {
      const parts: RawPart[] = [];
      for await (const objects of listed(s3, bucket, `${PREFIXES.raw}${partitionPath(partitionOf(arrived))}/`)) parts.push(...objects);
      return parts;
    },

    records: (part) => linesOf(contentOf(s3, bucket, part)),
  };
}

/** A query that Athena has done with: as it ended, or as it was last seen before it was stopped. */
export interface QueryDone { statement: Statement; id: string; bytesScanned: number; ms: number }

/** A query without a result. */
export class QueryFailed extends Error {
  override name = 'QueryFailed';
  /** @param retryable whether the same query may succeed another time */
  constructor(message: string, readonly retryable: boolean) { super(message); }
}

export interface AthenaPorts {
  athena: AthenaClient;
  s3: S3Client;
  bucket: string;
  workgroup: string;
  database: string;
  statements: ReadonlyMap<Statement, string>;
  /** How much longer the caller may run. */
  remainingMs: () => number;
  pause: (ms: number) => Promise<unknown>;
  onQuery: (query: QueryDone) => void;
}

/** Pauses before a query is looked at: the first, how much longer each is than the one before, and the longest. */
const PAUSE = { firstMs: 250, factor: 1.5, longestMs: 5_000 };
/** What the caller keeps to itself: a query that is not done by then is stopped, not left to run, and be paid, for nobody. */
const RESERVE_MS = 20_000;

/** The whole lake. */
export function athenaLake({ athena, s3, bucket, workgroup, database, statements, remainingMs, pause, onQuery }: AthenaPorts): Lake {
  const files = s3Lake(s3, bucket);
  const isLate = () => remainingMs() < RESERVE_MS;
  const late = (what: string) => new QueryFailed(`${what}: ${remainingMs()} ms are left to the function, and ${RESERVE_MS} are kept`, true);

  /** What the call gives, or undefined where Athena has put it off. */
  async function unlessPutOff<T>(call: Promise<T>): Promise<T | undefined> {
    try {
      return await call;
    } catch (error) {
      if (!isPutOff(error)) throw error;
      return undefined;
    }
  }

  /** Begins a query; resolves to its id. */
  async function begin(statement: Statement, sql: string): Promise<string> {
    const input: StartQueryExecutionCommandInput = {
      QueryString: sql,
      WorkGroup: workgroup,
      QueryExecutionContext: { Database: database },
      // One token for all tries here, so that they begin one query, and another for every call: a known token gets the old query.
      ClientRequestToken: randomUUID(),
      ResultReuseConfiguration: { ResultReuseByAgeConfiguration: { Enabled: false } },
    };
    for (let wait = PAUSE.firstMs; ; wait = longer(wait)) {
      if (isLate()) throw late(`sql/${statement}.sql was not begun`);
      const begun = await unlessPutOff(athena.send(new StartQueryExecutionCommand(input)));
      if (begun) return begun.QueryExecutionId!;
      await pause(wait);
    }
  }

  /** The query as it ended. One that does not end in time, or that cannot be asked about, is stopped. */
  async function ended(statement: Statement, id: string): Promise<QueryExecution> {
    const query = { QueryExecutionId: id };
    let seen: QueryExecution = {};
    try {
      for (let wait = PAUSE.firstMs; ; wait = longer(wait)) {
        await pause(wait);
        seen = (await unlessPutOff(athena.send(new GetQueryExecutionCommand(query))))?.QueryExecution ?? seen;
        if (ENDED.has(seen.Status?.State)) return seen;
        if (isLate()) throw late(`sql/${statement}.sql, query ${id}, was stopped`);
      }
    } catch (error) {
      // Where this fails as well, the first error is the one to tell.
      await athena.send(new StopQueryExecutionCommand(query)).catch(() => undefined);
      throw error;
    } finally {
      onQuery({ statement, id, bytesScanned: seen.Statistics?.DataScannedInBytes ?? 0, ms: seen.Statistics?.TotalExecutionTimeInMillis ?? 0 });
    }
  }

  return {
    ...files,

    async unload({ statement, parameters }, prefix) {
      const folder = folderOf(prefix);
      const text = statements.get(statement);
      if (text === undefined) throw new Error(`statement ${quote(statement)}: accepts ${[...statements.keys()].join(', ')}`);
      const format = FORMATS[prefix.slice(0, prefix.indexOf('/'))]!;
      const sql = `UNLOAD (${render(text, parameters)}) TO 's3://${bucket}/${folder}' WITH (${format})`;
      // Athena writes to an empty place only.
      await files.remove(prefix);
      const id = await begin(statement, sql);
      try {
        const { State: state, StateChangeReason: reason, AthenaError: error } = (await ended(statement, id)).Status!;
        if (state !== 'SUCCEEDED') throw new QueryFailed(`sql/${statement}.sql, query ${id}, ${state}: ${reason ?? 'no reason given'}`, error?.Retryable ?? true);
      } catch (error) {
        // Athena leaves what a failed query wrote. What one that was stopped may still write goes with the run's files.
        await files.remove(prefix).catch(() => undefined);
        throw error;
      }
      const parts: string[] = [];
      for await (const objects of listed(s3, bucket, folder)) parts.push(...objects.filter(({ bytes }) => bytes > 0).map(({ name }) => name));
      return parts;
    },
  };
}

/** A query that was put back into the queue is not among them. */
const ENDED: ReadonlySet<unknown> = new Set<QueryExecutionState>(['SUCCEEDED', 'FAILED', 'CANCELLED']);

function longer(ms: number): number {
  return Math.min(ms * PAUSE.factor, PAUSE.longestMs);
}

/** Whether Athena had too much to do, or was not well: the same call may succeed a little later. */
function isPutOff(error: unknown): boolean {
  return error instanceof AthenaServiceException && (error.$fault === 'server' || /^(TooManyRequests|Throttling)/.test(error.name));
}

/** The objects under a folder, page by page, in the order of their keys, which is the one S3 lists them in. */
async function* listed(s3: S3Client, bucket: string, folder: string): AsyncGenerator<RawPart[]> {
  for await (const { Contents = [] } of paginateListObjectsV2({ client: s3 }, { Bucket: bucket, Prefix: folder })) {
    if (Contents.length > 0) yield Contents.map(({ Key, Size }) => ({ name: Key!, bytes: Size! }));
  }
}

const GZIP = Buffer.from([0x1f, 0x8b]);
const NEWLINE = 10;

/** An object's content, unpacked where it is gzip: of what Athena writes, not the name says so but the first two bytes. */
async function* contentOf(s3: S3Client, bucket: string, key: string): AsyncGenerator<Buffer> {
  try {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    const body = (Body as Readable)[Symbol.asyncIterator]() as AsyncIterableIterator<Buffer>;
    let head = Buffer.alloc(0);
    for (let next; head.length < GZIP.length && !(next = await body.next()).done;) head = Buffer.concat([head, next.value]);
    const whole = (async function* () {
      yield head;
      yield* body;
    })();
    const isGzip = key.endsWith('.gz') || head.subarray(0, GZIP.length).equals(GZIP);
    // An error on either side ends the other, and comes out of the loop over the last.
    yield* isGzip ? pipeline(whole, createGunzip(), () => undefined) : whole;
  } catch (error) {
    throw new Error(`${key} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** Split at newlines only, of which no other character of UTF-8 holds the byte; to readline a U+2028 would be one. */
async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let begun: Buffer[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; start = end + 1, end = chunk.indexOf(NEWLINE, start)) {
      const line = Buffer.concat([...begun, chunk.subarray(start, end)]);
      if (line.length > 0) yield line.toString();
      begun = [];
    }
    if (start < chunk.length) begun.push(chunk.subarray(start));
  }
  if (begun.length > 0) yield Buffer.concat(begun).toString();
}

function parsed(text: string, place: () => string): ResultRow {
  try {
    return JSON.parse(text) as ResultRow;
  } catch {
    throw new Error(`${place()} ${quote(text)}: accepts one row in JSON`);
  }
}
