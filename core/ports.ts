// The four ports between the core and the outside, each implemented twice: under local/ and under lambdas/aws/.
// A method resolves when what it says has happened durably, and rejects when it has not.
import type { Hour, Partition } from './hour.ts';
import type { LocalDay } from './zone.ts';

/** What carries envelopes from collect to deliver. */
export interface Stream {
  /** Appends the records. On rejection any part of them may have been appended: sending again is harmless. */
  put(records: readonly string[]): Promise<void>;
}

/** Thrown by `Stream.put` when the stream cannot take records now; the caller answers 503. */
export class StreamUnavailable extends Error {
  override name = 'StreamUnavailable';
}

export type Attribute = string | number | boolean | Uint8Array | null | undefined | Attribute[] | { [key: string]: Attribute };

/** An item of a store: its two-part key and whatever else it holds. */
export interface StoreItem { pk: string; sk: string; [attribute: string]: Attribute }

/** A table of items by (pk, sk), sorted by sk within a pk. There are two: `registry` and `metrics`. */
export interface Store {
  get(pk: string, sk: string): Promise<StoreItem | undefined>;
  /** The items of a pk with from ≤ sk ≤ to, in order of sk. */
  range(pk: string, from: string, to: string, limit?: number): Promise<StoreItem[]>;
  /** Writes whole items, new or over old ones; all of them have been written when it resolves. */
  put(items: readonly StoreItem[]): Promise<void>;
  /** Writes the item unless its key exists already; says whether it did. */
  create(item: StoreItem): Promise<boolean>;
  remove(keys: readonly { pk: string; sk: string }[]): Promise<void>;
}

/** The statements of `sql/`, by file name. */
export type Statement = 'steps' | 'hours' | 'changes' | 'hour_items' | 'summary' | 'slices' | 'days' | 'hour_slices' | DifferenceStatement;
/** Those of core/difference.ts. */
export type DifferenceStatement = 'day_values' | 'day_items' | 'copies' | 'touched' | 'touched_files' | 'affected' | 'doubts' | 'differences' | 'difference_changes' | 'grown';

/** Sites from the first one up to another, which is not among them, in the order of code points; '' as the end is behind all of them. */
export interface SiteSlice { first: string; end: string }

/** A statement with the values of its named parameters. Values are our own (dates, run names), never a client's. */
export interface Query {
  statement: Statement;
  /** The partitions and runs it reads, so that an engine that has to list files looks nowhere else. */
  reads: {
    events?: readonly Partition[];
    /** Of those partitions only these files, where the lake tells them apart: rows of the latter have `added`, of the former `file`, their place here. */
    files?: { before: readonly string[]; added: readonly string[] };
    /** In place of the partitions, what a run found affected in them: with what was added, or without. */
    affected?: { run: string; added: boolean };
    copies?: readonly string[];
    touched?: readonly string[];
    differences?: readonly string[];
    steps?: readonly string[];
    hours?: readonly string[];
    day_values?: readonly string[];
    changes?: readonly string[];
  };
  /**
   * It is run for each of these slices alone, on what it reads of their sites, one after the other; each makes a part. Only of
   * a lake that tells files apart, and only where no row is of two sites, nor depends on another one's.
   */
  slices?: readonly SiteSlice[];
  parameters: Readonly<Record<string, string | number | readonly string[]>>;
}

/** One row of a result; integers may be bigint, lists are arrays. */
export type ResultRow = Readonly<Record<string, unknown>>;

/** A file of rows: whatever lies under its name never changes. */
export interface EventFile { name: string; bytes: number }

/** A file of records as they came; names sort by arrival. */
export interface RawPart { name: string; bytes: number }

/** The files of rows, and the engine that queries them. */
export interface Lake {
  /**
   * Runs a statement and keeps its rows as files under the prefix, replacing what a run that died may have left
   * there. Resolves to the parts written, each of which `rows` can read; a row never spans two parts.
   */
  unload(query: Query, prefix: string): Promise<string[]>;
  rows(part: string): AsyncIterable<ResultRow>;
  /** Removes everything under the prefix. */
  remove(prefix: string): Promise<void>;
  /** Bytes of the rows of a partition. */
  sizeOf(partition: Partition): Promise<number>;
  /** Where it tells the files of rows apart, so that an hour can be counted by difference (core/difference.ts). */
  byFile?: {
    /** The files that partitions have now. */
    files(partitions: readonly Partition[]): Promise<EventFile[]>;
    /** A name for the texts of all statements: what others have counted is not compared with what these do. */
    statements: string;
  };
  /** The files of records as they came that arrived in an hour, in the order of their arrival. */
  rawParts(arrived: Hour): Promise<RawPart[]>;
  /** The records of such a file, in the order of their arrival. */
  records(part: string): AsyncIterable<string>;
}

/** A unit of rollup work. Tasks of the same hour or of the same day never run at the same time. */
export type Task = HourTask | DayTask;
export interface HourTask extends Urgency {
  kind: 'hour';
  hour: Hour;
  /** Who wants every site's items made again, whether or not its rows differ: what makes items of rows may have been wrong. */
  whole?: string;
}
/** Takes up the sites that hours changed since the day's last task. */
export interface DayTask extends Urgency { kind: 'day'; day: LocalDay }
interface Urgency {
  /** It counts anew what was counted before: whatever has not been counted yet goes first. */
  recompute?: boolean;
}

/** A task that failed too often, and waits to be sent again. */
export interface Parked { task: Task; attempts: number; error: string }

/** The queue of rollup tasks. */
export interface Tasks {
  /** Queues tasks. One that waits already, or is parked, begins anew; unless both recompute, it does not count as one that does. */
  send(tasks: readonly Task[]): Promise<void>;
  parked(): Promise<Parked[]>;
}

/** The time now, epoch ms. */
export type Clock = () => number;
