// What the suites of the ports need where AWS itself, or an emulator, is asked: tables, streams and queues with random
// names, gone when the test is. Endpoint, region and credentials come from the environment, as for every SDK.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { TestContext } from 'node:test';
import {
  CreateStreamCommand, DeleteStreamCommand, GetRecordsCommand, GetShardIteratorCommand, KinesisClient, ListShardsCommand, waitUntilStreamExists,
} from '@aws-sdk/client-kinesis';
import { CreateQueueCommand, DeleteMessageBatchCommand, DeleteQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';

/** Whether the AWS adapters' suites run against the endpoint that the environment names. */
export const REMOTE = process.env.REMOTE === '1';

/** Reads of a stream or a queue before a test gives up; the last are a few seconds apart. */
const READS = 40;
const between = (n: number) => pause(Math.min(100 * n, 3_000));

/** Kinesis's client speaks HTTP/2, which AWS does and emulators do not: there it gets another client's HTTP/1.1. */
function kinesisClient(): KinesisClient {
  return process.env.AWS_ENDPOINT_URL === undefined ? new KinesisClient() : new KinesisClient({ requestHandler: new SQSClient().config.requestHandler });
}

export async function remoteStream(t: TestContext): Promise<{ client: KinesisClient; name: string }> {
  const client = kinesisClient();
  const StreamName = `footfall-test-${randomUUID()}`;
  // On demand: four shards, so that a test of several MB is not throttled.
  await client.send(new CreateStreamCommand({ StreamName, StreamModeDetails: { StreamMode: 'ON_DEMAND' } }));
  t.after(() => client.send(new DeleteStreamCommand({ StreamName, EnforceConsumerDeletion: true })));
  await waitUntilStreamExists({ client, maxWaitTime: 120, minDelay: 0.1, maxDelay: 3 }, { StreamName });
  return { client, name: StreamName };
}

/** What a stream holds, shard after shard, once it holds so many lines. */
export async function readStream(client: KinesisClient, StreamName: string, lines: number): Promise<string> {
  const { Shards = [] } = await client.send(new ListShardsCommand({ StreamName }));
  const places = await Promise.all(Shards.map(async ({ ShardId }) => {
    const { ShardIterator } = await client.send(new GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' }));
    return { iterator: ShardIterator, text: '' };
  }));
  const text = () => places.map((place) => place.text).join('');
  for (let n = 1; n <= READS && text().split('\n').length <= lines; n++) {
    await Promise.all(places.map(async (place) => {
      const { Records = [], NextShardIterator } = await client.send(new GetRecordsCommand({ ShardIterator: place.iterator }));
      place.iterator = NextShardIterator;
      place.text += Records.map(({ Data }) => Buffer.from(Data!).toString()).join('');
    }));
    await between(n);
  }
  return text();
}

export async function remoteFifo(t: TestContext): Promise<{ client: SQSClient; url: string }> {
  const client = new SQSClient();
  const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: `footfall-test-${randomUUID()}.fifo`, Attributes: { FifoQueue: 'true' } }));
  t.after(() => client.send(new DeleteQueueCommand({ QueueUrl })));
  return { client, url: QueueUrl! };
}

/** The bodies of so many messages, which are taken from the queue: a group gives its next one only then. */
export async function readQueue(client: SQSClient, QueueUrl: string, count: number): Promise<string[]> {
  const bodies: string[] = [];
  for (let n = 1; n <= READS && bodies.length < count; n++) {
    const { Messages = [] } = await client.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 }));
    if (Messages.length === 0) continue;
    bodies.push(...Messages.map(({ Body }) => Body!));
    await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries: Messages.map(({ ReceiptHandle }, i) => ({ Id: String(i), ReceiptHandle })) }));
  }
  return bodies;
}
