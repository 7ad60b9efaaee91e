// Carries out a task: an hour or a local day. The queue gives no two tasks of an hour or a day at the same time.
// before: lambdas/schedule.ts; next: lambdas/load.ts, and the commit record in the registry
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import type { Lake } from '../core/ports.ts';
import { MAX_ATTEMPTS, runTask, taskName, type RollupPorts } from '../core/rollup.ts';
import { athena, athenaLake, s3, type QueryDone } from './aws/lake.ts';
import { lambda, lambdaLoader } from './aws/loader.ts';
import { readStatements } from './aws/statements.ts';
import { dynamo, dynamoStore } from './aws/store.ts';
import { readTask, sqs, sqsTasks, type TaskQueue } from './aws/tasks.ts';
import { SIGNALS } from './environment.ts';
import { wired, type Handle, type Observer } from './function.ts';

export interface RollupFunctionPorts extends Pick<RollupPorts, 'registry' | 'load' | 'clock'> {
  /** The lake, as it can be asked within the time that an invocation has left (ms), telling of each query. */
  lakeWithin: (remainingMs: () => number, onQuery: (query: QueryDone) => void) => Lake;
  tasks: TaskQueue;
  observer: Observer;
}

const FIRST_BACK_OFF_S = 15;
/** How long after its invocation must have ended a task that was not heard of again is given out once more. */
const AFTER_DEATH_S = 60;
/** Parts loaded at once: each is an invocation, and the account's are shared with the doors. */
const LOADS_AT_ONCE = 20;
/** Every site there is, as a rule: Athena spreads a query over its own machines, and reads the day's runs anew for each one. */
const SITES_AT_ONCE = 2_000_000;

export function rollupHandler({ lakeWithin, observer, ...ports }: RollupFunctionPorts): Handle<SQSEvent, SQSBatchResponse> {
  const { tasks } = ports;

  /** Carries out a message's task. Rejects where it could not, after the queue has been told when to try again. */
  async function carryOut({ body, receiptHandle, attributes }: SQSRecord, lake: Lake, remainingMs: number): Promise<void> {
    const task = readTask(body);
    const attempt = Number(attributes.ApproximateReceiveCount);
    observer.note({ task: taskName(task), attempt });
    // Else the message of an invocation that dies stays away for as long as the queue hides any: six times as long.
    await tasks.backOff(receiptHandle, Math.ceil(remainingMs / 1000) + AFTER_DEATH_S);
    // Noted before, since an invocation that dies cannot note anything.
    if (attempt >= MAX_ATTEMPTS) await tasks.park(task, attempt, 'the last attempt did not end');
    try {
      const items = await runTask(task, { ...ports, lake, sitesAtOnce: SITES_AT_ONCE });
      observer.note({ items });
      observer.count(SIGNALS.tasksDone, 1);
    } catch (error) {
      observer.count(SIGNALS.tasksFailed, 1);
      if (attempt >= MAX_ATTEMPTS) await tasks.park(task, attempt, (error as Error).message);
      else await tasks.backOff(receiptHandle, FIRST_BACK_OFF_S * 4 ** (attempt - 1));
      throw error;
    }
    if (attempt >= MAX_ATTEMPTS) await tasks.unpark(task);
  }

  return async ({ Records }, context) => {
    const lake = lakeWithin(() => context.getRemainingTimeInMillis(), ({ statement, id, bytesScanned, ms }) => {
      observer.count(SIGNALS.bytesScanned, bytesScanned);
      observer.note({ [`${statement}_query`]: id, [`${statement}_bytes`]: bytesScanned, [`${statement}_ms`]: ms });
    });
    for (const [i, record] of Records.entries()) {
      try {
        await carryOut(record, lake, context.getRemainingTimeInMillis());
      } catch (error) {
        observer.note({ failed: true });
        observer.error(error);
        // The order of a group's messages is kept only if all behind the one that failed come again as well.
        return { batchItemFailures: Records.slice(i).map(({ messageId }) => ({ itemIdentifier: messageId })) };
      }
    }
    return { batchItemFailures: [] };
  };
}

export const handler = wired('rollup', async ({ REGISTRY_TABLE, BUCKET, TASKS_QUEUE, WORKGROUP, DATABASE, LOAD_FUNCTION }, observer) => {
  const registry = dynamoStore(dynamo(), REGISTRY_TABLE, { consistent: true });
  const statements = await readStatements(join(import.meta.dirname, 'sql'));
  const clients = { athena: athena(), s3: s3() };
  return rollupHandler({
    lakeWithin: (remainingMs, onQuery) => athenaLake({ ...clients, bucket: BUCKET, workgroup: WORKGROUP, database: DATABASE, statements, remainingMs, onQuery, pause }),
    registry,
    tasks: sqsTasks(sqs(), TASKS_QUEUE, registry),
    load: lambdaLoader(lambda(), LOAD_FUNCTION, { atOnce: LOADS_AT_ONCE }),
    clock: Date.now,
    observer,
  });
});
