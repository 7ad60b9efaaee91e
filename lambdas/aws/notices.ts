// S3's notices of new objects under events/, read from their queue: they are what announces hours on AWS.
// before: the delivery streams write; next: the schedule makes tasks of the hours (core/rollup.ts)
import { DeleteMessageBatchCommand, ReceiveMessageCommand, type Message, type SQSClient } from '@aws-sdk/client-sqs';
import { quote } from '../../core/event.ts';
import { isHour, type Hour } from '../../core/hour.ts';
import type { Clock } from '../../core/ports.ts';
import type { Announced } from '../../core/rollup.ts';
import { PREFIXES, REPLAYED } from '../environment.ts';

/** What was read of the queue at one time. */
export interface Notices {
  announced: Announced[];
  /** Whether there was nothing more; false where the time was up first. */
  drained: boolean;
  /** Removes what was read from the queue. What cannot be removed is announced again, which costs a rollup that finds no difference. */
  taken: () => Promise<void>;
}

export interface NoticesOptions {
  /** Milliseconds that reading may take, give or take one call. */
  deadline: number;
  clock: Clock;
  /** Is told of messages that cannot be read, and of those that cannot be removed. */
  report: (line: string) => void;
}

/** Messages of a call, and calls under way at once. */
const BATCH = 10;
const AT_ONCE = 4;
/** Waiting makes SQS ask all its servers; even so one empty answer may be wrong. */
const WAIT_SECONDS = 1;
const EMPTY_ROUNDS = 2;

/** Reads notices. They stay in the queue until they are taken: its visibility timeout has to be longer than a schedule takes. */
export function s3Notices(client: SQSClient, queueUrl: string, { deadline, clock, report }: NoticesOptions): { read: () => Promise<Notices> } {
  async function receive(): Promise<Message[]> {
    const { Messages = [] } = await client.send(new ReceiveMessageCommand({ QueueUrl: queueUrl, MaxNumberOfMessages: BATCH, WaitTimeSeconds: WAIT_SECONDS }));
    return Messages;
  }

  /** Resolves to those that are still in the queue. */
  async function removeBatch(handles: readonly string[]): Promise<string[]> {
    try {
      const entries = handles.map((ReceiptHandle, i) => ({ Id: String(i), ReceiptHandle }));
      const { Successful = [] } = await client.send(new DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries }));
      const removed = new Set(Successful.map(({ Id }) => Id));
      return handles.filter((_, i) => !removed.has(String(i)));
    } catch (error) {
      report(`The queue of notices does not remove messages: ${(error as Error).message}`);
      return [...handles];
    }
  }

  async function remove(handles: readonly string[]): Promise<string[]> {
    const left: string[] = [];
    for (let i = 0; i < handles.length; i += BATCH * AT_ONCE) {
      const round = handles.slice(i, i + BATCH * AT_ONCE);
      const batches = Array.from({ length: Math.ceil(round.length / BATCH) }, (_, n) => round.slice(n * BATCH, (n + 1) * BATCH));
      left.push(...(await Promise.all(batches.map(removeBatch))).flat());
    }
    return left;
  }

  return {
    async read() {
      const until = clock() + deadline;
      const due = new Map<Hour, boolean>();
      // By message: one that was received twice is removed by the handle of the last time.
      const handles = new Map<string, string>();
      let empty = 0;
      while (empty < EMPTY_ROUNDS && clock() < until) {
        const messages = (await Promise.all(Array.from({ length: AT_ONCE }, receive))).flat();
        empty = messages.length === 0 ? empty + 1 : 0;
        for (const { MessageId = '', ReceiptHandle = '', Body = '' } of messages) {
          try {
            for (const { hour, recompute } of announcedBy(Body)) due.set(hour, recompute && due.get(hour) !== false);
            handles.set(MessageId, ReceiptHandle);
          } catch (error) {
            report(`A notice cannot be read and stays in its queue: ${(error as Error).message}`);
          }
        }
      }
      return {
        announced: [...due].map(([hour, recompute]) => ({ hour, recompute })),
        drained: empty >= EMPTY_ROUNDS,
        taken: async () => {
          const left = await remove(await remove([...handles.values()]));
          if (left.length > 0) report(`${left.length} of ${handles.size} notices could not be removed from their queue; their hours are announced again.`);
        },
      };
    },
  };
}

const OBJECT = new RegExp(`^${PREFIXES.events}dt=(\\d{4}-\\d{2}-\\d{2})/hr=(\\d{2})/(?:.*/)?([^/]*)$`);

/** The hours whose rows a message of S3's says were written. Throws on anything else. */
function announcedBy(body: string): Announced[] {
  return keysOf(body).map((key) => {
    const [, dt, hr, file] = OBJECT.exec(key) ?? [];
    const hour = `${dt}T${hr}`;
    if (file === undefined || !isHour(hour)) throw new Error(`key ${quote(key)}: accepts ${PREFIXES.events}dt=YYYY-MM-DD/hr=HH/…`);
    return { hour, recompute: file.startsWith(REPLAYED) };
  });
}

interface Notice { Event?: unknown; Records?: ({ s3?: { object?: { key?: unknown } } } | null)[] }

/** The keys of the objects that a message of S3's tells of; none of the message it tests a queue with. Throws on anything else. */
export function keysOf(body: string): string[] {
  const notice = noticeOf(body);
  if (notice.Event === 's3:TestEvent') return [];
  const keys = Array.isArray(notice.Records) ? notice.Records.map((record) => record?.s3?.object?.key) : [undefined];
  return keys.map((key) => {
    if (typeof key !== 'string') throw new Error(`message ${quote(body)}: accepts S3's notices of objects, {"Records":[{"s3":{"object":{"key":…}}}]}`);
    return decodeURIComponent(key.replaceAll('+', ' '));
  });
}

function noticeOf(body: string): Notice {
  try {
    return Object(JSON.parse(body)) as Notice;
  } catch {
    throw new Error(`message ${quote(body)}: it is not JSON; accepts S3's notices of objects`);
  }
}
