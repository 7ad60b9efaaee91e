// Every minute: moves a job of reprocessing on, as far as it gets in most of that minute.
// before: POST /v1/rollups (lambdas/admin.ts); next: the replay delivery stream, and lambdas/rollup.ts
import { setTimeout as pause } from 'node:timers/promises';
import { advanceReprocess, type Job, type Pace, type ReprocessPorts } from '../core/reprocess.ts';
import { cloudwatch, firehoseDeliveredThrough } from './aws/delivery.ts';
import { s3, s3Lake } from './aws/lake.ts';
import { dynamo, dynamoStore } from './aws/store.ts';
import { firehose, firehoseStream } from './aws/stream.ts';
import { sqs, sqsTasks } from './aws/tasks.ts';
import { daysInMs } from './environment.ts';
import { wired, type Handle, type Observer } from './function.ts';

export interface ReprocessFunctionPorts extends ReprocessPorts {
  observer: Observer;
  pause: (ms: number) => Promise<unknown>;
}

/** Replays have a delivery stream of their own, so a step need not wait for the one before. */
const PACE: Pace = { hours: 100, records: 50_000, recordsRead: 200_000, waits: false };
/** No step begins later in an invocation: the next one comes after a minute. */
const BEGIN_MS = 40_000;
/** A job whose hours are under way is looked at again after so long. */
const LOOK_MS = 5_000;

export function reprocessHandler({ observer, pause, ...ports }: ReprocessFunctionPorts): Handle<unknown, void> {
  const { clock } = ports;
  return async () => {
    const began = clock();
    let before: Job | undefined;
    let job = await advanceReprocess(ports);
    while (job && clock() - began < BEGIN_MS) {
      // What is under way takes its time: hours that are rolled up, or records that are on their way to the lake.
      if (job.state === 'rolling' || job.part === before?.part) await pause(LOOK_MS);
      before = job;
      job = await advanceReprocess(ports);
    }
    if (job) observer.note({ job: job.id, state: job.state, hours_done: job.hours_done, records_replayed: job.records_replayed });
  };
}

export const handler = wired('reprocess', async ({ REGISTRY_TABLE, BUCKET, TASKS_QUEUE, REPLAY_STREAM, DELIVERY_SECONDS, RAW_DAYS }, observer) => {
  const registry = dynamoStore(dynamo(), REGISTRY_TABLE, { consistent: true });
  return reprocessHandler({
    registry,
    lake: s3Lake(s3(), BUCKET),
    stream: firehoseStream(firehose(), REPLAY_STREAM),
    tasks: sqsTasks(sqs(), TASKS_QUEUE, registry),
    deliveredThrough: firehoseDeliveredThrough(cloudwatch(), REPLAY_STREAM, { clock: Date.now, bufferSeconds: Number(DELIVERY_SECONDS), source: 'direct' }),
    pace: PACE,
    rawKeptMs: daysInMs(RAW_DAYS),
    clock: Date.now,
    observer,
    pause,
  });
});
