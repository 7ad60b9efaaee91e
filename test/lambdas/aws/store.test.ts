// What is particular to DynamoDB; what every Store promises is in test/ports.test.ts.
import assert from 'node:assert/strict';
import { after, test, type TestContext } from 'node:test';
import { DynamoDBClient, ProvisionedThroughputExceededException } from '@aws-sdk/client-dynamodb';
import { BatchWriteCommand, DynamoDBDocumentClient, GetCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import { mockClient } from 'aws-sdk-client-mock';
import { dynamoStore } from '../../../lambdas/aws/store.ts';
import { createTable, startDynalite } from '../../dynalite.ts';
import { NO_PAUSES } from './doubles.ts';

const dynalite = await startDynalite();
after(() => dynalite.stop());
const open = async () => dynamoStore(dynalite.client, await createTable(dynalite.client), { consistent: true, pauses: NO_PAUSES });

const itemsOf = (count: number) => Array.from({ length: count }, (_, i) => ({ pk: 'p', sk: String(i).padStart(4, '0') }));

type Batch = { PutRequest: { Item: { sk: string } } }[];

/**
 * A store whose table answers as `answer` says: what of a batch, given with its number from 0, it does not take, or an
 * error. `batches` are the sort keys of each call.
 */
function answering(t: TestContext, answer: (batch: Batch, call: number) => Promise<Batch | Error> | Batch | Error) {
  const batches: string[][] = [];
  const mock = mockClient(DynamoDBDocumentClient);
  t.after(() => { mock.restore(); });
  mock.on(BatchWriteCommand).callsFake(async ({ RequestItems }: { RequestItems: { metrics: Batch } }) => {
    const batch = RequestItems.metrics;
    assert.ok(batch.length > 0 && batch.length <= 25, `BatchWriteItem of ${batch.length} items`);
    const left = await answer(batch, batches.push(batch.map(({ PutRequest }) => PutRequest.Item.sk)) - 1);
    if (left instanceof Error) throw left;
    return { UnprocessedItems: left.length > 0 ? { metrics: left } : {} };
  });
  const store = dynamoStore(new DynamoDBClient({ region: 'us-east-1' }), 'metrics', { consistent: true, pauses: NO_PAUSES });
  return { store, batches, mock };
}

const failing = (name: string) => Object.assign(new Error(`${name} as the test says`), { name });
const throttled = () => new ProvisionedThroughputExceededException({ message: 'slow down', $metadata: {} });

test('A range of several answers is whole and in order, and a limit holds across them', async () => {
  const store = await open();
  // 30 × 100 KB, of which an answer holds 1 MB.
  const items = itemsOf(30).map((item, i) => ({ ...item, i, text: 'x'.repeat(100_000) }));
  await store.put(items);
  assert.deepEqual((await store.range('p', '', '~')).map(({ i }) => i), items.map(({ i }) => i));
  assert.deepEqual((await store.range('p', '0003', '~', 25)).map(({ i }) => i), Array.from({ length: 25 }, (_, n) => n + 3));
});

test('What DynamoDB would refuse to be asked, and can only have nothing, is not asked', async (t) => {
  const { store, mock } = answering(t, () => []);
  mock.on(QueryCommand).resolves({ Items: [] });
  for (const [from, to, limit] of [['', '', 1], ['b', 'a', 1], ['a', '', 1], ['a', 'b', 0]] as const) assert.deepEqual(await store.range('p', from, to, limit), []);
  assert.equal(mock.commandCalls(QueryCommand).length, 0);
  // In bytes U+1F600 comes after U+FF5E; in UTF-16 before.
  await store.range('p', '', '\uff5e');
  await store.range('p', '\uff5e', '\u{1f600}');
  const conditions = mock.commandCalls(QueryCommand).map(({ args }) => args[0].input);
  assert.deepEqual(conditions.map(({ KeyConditionExpression, ExpressionAttributeValues }) => [KeyConditionExpression, ExpressionAttributeValues]), [
    ['pk = :pk and sk <= :to', { ':pk': 'p', ':to': '\uff5e' }],
    ['pk = :pk and sk between :from and :to', { ':pk': 'p', ':from': '\uff5e', ':to': '\u{1f600}' }],
  ]);
});

test('Bytes are bytes wherever they stand, and what is undefined is left out', async () => {
  const store = await open();
  await store.put([{ pk: 'a', sk: 'b', sketches: [new Uint8Array([1, 2]), new Uint8Array([255])], gone: undefined, map: { kept: '', gone: undefined }, none: [] }]);
  assert.deepEqual(await store.get('a', 'b'), { pk: 'a', sk: 'b', sketches: [new Uint8Array([1, 2]), new Uint8Array([255])], map: { kept: '' }, none: [] });
});

test('An item that is too large is named', async () => {
  const store = await open();
  const large = { pk: 'shop', sk: 'B#2026-11-20', text: 'x'.repeat(410_000) };
  await assert.rejects(store.put([{ pk: 'shop', sk: 'B#2026-11-19' }, large, { pk: 'shop', sk: 'B#2026-11-21' }]), /^Error: item shop \/ B#2026-11-20, about 4100\d\d bytes: .*size/);
  await assert.rejects(store.create(large), /^Error: item shop \/ B#2026-11-20, about 4100\d\d bytes: .*size/);
});

test('What the table does not take of a batch is sent again alone, until it does', async (t) => {
  const { store, batches } = answering(t, (batch, call) => (call < 2 ? batch.slice(-3 + call) : []));
  await store.put(itemsOf(10));
  assert.deepEqual(batches, [itemsOf(10).map(({ sk }) => sk), ['0007', '0008', '0009'], ['0008', '0009']]);
});

test('A call that is refused for there being too many is sent again', async (t) => {
  const { store, batches } = answering(t, (_, call) => (call < 2 ? throttled() : []));
  await store.put(itemsOf(3));
  assert.deepEqual(batches, Array.from({ length: 3 }, () => ['0000', '0001', '0002']));
});

test('When the table never takes some, the error names it and how many are left, and the attempts are bounded', async (t) => {
  const { store, batches } = answering(t, (batch) => batch.filter(({ PutRequest }) => PutRequest.Item.sk >= '0020'));
  await assert.rejects(store.put(itemsOf(25)), /^Error: the table metrics takes no more now: 5 of 25 items are left, after 4 attempts$/);
  assert.deepEqual(batches.map(({ length }) => length), [25, 5, 5, 5]);
});

test('When every call is refused for there being too many, all items are left', async (t) => {
  const { store, batches } = answering(t, () => throttled());
  await assert.rejects(store.put(itemsOf(30)), /the table metrics takes no more now: 30 of 30 items are left/);
  assert.equal(batches.length, 8);
});

test('No more than eight batches are under way at once, and no fewer', async (t) => {
  let [running, most] = [0, 0];
  const { store, batches } = answering(t, async () => {
    most = Math.max(most, ++running);
    await new Promise(setImmediate);
    running--;
    return [];
  });
  await store.put(itemsOf(1000));
  assert.equal(most, 8);
  assert.deepEqual(batches.flat().sort(), itemsOf(1000).map(({ sk }) => sk));
});

test('An error that is not for now comes through at once, and no new batch begins', async (t) => {
  const { store, batches } = answering(t, async (_, call) => {
    await new Promise(setImmediate);
    return call === 0 ? failing('AccessDeniedException') : [];
  });
  await assert.rejects(store.put(itemsOf(1000)), { name: 'AccessDeniedException' });
  assert.equal(batches.length, 8);
});

test('Creating an item passes on what is no refusal of the key', async (t) => {
  const mock = mockClient(DynamoDBDocumentClient);
  t.after(() => { mock.restore(); });
  mock.rejects(failing('AccessDeniedException'));
  const store = dynamoStore(new DynamoDBClient({ region: 'us-east-1' }), 'registry', { consistent: true });
  await assert.rejects(store.create({ pk: 'a', sk: 'b' }), { name: 'AccessDeniedException' });
});

for (const consistent of [true, false]) {
  test(`Reads are ${consistent ? '' : 'not '}consistent where the store is ${consistent ? '' : 'not '}to be`, async (t) => {
    const { mock } = answering(t, () => []);
    mock.on(GetCommand).resolves({}).on(QueryCommand).resolves({ Items: [] });
    const store = dynamoStore(new DynamoDBClient({ region: 'us-east-1' }), 'metrics', { consistent });
    await store.get('a', 'b');
    await store.range('a', '', '~');
    assert.deepEqual([mock.commandCalls(GetCommand)[0]!.args[0].input.ConsistentRead, mock.commandCalls(QueryCommand)[0]!.args[0].input.ConsistentRead], [consistent, consistent]);
  });
}
