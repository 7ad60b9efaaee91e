// What is particular to SQS; what all Tasks promise is in test/ports.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChangeMessageVisibilityCommand, GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { mockClient } from 'aws-sdk-client-mock';
import type { Task } from '../../../core/ports.ts';
import { parkedTasks, readTask, sqsTasks } from '../../../lambdas/aws/tasks.ts';
import { MemoryStore } from '../../memory.ts';
import { NO_PAUSES, fifoDouble, type Refuses } from './doubles.ts';

const URL = 'https://sqs.example/tasks.fifo';
const HOURS: Task[] = Array.from({ length: 12 }, (_, i) => ({ kind: 'hour', hour: `2026-11-20T${String(i).padStart(2, '0')}` }));

function open(refuses?: Refuses) {
  const registry = new MemoryStore();
  const double = fifoDouble(refuses);
  return { registry, ...double, tasks: sqsTasks(double.client, URL, registry, NO_PAUSES) };
}

test('A task is a message of its own group, and one that is sent again is another message', async () => {
  const { tasks, messages } = open();
  const day: Task = { kind: 'day', day: '2026-11-20', recompute: true };
  await tasks.send([HOURS[5]!, day]);
  await tasks.send([day]);
  assert.deepEqual(messages.map(({ MessageGroupId }) => MessageGroupId), ['hour#2026-11-20T05', 'day#2026-11-20', 'day#2026-11-20']);
  assert.deepEqual(messages.map(({ MessageBody }) => JSON.parse(MessageBody!) as unknown), [{ kind: 'hour', hour: '2026-11-20T05' }, { kind: 'day', day: '2026-11-20', recompute: true }, { kind: 'day', day: '2026-11-20', recompute: true }]);
  assert.equal(new Set(messages.map(({ MessageDeduplicationId }) => MessageDeduplicationId)).size, 3);
});

test('Ten go in a call, and one that was refused is sent again alone', async () => {
  const { tasks, calls, messages } = open((call, entry) => (call === 0 && entry === 3 ? 'InternalError' : undefined));
  await tasks.send(HOURS);
  assert.deepEqual(calls, [10, 1, 2]);
  const order = [0, 1, 2, 4, 5, 6, 7, 8, 9, 3, 10, 11];
  assert.deepEqual(messages.map(({ MessageBody }) => JSON.parse(MessageBody!) as Task), order.map((i) => HOURS[i]));
});

test('What is never taken rejects, naming the tasks, after a bounded number of attempts', async () => {
  const { tasks, calls } = open((call, entry) => (call === 0 ? entry > 7 : true) ? 'InternalError' : undefined);
  await assert.rejects(tasks.send(HOURS), /^Error: the queue https:\/\/sqs\.example\/tasks\.fifo does not take hour#2026-11-20T08, hour#2026-11-20T09: InternalError$/);
  assert.deepEqual(calls, [10, 2, 2, 2]);
});

test('A parked task that could not be sent stays parked', async () => {
  const { tasks } = open((call) => (call > 0 ? 'InternalError' : undefined));
  await tasks.park(HOURS[0]!, 5, 'first');
  await tasks.park(HOURS[11]!, 6, 'second');
  await assert.rejects(tasks.send(HOURS));
  assert.deepEqual(await tasks.parked(), [{ task: HOURS[11], attempts: 6, error: 'second' }]);
});

test('A note of a parked task is replaced by the next, and struck off', async () => {
  const { tasks, registry } = open();
  const whole: Task = { kind: 'hour', hour: '2026-11-20T05', recompute: true, whole: 'job' };
  await tasks.park(whole, 5, 'the last attempt did not end');
  await tasks.park(whole, 5, 'no such table');
  assert.deepEqual(await parkedTasks(registry), [{ task: whole, attempts: 5, error: 'no such table' }]);
  await tasks.unpark(whole);
  assert.deepEqual(await parkedTasks(registry), []);
});

test('What waits is what can be received, what was received, and what is delayed', async () => {
  const client = new SQSClient({ region: 'us-east-1' });
  mockClient(client).on(GetQueueAttributesCommand).resolves({
    Attributes: { ApproximateNumberOfMessages: '300', ApproximateNumberOfMessagesNotVisible: '20', ApproximateNumberOfMessagesDelayed: '1' },
  });
  assert.equal(await sqsTasks(client, URL, new MemoryStore()).waiting(), 321);
});

test('Backing off puts off the message that was received', async () => {
  const client = new SQSClient({ region: 'us-east-1' });
  const mock = mockClient(client);
  await sqsTasks(client, URL, new MemoryStore()).backOff('handle', 240);
  assert.deepEqual(mock.commandCalls(ChangeMessageVisibilityCommand).map(({ args }) => args[0].input), [{ QueueUrl: URL, ReceiptHandle: 'handle', VisibilityTimeout: 240 }]);
});

for (const task of [
  { kind: 'hour', hour: '2026-11-20T05' },
  { kind: 'hour', hour: '2026-11-20T05', recompute: false, whole: 'job' },
  { kind: 'day', day: '2024-02-29', recompute: true },
]) {
  test(`A message can be read: ${JSON.stringify(task)}`, () => {
    assert.deepEqual(readTask(JSON.stringify(task)), task);
  });
}

for (const body of [
  '', 'hour', 'null', '[]', '1', '{}', '{"kind":"week","day":"2026-11-20"}', '{"kind":"hour"}', '{"kind":"hour","hour":"2026-11-20T24"}', '{"kind":"hour","hour":20}',
  '{"kind":"hour","hour":"2026-11-20T05","day":"2026-11-20"}', '{"kind":"hour","hour":"2026-11-20T05","recompute":"yes"}', '{"kind":"hour","hour":"2026-11-20T05","whole":true}',
  '{"kind":"day","day":"2026-02-29"}', '{"kind":"day","day":"2026-11-20","whole":"job"}', '{"kind":"day","day":"2026-11-20","more":1}',
]) {
  test(`A message is refused, and what is accepted is said: ${body}`, () => {
    assert.throws(() => readTask(body), (error: Error) => error.message.startsWith(`message ${JSON.stringify(body.slice(0, 80))}`) && error.message.includes('accepts {"kind":"hour","hour":"YYYY-MM-DDTHH"}'));
  });
}
