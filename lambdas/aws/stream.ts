// The Streams on AWS: a Kinesis stream for what is new, and a Firehose delivery stream for what goes through the
// transform once more. before: core/collect.ts, core/reprocess.ts; next: the transform (core/deliver.ts)
import { randomUUID } from 'node:crypto';
import { FirehoseClient, PutRecordBatchCommand } from '@aws-sdk/client-firehose';
import { KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis';
import pRetry, { type Options as Pauses } from 'p-retry';
import { StreamUnavailable, type Stream } from '../../core/ports.ts';

// A sender waits meanwhile: a connection that hangs has to end in time to try another.
const HASTY = { requestHandler: { connectionTimeout: 1_000, requestTimeout: 5_000 } };
export const firehose = (): FirehoseClient => new FirehoseClient(HASTY);
export const kinesis = (): KinesisClient => new KinesisClient(HASTY);

/** A sender waits meanwhile, and API Gateway for no more than half a minute. */
const PAUSES: Pauses = { retries: 5, minTimeout: 100, maxTimeout: 2_000, randomize: true };

/** What a call takes, and a record of it. */
interface Limits { records: number; bytes: number; recordBytes: number; overhead: number }

const MIB = 1_048_576;
/** A partition key counts, too: a UUID has 36 bytes. */
const KINESIS: Limits = { records: 500, bytes: 5 * MIB, recordBytes: MIB, overhead: 36 };
const FIREHOSE: Limits = { records: 500, bytes: 4 * MIB, recordBytes: 1_000 * 1_024, overhead: 0 };

/** A Kinesis stream; records are spread evenly, and keep no order. */
export function kinesisStream(client: KinesisClient, name: string, pauses = PAUSES): Stream {
  return streamOf(`the stream ${name}`, KINESIS, pauses, async (records) => {
    const { Records = [] } = await client.send(new PutRecordsCommand({
      StreamName: name,
      Records: records.map((Data) => ({ Data, PartitionKey: randomUUID() })),
    }));
    return records.map((_, i) => (Records[i]?.SequenceNumber ? undefined : Records[i]?.ErrorCode ?? 'no answer'));
  });
}

/** A Firehose delivery stream that is put to directly. */
export function firehoseStream(client: FirehoseClient, name: string, pauses = PAUSES): Stream {
  return streamOf(`the delivery stream ${name}`, FIREHOSE, pauses, async (records) => {
    const { RequestResponses = [] } = await client.send(new PutRecordBatchCommand({ DeliveryStreamName: name, Records: records.map((Data) => ({ Data })) }));
    return records.map((_, i) => (RequestResponses[i]?.RecordId ? undefined : RequestResponses[i]?.ErrorCode ?? 'no answer'));
  });
}

/** @param send puts the records of one call; resolves to why each was not taken, undefined where it was */
function streamOf(name: string, limits: Limits, pauses: Pauses, send: (records: readonly Buffer[]) => Promise<(string | undefined)[]>): Stream {
  async function putBatch(batch: readonly Buffer[]): Promise<void> {
    let left = batch;
    try {
      await pRetry(async () => {
        const reasons = await send(left);
        left = left.filter((_, i) => reasons[i] !== undefined);
        if (left.length > 0) {
          throw new StreamUnavailable(`${name} does not take ${left.length} of ${batch.length} records: ${reasons.find((reason) => reason !== undefined)}`);
        }
      }, { ...pauses, shouldRetry: ({ error }) => error instanceof StreamUnavailable || isOfSession(error) });
    } catch (error) {
      throw isPassing(error as Failure) ? new StreamUnavailable(`${name} takes no records: ${(error as Error).message}`, { cause: error }) : error;
    }
  }

  return {
    async put(records) {
      // Firehose writes records one behind the other into files, which are read line by line.
      const lines = records.map((record) => Buffer.from(`${record}\n`));
      const large = lines.find(({ length }) => length + limits.overhead > limits.recordBytes);
      if (large) throw new Error(`a record of ${large.length} bytes: ${name} accepts at most ${limits.recordBytes - limits.overhead}`);
      for (const batch of batchesOf(lines, limits)) await putBatch(batch);
    },
  };
}

function* batchesOf(records: readonly Buffer[], limits: Limits): Iterable<Buffer[]> {
  let batch: Buffer[] = [];
  let bytes = 0;
  for (const record of records) {
    const size = record.length + limits.overhead;
    if (batch.length === limits.records || (batch.length > 0 && bytes + size > limits.bytes)) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(record);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

type Failure = Error & { code?: string; $metadata?: { httpStatusCode?: number } };

const DISCONNECTED = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/** Whether a call failed for now: too many of them, a failure of the service, no way to it. The SDK has tried a few times by then. */
function isPassing(error: Failure): boolean {
  const status = error.$metadata?.httpStatusCode ?? 0;
  return status >= 500 || status === 429 || /Thrott|Exceeded|TooManyRequests|ServiceUnavailable|^TimeoutError$/.test(error.name)
    || DISCONNECTED.has(error.code ?? '') || isOfSession(error);
}

/** Kinesis is spoken to over HTTP/2, and a session may have died while the function was frozen: the SDK does not try that again. */
function isOfSession({ code }: Failure): boolean {
  return code?.startsWith('ERR_HTTP2_') === true;
}
