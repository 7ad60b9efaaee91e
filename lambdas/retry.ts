// Sends records again that Firehose skipped since the transform did not answer for them. Once: through the replay
// delivery stream, whose own failures lie elsewhere. before: `failed/processing-failed/`; next: lambdas/transform.ts
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { asReplay } from '../core/collect.ts';
import { timesOf } from '../core/deliver.ts';
import type { Lake, ResultRow, Stream } from '../core/ports.ts';
import { s3, s3Lake } from './aws/lake.ts';
import { keysOf } from './aws/notices.ts';
import { firehose, firehoseStream } from './aws/stream.ts';
import { SIGNALS, SKIPPED } from './environment.ts';
import { wired, type Handle, type Observer } from './function.ts';

export interface RetryFunctionPorts {
  lake: Pick<Lake, 'rows'>;
  replay: Stream;
  observer: Observer;
}

/** What Firehose says of a record that the transform itself refused: it would do so again. */
const REFUSED = 'Lambda.ProcessingFailedStatus';
const AT_ONCE = 500;

export function retryHandler({ lake, replay, observer }: RetryFunctionPorts): Handle<SQSEvent, SQSBatchResponse> {
  async function sendAgain(key: string): Promise<void> {
    let again: string[] = [];
    let [sent, left] = [0, 0];
    const flush = async () => {
      await replay.put(again);
      sent += again.length;
      again = [];
    };
    for await (const row of lake.rows(key)) {
      const record = recordOf(row);
      if (record === undefined) left++;
      else again.push(asReplay(record));
      if (again.length === AT_ONCE) await flush();
    }
    await flush();
    observer.count(SIGNALS.retried, sent);
    observer.note({ key, sent, left });
  }

  return async ({ Records }) => {
    const batchItemFailures: SQSBatchResponse['batchItemFailures'] = [];
    for (const { messageId, body } of Records) {
      try {
        for (const key of keysOf(body)) if (key.startsWith(SKIPPED)) await sendAgain(key);
      } catch (error) {
        observer.error(error);
        batchItemFailures.push({ itemIdentifier: messageId });
      }
    }
    return { batchItemFailures };
  };
}

/** The record of a line of Firehose's, if it can become rows. */
function recordOf({ errorCode, rawData }: ResultRow): string | undefined {
  if (errorCode === REFUSED || typeof rawData !== 'string') return undefined;
  const record = Buffer.from(rawData, 'base64').toString().trimEnd();
  return timesOf(record) ? record : undefined;
}

export const handler = wired('retry', async ({ BUCKET, REPLAY_STREAM }, observer) => retryHandler({
  lake: s3Lake(s3(), BUCKET),
  replay: firehoseStream(firehose(), REPLAY_STREAM),
  observer,
}));
