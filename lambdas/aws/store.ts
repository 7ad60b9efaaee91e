// The Store on AWS: a DynamoDB table whose key is (pk, sk), both strings.
import {
  ConditionalCheckFailedException, ProvisionedThroughputExceededException, RequestLimitExceeded, ThrottlingException, DynamoDBClient,
} from '@aws-sdk/client-dynamodb';
import { BatchWriteCommand, DynamoDBDocumentClient, GetCommand, PutCommand, QueryCommand, type BatchWriteCommandInput } from '@aws-sdk/lib-dynamodb';
import pRetry, { type Options as Pauses } from 'p-retry';
import type { Attribute, Store, StoreItem } from '../../core/ports.ts';

/** The client of a function's own account and region, as all of these: it retries by itself what is worth it. */
export const dynamo = (): DynamoDBClient => new DynamoDBClient();

type Write = NonNullable<BatchWriteCommandInput['RequestItems']>[string][number];
type Key = Pick<StoreItem, 'pk' | 'sk'>;

/** What BatchWriteItem takes, and how many of them are under way at once. */
const BATCH = 25;
const IN_FLIGHT = 8;
/** A table that gets more than it takes splits within minutes; half a minute of patience, and the task is tried again. */
const PAUSES: Pauses = { retries: 10, minTimeout: 50, maxTimeout: 5_000, randomize: true };

/** The table has not taken all of a batch. */
class Unprocessed extends Error {}

/**
 * @param consistent whether reads see every write that has resolved; such a read costs twice as much
 * @param pauses between the attempts at what the table did not take
 */
export function dynamoStore(client: DynamoDBClient, table: string, { consistent, pauses = PAUSES }: { consistent: boolean; pauses?: Pauses }): Store {
  const documents = DynamoDBDocumentClient.from(client, {
    // Numbers are doubles here as in LMDB, above 2^53 too; DynamoDB itself would keep 38 digits.
    marshallOptions: { removeUndefinedValues: true, allowImpreciseNumbers: true },
    unmarshallOptions: { wrapNumbers: Number },
  });

  /** Sends one batch; resolves to what the table did not take. */
  async function send(batch: readonly Write[]): Promise<readonly Write[]> {
    try {
      const { UnprocessedItems } = await documents.send(new BatchWriteCommand({ RequestItems: { [table]: [...batch] } }));
      return UnprocessedItems?.[table] ?? [];
    } catch (error) {
      // It took none of the batch; the SDK has tried a few times by now.
      if (error instanceof ProvisionedThroughputExceededException || error instanceof ThrottlingException || error instanceof RequestLimitExceeded) return batch;
      throw naming(batch.flatMap(({ PutRequest }) => (PutRequest?.Item ? [PutRequest.Item as StoreItem] : [])), error as Error);
    }
  }

  async function write(writes: readonly Write[]): Promise<void> {
    const waiting: Write[][] = [];
    for (let i = 0; i < writes.length; i += BATCH) waiting.push(writes.slice(i, i + BATCH));
    let taken = 0;
    const writer = async () => {
      for (let batch = waiting.pop(); batch; batch = waiting.pop()) {
        let left: readonly Write[] = batch;
        await pRetry(async () => {
          const before = left.length;
          left = await send(left);
          taken += before - left.length;
          if (left.length > 0) throw new Unprocessed();
        }, { ...pauses, shouldRetry: ({ error }) => error instanceof Unprocessed });
      }
    };
    const outcomes = await Promise.allSettled(Array.from({ length: Math.min(IN_FLIGHT, waiting.length) }, async () => {
      try {
        await writer();
      } catch (error) {
        // The others finish the batch they are at, and begin no new one.
        waiting.length = 0;
        throw error;
      }
    }));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (!failed) return;
    if (!(failed.reason instanceof Unprocessed)) throw failed.reason;
    throw new Error(`the table ${table} takes no more now: ${writes.length - taken} of ${writes.length} items are left, after ${(pauses.retries ?? 10) + 1} attempts`);
  }

  return {
    async get(pk, sk) {
      const { Item } = await documents.send(new GetCommand({ TableName: table, Key: { pk, sk }, ConsistentRead: consistent }));
      return Item as StoreItem | undefined;
    },
    async range(pk, from, to, limit = Infinity) {
      // DynamoDB refuses an empty key, and bounds in the wrong order; it compares the bytes of UTF-8.
      if (limit === 0 || to === '' || Buffer.compare(Buffer.from(from), Buffer.from(to)) > 0) return [];
      const items: StoreItem[] = [];
      let after: Record<string, unknown> | undefined;
      do {
        const { Items = [], LastEvaluatedKey } = await documents.send(new QueryCommand({
          TableName: table,
          ConsistentRead: consistent,
          KeyConditionExpression: from === '' ? 'pk = :pk and sk <= :to' : 'pk = :pk and sk between :from and :to',
          ExpressionAttributeValues: { ':pk': pk, ':to': to, ...(from !== '' && { ':from': from }) },
          ...(after && { ExclusiveStartKey: after }),
          ...(limit !== Infinity && { Limit: limit - items.length }),
        }));
        items.push(...Items as StoreItem[]);
        after = LastEvaluatedKey;
      } while (after && items.length < limit);
      return items;
    },
    async put(items) {
      await write(distinct(items).map((Item) => ({ PutRequest: { Item } })));
    },
    async create(item) {
      try {
        await documents.send(new PutCommand({ TableName: table, Item: item, ConditionExpression: 'attribute_not_exists(pk)' }));
        return true;
      } catch (error) {
        if (error instanceof ConditionalCheckFailedException) return false;
        throw naming([item], error as Error);
      }
    },
    async remove(keys) {
      await write(distinct(keys).map(({ pk, sk }) => ({ DeleteRequest: { Key: { pk, sk } } })));
    },
  };
}

/** One of each key, the last one: DynamoDB refuses a batch that names a key twice. */
function distinct<K extends Key>(keys: readonly K[]): K[] {
  return [...new Map(keys.map((key) => [JSON.stringify([key.pk, key.sk]), key])).values()];
}

/** DynamoDB says that an item is too large, and not which one. */
function naming(items: readonly StoreItem[], error: Error): Error {
  if (error.name !== 'ValidationException' || !/size/i.test(error.message)) return error;
  const [largest] = items.map((item) => ({ item, bytes: sizeOf(item) })).sort((a, b) => b.bytes - a.bytes);
  if (!largest) return error;
  return new Error(`item ${largest.item.pk} / ${largest.item.sk}, about ${largest.bytes} bytes: ${error.message}`, { cause: error });
}

/** About the bytes that DynamoDB counts. */
function sizeOf(value: Attribute): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (value instanceof Uint8Array) return value.length;
  if (Array.isArray(value)) return value.reduce<number>((bytes, one) => bytes + 1 + sizeOf(one), 3);
  if (typeof value !== 'object' || value === null) return 8;
  return Object.entries(value).reduce((bytes, [name, one]) => bytes + 1 + Buffer.byteLength(name) + sizeOf(one), 3);
}
