// What is particular to Kinesis and Firehose; what every Stream promises is in test/ports.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FirehoseClient, PutRecordBatchCommand } from '@aws-sdk/client-firehose';
import { KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis';
import { mockClient } from 'aws-sdk-client-mock';
import { StreamUnavailable, type Stream } from '../../../core/ports.ts';
import { firehoseStream, kinesisStream } from '../../../lambdas/aws/stream.ts';
import { NO_PAUSES, firehoseDouble, kinesisDouble, type Refuses } from './doubles.ts';

const RECORDS = Array.from({ length: 500 }, (_, i) => `{"n":${i}}`);
const LINES = RECORDS.map((record) => `${record}\n`);

interface Case {
  name: string;
  called: string;
  accepts: number;
  /** How six of the largest records go. */
  six: number[];
  open: (refuses?: Refuses) => { stream: Stream; double: { calls: number[]; text(): string } };
  /** A stream whose calls all fail with an error, and how often it was called. */
  failing: (error: Error) => { stream: Stream; calls: () => number };
}

const CASES: Case[] = [
  {
    name: 'Kinesis', called: 'the stream live', accepts: 1_048_576 - 36, six: [5, 1],
    open(refuses) {
      const double = kinesisDouble(refuses);
      return { double, stream: kinesisStream(double.client, 'live', NO_PAUSES) };
    },
    failing(error) {
      const client = new KinesisClient({ region: 'us-east-1' });
      const mock = mockClient(client).rejects(error);
      return { stream: kinesisStream(client, 'live', NO_PAUSES), calls: () => mock.commandCalls(PutRecordsCommand).length };
    },
  },
  {
    name: 'Firehose', called: 'the delivery stream replay', accepts: 1_024_000, six: [4, 2],
    open(refuses) {
      const double = firehoseDouble(refuses);
      return { double, stream: firehoseStream(double.client, 'replay', NO_PAUSES) };
    },
    failing(error) {
      const client = new FirehoseClient({ region: 'us-east-1' });
      const mock = mockClient(client).rejects(error);
      return { stream: firehoseStream(client, 'replay', NO_PAUSES), calls: () => mock.commandCalls(PutRecordBatchCommand).length };
    },
  },
];

for (const { name, called, accepts, six, open, failing } of CASES) {
  test(`${name}: each record is a line, and a call takes 500`, async () => {
    const { stream, double } = open();
    await stream.put([...RECORDS, 'one more']);
    assert.deepEqual(double.calls, [500, 1]);
    assert.equal(double.text(), `${LINES.join('')}one more\n`);
  });

  test(`${name}: of the largest records as many go in a call as it takes`, async () => {
    const { stream, double } = open();
    await stream.put(Array.from({ length: 6 }, () => 'x'.repeat(accepts - 1)));
    assert.deepEqual(double.calls, six);
  });

  test(`${name}: the one entry of 500 that was refused is sent again, alone`, async () => {
    const { stream, double } = open((call, entry) => (call === 0 && entry === 3 ? 'ServiceUnavailableException' : undefined));
    await stream.put(RECORDS);
    assert.deepEqual(double.calls, [500, 1]);
    assert.equal(double.text(), [...LINES.slice(0, 3), ...LINES.slice(4), LINES[3]].join(''));
  });

  test(`${name}: entries that are never taken end in StreamUnavailable, after a bounded number of attempts`, async () => {
    const { stream, double } = open((_, entry) => (entry === 0 ? 'ProvisionedThroughputExceededException' : undefined));
    await assert.rejects(stream.put(RECORDS.slice(0, 2)), (error: Error) =>
      error instanceof StreamUnavailable && error.message === `${called} does not take 1 of 2 records: ProvisionedThroughputExceededException`);
    assert.deepEqual(double.calls, [2, 1, 1, 1]);
  });

  for (const [what, error, calls] of [
    ['throttling', Object.assign(new Error('slow down'), { name: 'ThrottlingException', $metadata: { httpStatusCode: 400 } }), 1],
    ['a shard that is full', Object.assign(new Error('rate exceeded'), { name: 'ProvisionedThroughputExceededException', $metadata: { httpStatusCode: 400 } }), 1],
    ['a failure of the service', Object.assign(new Error('oops'), { name: 'UnknownError', $metadata: { httpStatusCode: 500 } }), 1],
    ['no connection', Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }), 1],
    ['a time limit', Object.assign(new Error('timed out'), { name: 'TimeoutError' }), 1],
    // Which the SDK does not try again.
    ['a session that died', Object.assign(new Error('session'), { code: 'ERR_HTTP2_GOAWAY_SESSION' }), 4],
  ] as const) {
    test(`${name}: ${what} is StreamUnavailable, with its cause`, async () => {
      const failed = failing(error);
      await assert.rejects(failed.stream.put(['a']), (thrown: Error) =>
        thrown instanceof StreamUnavailable && thrown.cause === error && thrown.message === `${called} takes no records: ${error.message}`);
      assert.equal(failed.calls(), calls);
    });
  }

  for (const refused of ['AccessDeniedException', 'ResourceNotFoundException', 'ExpiredTokenException']) {
    test(`${name}: ${refused} is an error of ours, and not that the stream is unavailable`, async () => {
      const error = Object.assign(new Error('not authorized'), { name: refused, $metadata: { httpStatusCode: 400 } });
      const failed = failing(error);
      await assert.rejects(failed.stream.put(['a']), (thrown) => thrown === error);
      assert.equal(failed.calls(), 1);
    });
  }

  test(`${name}: the largest record is taken, and with one byte more nothing is sent`, async () => {
    const { stream, double } = open();
    await stream.put(['x'.repeat(accepts - 1)]);
    assert.equal(double.text().length, accepts);
    await assert.rejects(stream.put(['a', 'x'.repeat(accepts)]), new RegExp(`^Error: a record of ${accepts + 1} bytes: ${called} accepts at most ${accepts}$`));
    assert.deepEqual(double.calls, [1]);
  });
}

test('Kinesis: no two records have the same partition key', async () => {
  const double = kinesisDouble();
  await kinesisStream(double.client, 'live').put(RECORDS);
  assert.equal(new Set(double.partitionKeys).size, 500);
});

test('A record without an answer of its own was not taken', async () => {
  const client = new KinesisClient({ region: 'us-east-1' });
  mockClient(client).on(PutRecordsCommand).resolves({ Records: [{ SequenceNumber: '1' }], FailedRecordCount: 0 });
  await assert.rejects(kinesisStream(client, 'live', { ...NO_PAUSES, retries: 0 }).put(['a', 'b']), /does not take 1 of 2 records: no answer/);
});
