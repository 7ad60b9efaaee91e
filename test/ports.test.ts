// What every adapter of a port promises. The suites take the adapter as a parameter, so that each deployment's passes
// the same ones. With REMOTE=1 those of AWS run against the endpoint that the environment names, instead of stand-ins.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { Store, Stream, Task, Tasks } from '../core/ports.ts';
import { MAX_ATTEMPTS, taskName } from '../core/rollup.ts';
import { dynamoStore } from '../lambdas/aws/store.ts';
import { firehoseStream, kinesisStream } from '../lambdas/aws/stream.ts';
import { sqsTasks } from '../lambdas/aws/tasks.ts';
import { openEnvironment } from '../local/lmdb.ts';
import { lmdbStore } from '../local/store.ts';
import { lmdbLog } from '../local/stream.ts';
import { lmdbTasks } from '../local/tasks.ts';
import { createTable, deleteTable, startDynalite } from './dynalite.ts';
import { NO_PAUSES, fifoDouble, firehoseDouble, kinesisDouble, type Refuses, type StreamDouble } from './lambdas/aws/doubles.ts';
import { MemoryStore } from './memory.ts';
import { temporaryFolder } from './process.ts';
import { REMOTE, readQueue, readStream, remoteFifo, remoteStream } from './remote/aws.ts';

interface Opened<T> { open: () => T; close: () => Promise<void> }
/** Opens an adapter, and opens it again as a new process would. */
type Open<T> = (t: TestContext) => Promise<Opened<T>>;

function lmdb<T>(make: (environment: ReturnType<typeof openEnvironment>) => T): Open<T> {
  return async (t) => {
    const folder = join(temporaryFolder(), 'lmdb');
    let environment: ReturnType<typeof openEnvironment> | undefined;
    const close = async () => { await environment?.close(); environment = undefined; };
    t.after(close);
    return { open: () => make(environment = openEnvironment(folder)), close };
  };
}

/** What AWS keeps is not the process's: there is nothing to close. */
function kept<T>(open: () => T): Opened<T> {
  return { open, close: async () => undefined };
}

function storeContract(name: string, opening: Open<Store>): void {
  test(`${name}: an item comes back as it was put, with every kind of attribute`, async (t) => {
    const store = (await opening(t)).open();
    const item = { pk: 'a', sk: 'H#1', text: 'ü\u0000"', number: 1.5, flag: false, nothing: null, list: [1, [2]], map: { x: { y: 1 } }, bytes: new Uint8Array([0, 255]) };
    await store.put([item]);
    const { bytes, ...rest } = (await store.get('a', 'H#1'))!;
    assert.deepEqual(Uint8Array.from(bytes as Uint8Array), item.bytes);
    assert.deepEqual({ ...rest, bytes: item.bytes }, item);
    assert.equal(await store.get('a', 'H#2'), undefined);
  });

  test(`${name}: a range has the items between two sort keys, both included, in their order`, async (t) => {
    const store = (await opening(t)).open();
    await store.put(['D#3', 'D#1', 'E#1', 'D#2', 'D#10'].map((sk) => ({ pk: 'site', sk, n: sk })));
    await store.put([{ pk: 'site2', sk: 'D#1' }, { pk: 'sit', sk: 'D#2' }]);
    assert.deepEqual((await store.range('site', 'D#1', 'D#3')).map(({ sk }) => sk), ['D#1', 'D#10', 'D#2', 'D#3']);
    assert.deepEqual((await store.range('site', 'D#1', 'D#3', 2)).map(({ sk }) => sk), ['D#1', 'D#10']);
    assert.deepEqual(await store.range('site', 'F', 'G'), []);
  });

  test(`${name}: a put replaces the whole item`, async (t) => {
    const store = (await opening(t)).open();
    await store.put([{ pk: 'a', sk: 'b', old: 1 }]);
    await store.put([{ pk: 'a', sk: 'b', now: 2 }]);
    assert.deepEqual(await store.get('a', 'b'), { pk: 'a', sk: 'b', now: 2 });
  });

  test(`${name}: of several that create the same item one succeeds, and its item stays`, async (t) => {
    const store = (await opening(t)).open();
    const outcomes = await Promise.all([1, 2, 3].map((by) => store.create({ pk: 'salts', sk: 'day', by })));
    assert.equal(outcomes.filter(Boolean).length, 1);
    assert.equal((await store.get('salts', 'day'))!.by, outcomes.indexOf(true) + 1);
    assert.equal(await store.create({ pk: 'salts', sk: 'day', by: 9 }), false);
  });

  test(`${name}: what was removed is gone, and what was not there can be removed`, async (t) => {
    const store = (await opening(t)).open();
    await store.put([{ pk: 'a', sk: 'b' }, { pk: 'a', sk: 'c' }]);
    await store.remove([{ pk: 'a', sk: 'b' }, { pk: 'x', sk: 'y' }]);
    assert.deepEqual(await store.range('a', '', '~'), [{ pk: 'a', sk: 'c' }]);
  });

  test(`${name}: a thousand items at once are all there for the next process`, async (t) => {
    const { open, close } = await opening(t);
    await open().put(Array.from({ length: 1000 }, (_, i) => ({ pk: 'many', sk: String(i).padStart(4, '0'), i })));
    await close();
    assert.deepEqual((await open().range('many', '', '~')).map(({ i }) => i), Array.from({ length: 1000 }, (_, i) => i));
  });

  test(`${name}: of items with one key in a put the last one stays`, async (t) => {
    const store = (await opening(t)).open();
    await store.put([{ pk: 'a', sk: 'b', n: 1 }, { pk: 'a', sk: 'c', n: 2 }, { pk: 'a', sk: 'b', n: 3 }]);
    assert.deepEqual(await store.range('a', '', '~'), [{ pk: 'a', sk: 'b', n: 3 }, { pk: 'a', sk: 'c', n: 2 }]);
  });

  test(`${name}: numbers are doubles, large and small ones too`, async (t) => {
    const store = (await opening(t)).open();
    const numbers = [0.1, -1.5, 2 ** 53 - 1, 2 ** 60, 1e21, 1e-7, -9_007_199_254_740_993];
    await store.put([{ pk: 'a', sk: 'b', numbers }]);
    assert.deepEqual((await store.get('a', 'b'))!.numbers, numbers);
  });

  test(`${name}: a range whose bounds are in the wrong order, or end before every key, has nothing`, async (t) => {
    const store = (await opening(t)).open();
    await store.put([{ pk: 'a', sk: 'b' }, { pk: 'a', sk: 'c' }]);
    assert.deepEqual(await store.range('a', 'c', 'b'), []);
    assert.deepEqual(await store.range('a', '', ''), []);
    assert.deepEqual(await store.range('a', 'b', 'c', 0), []);
  });

  test(`${name}: whole items can be given to remove, also twice`, async (t) => {
    const store = (await opening(t)).open();
    const items = Array.from({ length: 60 }, (_, i) => ({ pk: 'a', sk: String(i).padStart(2, '0'), more: { than: 'the key' } }));
    await store.put(items);
    await store.remove([...items.slice(1), ...items.slice(30)]);
    assert.deepEqual(await store.range('a', '', '~'), [items[0]]);
  });

  test(`${name}: nothing can be put and removed`, async (t) => {
    const store = (await opening(t)).open();
    await store.put([]);
    await store.remove([]);
    assert.deepEqual(await store.range('a', '', '~'), []);
  });
}

/** @param read what the stream holds once it holds so many records, as the lines of a file */
type Readable = Stream & { read: (records: number) => Promise<string[]> };

function streamContract(name: string, opening: Open<Readable>, { ordered }: { ordered: boolean }): void {
  const inOrder = (records: string[]) => (ordered ? records : records.toSorted());

  test(`${name}: what was put is there for the next process${ordered ? ', in order' : ''}`, async (t) => {
    const { open, close } = await opening(t);
    const stream = open();
    await stream.put([]);
    await stream.put(['a', 'b']);
    await stream.put(['{"c":"ü\\u0000"}']);
    await close();
    assert.deepEqual(inOrder(await open().read(3)), ['a', 'b', '{"c":"ü\\u0000"}']);
  });

  test(`${name}: more than any call takes, in number and in bytes, is there once and as it was`, async (t) => {
    const stream = (await opening(t)).open();
    const small = Array.from({ length: 1201 }, (_, i) => `{"n":${String(i).padStart(4, '0')},"text":"ü"}`);
    const large = Array.from({ length: 8 }, (_, i) => `{"large":${i},"text":"${String(i).repeat(700_000)}"}`);
    const all = [...small.slice(0, 10), ...large, ...small.slice(10)];
    await stream.put(all);
    const [read, expected] = [inOrder(await stream.read(all.length)), inOrder(all)];
    assert.equal(read.length, expected.length);
    // Not deepEqual: what it would print are megabytes.
    assert.equal(read.findIndex((record, i) => record !== expected[i]), -1);
  });
}

/** A queue that can also be looked into, and told that a task failed as often as it takes. */
type Queue = Tasks & { waiting: (count: number) => Promise<Task[]>; park: (task: Task, error: string) => Promise<void> };

function tasksContract(name: string, opening: Open<Queue>): void {
  test(`${name}: sending nothing is no error`, async (t) => {
    const tasks = (await opening(t)).open();
    await tasks.send([]);
    assert.deepEqual(await tasks.parked(), []);
  });

  test(`${name}: what was sent waits for the next process, with all it says`, async (t) => {
    const { open, close } = await opening(t);
    const sent: Task[] = Array.from({ length: 23 }, (_, i) => ({ kind: 'hour', hour: `2026-11-20T${String(i).padStart(2, '0')}`, recompute: i % 2 === 0 }));
    sent.push({ kind: 'hour', hour: '2026-11-21T00', recompute: true, whole: 'job' }, { kind: 'day', day: '2026-11-20', recompute: false });
    await open().send(sent);
    await close();
    const byName = (tasks: readonly Task[]) => Object.fromEntries(tasks.map((task) => [taskName(task), task]));
    assert.deepEqual(byName(await open().waiting(sent.length)), byName(sent));
  });

  test(`${name}: a task that failed too often is told of, until it is sent again`, async (t) => {
    const tasks = (await opening(t)).open();
    const [hour, day]: [Task, Task] = [{ kind: 'hour', hour: '2026-11-20T05', recompute: false }, { kind: 'day', day: '2026-11-20', recompute: true }];
    await tasks.send([hour, day]);
    await tasks.park(hour, 'no such table');
    await tasks.park(day, 'no such column');
    const told = (await tasks.parked()).sort((a, b) => (a.task.kind < b.task.kind ? -1 : 1));
    assert.deepEqual(told, [{ task: day, attempts: 5, error: 'no such column' }, { task: hour, attempts: 5, error: 'no such table' }]);
    await tasks.send([day]);
    assert.deepEqual(await tasks.parked(), [{ task: hour, attempts: 5, error: 'no such table' }]);
  });
}

const linesOf = (text: string): string[] => {
  assert.ok(text === '' || text.endsWith('\n'), 'the last line has no end');
  return text.split('\n').slice(0, -1);
};

function logOf(environment: ReturnType<typeof openEnvironment>): Readable {
  const log = lmdbLog(environment, Date.now, () => undefined);
  return { put: (records) => log.put(records), read: async () => log.read(1e5, 1e8).map(({ data }) => data) };
}

function queueOf(environment: ReturnType<typeof openEnvironment>): Queue {
  const queue = lmdbTasks(environment, () => 0);
  return {
    send: (tasks) => queue.send(tasks),
    parked: () => queue.parked(),
    waiting: async () => queue.all().filter(({ parked }) => parked !== true).map(({ task }) => task),
    async park(task, error) {
      for (let n = 0; n < MAX_ATTEMPTS; n++) await queue.failed(queue.all().find(({ key }) => key === taskName(task))!, new Error(error));
    },
  };
}

const sqsQueue = (tasks: ReturnType<typeof sqsTasks>, bodies: (count: number) => Promise<string[]>): Queue => ({
  send: (sent) => tasks.send(sent),
  parked: () => tasks.parked(),
  waiting: async (count) => (await bodies(count)).map((body) => JSON.parse(body) as Task),
  park: (task, error) => tasks.park(task, 5, error),
});

function onDynamo(client: DynamoDBClient): Open<Store> {
  return async (t) => {
    const table = await createTable(client);
    t.after(() => deleteTable(client, table));
    return kept(() => dynamoStore(client, table, { consistent: true }));
  };
}

function onDouble<C>(double: StreamDouble<C>, make: (client: C) => Stream): Opened<Readable> {
  return kept(() => ({ put: (records) => make(double.client).put(records), read: async () => linesOf(double.text()) }));
}

/** Every third entry, the first time each call comes along. */
const SOME: Refuses = (call, entry) => (call % 2 === 0 && entry % 3 === 0 ? 'ProvisionedThroughputExceededException' : undefined);
const NONE: Refuses = () => undefined;

if (REMOTE) {
  storeContract('DynamoDB store', onDynamo(new DynamoDBClient()));
  streamContract('Kinesis stream', async (t) => {
    const { client, name } = await remoteStream(t);
    const stream = kinesisStream(client, name);
    return kept(() => ({ put: (records) => stream.put(records), read: async (count) => linesOf(await readStream(client, name, count)) }));
  }, { ordered: false });
  tasksContract('SQS tasks', async (t) => {
    const { client, url } = await remoteFifo(t);
    const tasks = sqsTasks(client, url, new MemoryStore());
    return kept(() => sqsQueue(tasks, (count) => readQueue(client, url, count)));
  });
} else {
  storeContract('LMDB store', lmdb((environment) => lmdbStore(environment, 'store')));
  streamContract('LMDB log', lmdb(logOf), { ordered: true });
  tasksContract('LMDB tasks', lmdb(queueOf));

  const dynalite = await startDynalite();
  after(() => dynalite.stop());
  storeContract('DynamoDB store', onDynamo(dynalite.client));
  for (const [how, refuses] of [['', NONE], [', of which some entries are refused', SOME]] as const) {
    streamContract(`Kinesis stream${how}`, async () => onDouble(kinesisDouble(refuses), (client) => kinesisStream(client, 'live', NO_PAUSES)), { ordered: false });
    streamContract(`Firehose stream${how}`, async () => onDouble(firehoseDouble(refuses), (client) => firehoseStream(client, 'replay', NO_PAUSES)), { ordered: false });
    tasksContract(`SQS tasks${how}`, async () => {
      const { client, messages } = fifoDouble(refuses);
      const tasks = sqsTasks(client, 'https://sqs.example/tasks.fifo', new MemoryStore(), NO_PAUSES);
      return kept(() => sqsQueue(tasks, async () => messages.map(({ MessageBody }) => MessageBody!)));
    });
  }
}
