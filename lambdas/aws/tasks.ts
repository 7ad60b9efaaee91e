// The Tasks on AWS: a FIFO queue whose message groups are the tasks' names, so that no two tasks of an hour or a day run
// at the same time. What failed too often lies in the dead letters; the registry tells which tasks those are.
// before: core/schedule.ts; next: lambdas/rollup.ts. Registry: `parked` / task name.
import { randomUUID } from 'node:crypto';
import { ChangeMessageVisibilityCommand, GetQueueAttributesCommand, SQSClient, SendMessageBatchCommand } from '@aws-sdk/client-sqs';
import pRetry, { type Options as Pauses } from 'p-retry';
import { quote } from '../../core/event.ts';
import { isDay, isHour } from '../../core/hour.ts';
import type { Parked, Store, Task, Tasks } from '../../core/ports.ts';
import { taskName } from '../../core/rollup.ts';

export const sqs = (): SQSClient => new SQSClient();

/** Messages of one call. */
const BATCH = 10;
const PAUSES: Pauses = { retries: 5, minTimeout: 100, maxTimeout: 2_000, randomize: true };
const PARKED = 'parked';
/** Behind every task's name. */
const LAST = '~';

/** The queue has not taken all of a call's messages. */
class Unsent extends Error {}

export interface TaskQueue extends Tasks {
  /** About how many tasks wait or run. */
  waiting(): Promise<number>;
  /** Notes that a task has failed too often, or is about to: what carries it out may not live to say so. */
  park(task: Task, attempts: number, error: string): Promise<void>;
  /** Strikes the note off: the task has succeeded. */
  unpark(task: Task): Promise<void>;
  /** The queue gives out a message that was received again after so many seconds from now. */
  backOff(receiptHandle: string, seconds: number): Promise<void>;
}

/** @param pauses between the attempts at what the queue did not take */
export function sqsTasks(client: SQSClient, queueUrl: string, registry: Store, pauses = PAUSES): TaskQueue {
  async function sendBatch(batch: readonly Task[]): Promise<void> {
    let left = batch;
    await pRetry(async () => {
      const { Successful = [], Failed = [] } = await client.send(new SendMessageBatchCommand({
        QueueUrl: queueUrl,
        Entries: left.map((task, i) => ({
          Id: String(i),
          MessageBody: JSON.stringify(task),
          MessageGroupId: taskName(task),
          // Never the task itself: one that is sent again within five minutes has to run again.
          MessageDeduplicationId: randomUUID(),
        })),
      }));
      const sent = new Set(Successful.map(({ Id }) => Id));
      left = left.filter((_, i) => !sent.has(String(i)));
      if (left.length > 0) {
        throw new Unsent(`the queue ${queueUrl} does not take ${left.map(taskName).join(', ')}: ${Failed[0]?.Code ?? 'no answer'} ${Failed[0]?.Message ?? ''}`.trimEnd());
      }
    }, { ...pauses, shouldRetry: ({ error }) => error instanceof Unsent });
  }

  return {
    async send(tasks) {
      for (let i = 0; i < tasks.length; i += BATCH) {
        const batch = tasks.slice(i, i + BATCH);
        await sendBatch(batch);
        // Only now: a task that could not be sent has to stay known as parked.
        await registry.remove(batch.map(parkedKey));
      }
    },
    parked: () => parkedTasks(registry),
    async park(task, attempts, error) {
      await registry.put([{ ...parkedKey(task), task: { ...task }, attempts, error }]);
    },
    async unpark(task) {
      await registry.remove([parkedKey(task)]);
    },
    async backOff(receiptHandle, seconds) {
      await client.send(new ChangeMessageVisibilityCommand({ QueueUrl: queueUrl, ReceiptHandle: receiptHandle, VisibilityTimeout: seconds }));
    },
    async waiting() {
      const { Attributes = {} } = await client.send(new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: [...COUNTS] }));
      return COUNTS.reduce((sum, name) => sum + Number(Attributes[name] ?? 0), 0);
    },
  };
}

const COUNTS = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible', 'ApproximateNumberOfMessagesDelayed'] as const;

const parkedKey = (task: Task) => ({ pk: PARKED, sk: taskName(task) });

/** The tasks that are noted as parked; it takes the registry only, for who asks without sending. */
export async function parkedTasks(registry: Pick<Store, 'range'>): Promise<Parked[]> {
  const items = await registry.range(PARKED, '', LAST);
  return items.map(({ task, attempts, error }) => ({ task: task as unknown as Task, attempts: attempts as number, error: error as string }));
}

const ACCEPTED = 'accepts {"kind":"hour","hour":"YYYY-MM-DDTHH"} and {"kind":"day","day":"YYYY-MM-DD"}, with "recompute" true or false, an hour with "whole", a text';

/** The task of a message. Throws on anything that `send` does not write. */
export function readTask(body: string): Task {
  const { kind, hour, day, recompute, whole, ...others } = fieldsOf(body);
  const known = Object.keys(others).length === 0 && (recompute === undefined || typeof recompute === 'boolean');
  const urgency = recompute === undefined ? {} : { recompute: recompute as boolean };
  if (known && kind === 'hour' && isHour(hour) && day === undefined && (whole === undefined || typeof whole === 'string')) {
    return { kind, hour, ...urgency, ...(whole !== undefined && { whole }) };
  }
  if (known && kind === 'day' && typeof day === 'string' && isDay(day) && hour === undefined && whole === undefined) return { kind, day, ...urgency };
  throw new Error(`message ${quote(body)}: ${ACCEPTED}`);
}

function fieldsOf(body: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(body)) as Record<string, unknown>;
  } catch {
    throw new Error(`message ${quote(body)}: it is not JSON; ${ACCEPTED}`);
  }
}
