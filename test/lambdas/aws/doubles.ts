// Stand-ins for what AWS keeps: they hold what they are given, refuse what a call may not hold, and refuse entries as
// a test says. Only the clients' `send` is replaced.
import assert from 'node:assert/strict';
import { FirehoseClient, PutRecordBatchCommand } from '@aws-sdk/client-firehose';
import { KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis';
import { SQSClient, SendMessageBatchCommand, type SendMessageBatchRequestEntry } from '@aws-sdk/client-sqs';
import { mockClient } from 'aws-sdk-client-mock';

const REGION = { region: 'us-east-1' };
const MIB = 1_048_576;
/** Retries of the adapters, without pauses. */
export const NO_PAUSES = { retries: 3, minTimeout: 0 };

/** The code of the error with which an entry of a call (both from 0) is refused, if it is. */
export type Refuses = (call: number, entry: number) => string | undefined;

export interface StreamDouble<C> {
  client: C;
  /** Entries of each call so far. */
  calls: number[];
  /** What was taken, one behind the other. */
  text(): string;
  partitionKeys: string[];
}

export function kinesisDouble(refuses: Refuses = () => undefined): StreamDouble<KinesisClient> {
  const client = new KinesisClient(REGION);
  const [taken, calls, partitionKeys]: [Uint8Array[], number[], string[]] = [[], [], []];
  mockClient(client).on(PutRecordsCommand).callsFake(({ Records }: PutRecordsCommand['input']) => {
    const records = Records!.map(({ Data, PartitionKey }) => ({ data: Data!, key: PartitionKey! }));
    assert.ok(records.length > 0 && records.length <= 500, `PutRecords of ${records.length} records`);
    const sizes = records.map(({ data, key }) => data.length + Buffer.byteLength(key));
    assert.ok(Math.max(...sizes) <= MIB, 'a record above 1 MiB');
    assert.ok(sizes.reduce((a, b) => a + b) <= 5 * MIB, 'PutRecords above 5 MiB');
    const call = calls.push(records.length) - 1;
    return {
      Records: records.map(({ data, key }, entry) => {
        const ErrorCode = refuses(call, entry);
        if (ErrorCode !== undefined) return { ErrorCode, ErrorMessage: 'as the test says' };
        partitionKeys.push(key);
        return { SequenceNumber: String(taken.push(data)), ShardId: 'shard-0' };
      }),
    };
  });
  return { client, calls, partitionKeys, text: () => Buffer.concat(taken).toString() };
}

export function firehoseDouble(refuses: Refuses = () => undefined): StreamDouble<FirehoseClient> {
  const client = new FirehoseClient(REGION);
  const [taken, calls]: [Uint8Array[], number[]] = [[], []];
  mockClient(client).on(PutRecordBatchCommand).callsFake(({ Records }: PutRecordBatchCommand['input']) => {
    const records = Records!.map(({ Data }) => Data!);
    assert.ok(records.length > 0 && records.length <= 500, `PutRecordBatch of ${records.length} records`);
    assert.ok(Math.max(...records.map(({ length }) => length)) <= 1_000 * 1_024, 'a record above 1,000 KiB');
    assert.ok(records.reduce((bytes, { length }) => bytes + length, 0) <= 4 * MIB, 'PutRecordBatch above 4 MiB');
    const call = calls.push(records.length) - 1;
    return {
      RequestResponses: records.map((data, entry) => {
        const ErrorCode = refuses(call, entry);
        return ErrorCode === undefined ? { RecordId: String(taken.push(data)) } : { ErrorCode, ErrorMessage: 'as the test says' };
      }),
    };
  });
  return { client, calls, partitionKeys: [], text: () => Buffer.concat(taken).toString() };
}

export interface QueueDouble {
  client: SQSClient;
  calls: number[];
  /** The messages that were taken. */
  messages: SendMessageBatchRequestEntry[];
}

/** A FIFO queue that is sent to. */
export function fifoDouble(refuses: Refuses = () => undefined): QueueDouble {
  const client = new SQSClient(REGION);
  const [messages, calls]: [SendMessageBatchRequestEntry[], number[]] = [[], []];
  mockClient(client).on(SendMessageBatchCommand).callsFake(({ Entries }: SendMessageBatchCommand['input']) => {
    assert.ok(Entries!.length > 0 && Entries!.length <= 10, `SendMessageBatch of ${Entries!.length} messages`);
    assert.equal(new Set(Entries!.map(({ Id }) => Id)).size, Entries!.length, 'the same Id twice in a call');
    const call = calls.push(Entries!.length) - 1;
    const outcome = { Successful: [] as { Id: string }[], Failed: [] as { Id: string; Code: string; SenderFault: boolean }[] };
    Entries!.forEach((message, entry) => {
      const Code = refuses(call, entry);
      if (Code !== undefined) {
        outcome.Failed.push({ Id: message.Id!, Code, SenderFault: false });
        return;
      }
      outcome.Successful.push({ Id: message.Id! });
      messages.push(message);
    });
    return outcome;
  });
  return { client, calls, messages };
}
