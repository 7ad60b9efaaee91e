// Every few minutes: the lake's notices become tasks, what is complete is noted, and old runs are removed.
// before: the lake (lambdas/transform.ts); next: lambdas/rollup.ts
import type { Clock, Lake, Store, Tasks } from '../core/ports.ts';
import { writeHealth } from '../core/progress.ts';
import { removeOldRuns, type Announced } from '../core/rollup.ts';
import { schedule } from '../core/schedule.ts';
import { cloudwatch, firehoseDeliveredThrough } from './aws/delivery.ts';
import { s3, s3Lake } from './aws/lake.ts';
import { s3Notices } from './aws/notices.ts';
import { dynamo, dynamoStore } from './aws/store.ts';
import { sqs, sqsTasks } from './aws/tasks.ts';
import { SIGNALS } from './environment.ts';
import { wired, type Handle, type Observer } from './function.ts';

/** What the lake's notices say, as far as they have been read. */
export interface Read {
  announced: Announced[];
  /** Whether those are all there were. */
  drained: boolean;
  /** Forgets them. */
  taken: () => Promise<void>;
}

export interface ScheduleFunctionPorts {
  notices: { read: () => Promise<Read> };
  registry: Store;
  tasks: Tasks & { waiting: () => Promise<number> };
  lake: Pick<Lake, 'remove'>;
  /** Everything put into the stream before that moment (epoch ms) is in the lake, and S3 has said so. */
  deliveredThrough: () => Promise<number>;
  clock: Clock;
  observer: Observer;
}

/** Longer than any task takes or waits; a day, so that a number can be traced to its run for as long. */
const OLD_RUNS_KEPT_MS = 24 * 60 * 60_000;
/** Of an invocation's five minutes; what is left unread comes first the next time. */
const READ_MS = 120_000;

export function scheduleHandler({ notices, registry, tasks, lake, deliveredThrough, clock, observer }: ScheduleFunctionPorts): Handle<unknown, void> {
  return async () => {
    // Before the notices are read: what is delivered after it may not be among them.
    const through = await deliveredThrough();
    const { announced, drained, taken } = await notices.read();
    const { completeThrough } = await schedule({ announced, drained, through }, { registry, tasks, clock });
    await taken();
    const [waitingTasks, parked] = await Promise.all([tasks.waiting(), tasks.parked()]);
    await writeHealth(registry, { deliveredThrough: through, waitingTasks, parkedTasks: parked.length });
    if (completeThrough !== undefined) observer.count(SIGNALS.freshness, Math.round((clock() - completeThrough) / 1000));
    observer.count(SIGNALS.waitingTasks, waitingTasks);
    observer.count(SIGNALS.parkedTasks, parked.length);
    observer.note({ hours: announced.length, drained, waiting_tasks: waitingTasks, parked_tasks: parked.length });
    await removeOldRuns({ lake, registry, clock }, OLD_RUNS_KEPT_MS);
  };
}

export const handler = wired('schedule', async ({ REGISTRY_TABLE, BUCKET, TASKS_QUEUE, NOTICES_QUEUE, DELIVERY_STREAM, DELIVERY_SECONDS }, observer) => {
  const registry = dynamoStore(dynamo(), REGISTRY_TABLE, { consistent: true });
  const queue = sqs();
  return scheduleHandler({
    notices: s3Notices(queue, NOTICES_QUEUE, { deadline: READ_MS, clock: Date.now, report: (line) => { observer.error(new Error(line)); } }),
    registry,
    tasks: sqsTasks(queue, TASKS_QUEUE, registry),
    lake: s3Lake(s3(), BUCKET),
    deliveredThrough: firehoseDeliveredThrough(cloudwatch(), DELIVERY_STREAM, { clock: Date.now, bufferSeconds: Number(DELIVERY_SECONDS), source: 'stream' }),
    clock: Date.now,
    observer,
  });
});
