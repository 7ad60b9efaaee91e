import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beaconEnvelope } from '../../core/collect.ts';
import type { ResultRow } from '../../core/ports.ts';
import { retryHandler } from '../../lambdas/retry.ts';
import { NOW } from '../memory.ts';
import { contextOf, noting, s3Notice, sqsEvent } from './aws-events.ts';

const KEY = 'failed/processing-failed/dt=2026-11-20/hr=10/live-1-2026-11-20-10-05-00-5f0a';
const envelope = (id: string) => JSON.stringify(beaconEnvelope({ id, at: NOW }, '{"site":"shop","events":[{"name":"page_view"}]}'));

/** A line as Firehose writes it of a record that its transform did not make. */
function skipped(record: string, errorCode = 'Lambda.FunctionError'): ResultRow {
  return {
    attemptsMade: 4, arrivalTimestamp: NOW, errorCode, errorMessage: 'The Lambda function was successfully invoked but it returned an error result.',
    attemptEndingTimestamp: NOW + 60_000, rawData: Buffer.from(`${record}\n`).toString('base64'), lambdaArn: 'arn:aws:lambda:eu-central-1:111122223333:function:transform:$LATEST',
  };
}

function open(files: Record<string, ResultRow[]>, replay: (records: readonly string[]) => Promise<void>) {
  const observer = noting();
  const read: string[] = [];
  const lake = {
    rows: async function* (key: string) {
      read.push(key);
      if (!files[key]) throw new Error(`${key}: there is no such object`);
      yield* files[key];
    },
  };
  return { observer, read, handler: retryHandler({ lake, replay: { put: replay }, observer }) };
}

test('Records of a batch that Firehose skipped are sent again as a replay; what the transform itself refused, and what is no envelope, is not', async () => {
  const sent: string[] = [];
  const { handler, observer } = open(
    { [KEY]: [skipped(envelope('a')), skipped(envelope('b'), 'Lambda.ProcessingFailedStatus'), skipped('no envelope'), skipped(envelope('c'), 'Lambda.FunctionTimedOut'), { rawData: 7 }] },
    async (records) => { sent.push(...records); },
  );
  const answer = await handler(sqsEvent([JSON.stringify(s3Notice([KEY]))]), contextOf());
  assert.deepEqual(answer, { batchItemFailures: [] });
  assert.deepEqual(sent.map((record) => { const { id, replay } = JSON.parse(record) as { id: string; replay?: boolean }; return [id, replay]; }), [['a', true], ['c', true]]);
  assert.deepEqual(observer.counts, { Retried: 2 });
  assert.deepEqual(observer.notes, { key: KEY, sent: 2, left: 3 });
});

test('A file of many records is sent in pieces, and none twice', async () => {
  const pieces: number[] = [];
  const { handler } = open({ [KEY]: Array.from({ length: 1201 }, (_, i) => skipped(envelope(String(i)))) }, async (records) => { pieces.push(records.length); });
  await handler(sqsEvent([JSON.stringify(s3Notice([KEY]))]), contextOf());
  assert.deepEqual(pieces, [500, 500, 201]);
});

test('Failures of other kinds, and of the replay stream, are not read', async () => {
  const { handler, read } = open({}, async () => undefined);
  const others = ['failed/format-conversion-failed/dt=2026-11-20/hr=10/x', 'failed/replay/processing-failed/dt=2026-11-20/hr=10/x'];
  assert.deepEqual(await handler(sqsEvent([JSON.stringify(s3Notice(others))]), contextOf()), { batchItemFailures: [] });
  assert.deepEqual(read, []);
});

test('A message that fails comes again, and holds up no other', async () => {
  const sent: string[] = [];
  const { handler, observer } = open({ [KEY]: [skipped(envelope('a'))] }, async (records) => { sent.push(...records); });
  const answer = await handler(sqsEvent([JSON.stringify(s3Notice([`${KEY}-gone`])), JSON.stringify(s3Notice([KEY])), 'nonsense']), contextOf());
  assert.deepEqual(answer, { batchItemFailures: [{ itemIdentifier: 'message-0' }, { itemIdentifier: 'message-2' }] });
  assert.equal(sent.length, 1);
  assert.match(String(observer.errors[0]), /there is no such object/);
});
