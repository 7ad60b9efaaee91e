import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeleteMessageBatchCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { mockClient } from 'aws-sdk-client-mock';
import { keysOf, s3Notices } from '../../../lambdas/aws/notices.ts';

const URL = 'https://sqs.example/notices';
const noticeOf = (...keys: string[]) => JSON.stringify({ Records: keys.map((key) => ({ eventName: 'ObjectCreated:Put', s3: { bucket: { name: 'lake' }, object: { key, size: 1 } } })) });
const TEST_EVENT = JSON.stringify({ Service: 'Amazon S3', Event: 's3:TestEvent', Bucket: 'lake' });

interface QueueOptions {
  /** What each call gives out, one after the other; then nothing. */
  gives?: string[][];
  /** Milliseconds a call takes. */
  callMs?: number;
  deadline?: number;
  /** Whether a message cannot be removed in a call, from 0; an error fails the call. */
  keeps?: (call: number, handle: string) => boolean | Error;
}

function open({ gives = [], callMs = 1, deadline = 60_000, keeps = () => false }: QueueOptions = {}) {
  const client = new SQSClient({ region: 'us-east-1' });
  const time = { now: 0 };
  const [removed, removals, reports]: [string[], number[], string[]] = [[], [], []];
  let received = 0;
  const mock = mockClient(client);
  mock.on(ReceiveMessageCommand).callsFake((input: ReceiveMessageCommand['input']) => {
    assert.deepEqual(input, { QueueUrl: URL, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 });
    const bodies = gives[received++] ?? [];
    assert.ok(bodies.length <= 10);
    time.now += callMs;
    return { Messages: bodies.map((Body, i) => ({ Body, MessageId: `${received - 1}.${i}`, ReceiptHandle: `handle ${received - 1}.${i}` })) };
  });
  mock.on(DeleteMessageBatchCommand).callsFake(({ Entries }: DeleteMessageBatchCommand['input']) => {
    assert.ok(Entries!.length > 0 && Entries!.length <= 10, `DeleteMessageBatch of ${Entries!.length} messages`);
    const call = removals.push(Entries!.length) - 1;
    const outcomes = Entries!.map(({ Id, ReceiptHandle }) => ({ Id, handle: ReceiptHandle!, kept: keeps(call, ReceiptHandle!) }));
    for (const { kept } of outcomes) if (kept instanceof Error) throw kept;
    const gone = outcomes.filter(({ kept }) => kept === false);
    removed.push(...gone.map(({ handle }) => handle));
    return { Successful: gone.map(({ Id }) => ({ Id })), Failed: outcomes.filter(({ kept }) => kept === true).map(({ Id }) => ({ Id, Code: 'InternalError', SenderFault: false })) };
  });
  const notices = s3Notices(client, URL, { deadline, clock: () => time.now, report: (line) => { reports.push(line); } });
  return { notices, removed, removals, reports, received: () => received };
}

test('Hours of new objects are announced, each once', async () => {
  const { notices, reports } = open({ gives: [[
    noticeOf('events/dt=2026-11-20/hr=05/footfall-1-a.parquet'), noticeOf('events/dt=2026-11-20/hr=05/footfall-1-b.parquet', 'events/dt=2026-11-19/hr=23/footfall-1-c.parquet'),
  ]] });
  const { announced } = await notices.read();
  assert.deepEqual(announced, [{ hour: '2026-11-20T05', recompute: false }, { hour: '2026-11-19T23', recompute: false }]);
  assert.deepEqual(reports, []);
});

test('Keys are read as S3 writes them', async () => {
  const { notices } = open({ gives: [[noticeOf('events/dt%3D2026-11-20/hr%3D07/a+file+%C3%BC%2B.parquet')]] });
  assert.deepEqual((await notices.read()).announced, [{ hour: '2026-11-20T07', recompute: false }]);
  assert.deepEqual(keysOf(noticeOf('failed/processing-failed/a+file+%C3%BC%2B', 'b')), ['failed/processing-failed/a file ü+', 'b']);
});

test('An hour counts as counted anew only where all its objects are of a replay', async () => {
  const { notices } = open({ gives: [[
    noticeOf('events/dt=2026-11-20/hr=01/replay-1.parquet'), noticeOf('events/dt=2026-11-20/hr=01/replay-2.parquet'),
    noticeOf('events/dt=2026-11-20/hr=02/replay-1.parquet'), noticeOf('events/dt=2026-11-20/hr=02/live.parquet'),
    noticeOf('events/dt=2026-11-20/hr=03/live.parquet'), noticeOf('events/dt=2026-11-20/hr=03/replay-1.parquet'),
    noticeOf('events/dt=2026-11-20/hr=04/live-replay-1.parquet'),
  ]] });
  assert.deepEqual(Object.fromEntries((await notices.read()).announced.map(({ hour, recompute }) => [hour, recompute])), {
    '2026-11-20T01': true, '2026-11-20T02': false, '2026-11-20T03': false, '2026-11-20T04': false,
  });
});

test('The message with which S3 tests the queue announces nothing, and is taken', async () => {
  const { notices, removed } = open({ gives: [[TEST_EVENT]] });
  const { announced, taken } = await notices.read();
  assert.deepEqual(announced, []);
  await taken();
  assert.deepEqual(removed, ['handle 0.0']);
});

test('A message that cannot be read is told of and stays, and those beside it are read', async () => {
  const unreadable = [
    'x', 'null', '{}', '{"Records":[null]}', '{"Records":[{"s3":{"object":{"key":7}}}]}',
    noticeOf('raw/dt=2026-11-20/hr=05/a.gz'), noticeOf('events/dt=2026-11-20/hr=24/a.parquet'), noticeOf('events/dt=2026-02-30/hr=00/a.parquet'), noticeOf('events/%ZZ'),
  ];
  const { notices, removed, reports } = open({ gives: [[...unreadable, noticeOf('events/dt=2026-11-20/hr=05/a.parquet')]] });
  const { announced, taken } = await notices.read();
  assert.deepEqual(announced, [{ hour: '2026-11-20T05', recompute: false }]);
  assert.equal(reports.length, unreadable.length);
  for (const report of reports) assert.match(report, /^A notice cannot be read and stays in its queue: ./);
  assert.match(reports[6]!, /key "events\/dt=2026-11-20\/hr=24\/a.parquet": accepts events\/dt=YYYY-MM-DD\/hr=HH\/…/);
  await taken();
  assert.deepEqual(removed, ['handle 0.9']);
});

test('The queue is drained when two rounds give nothing; one does not end it', async () => {
  const hour = (n: number) => [noticeOf(`events/dt=2026-11-20/hr=0${n}/a.parquet`)];
  // Four calls a round: the second round gives nothing, the third does.
  const { notices, received } = open({ gives: [hour(1), [], [], hour(2), [], [], [], [], [], hour(3)] });
  const { announced, drained } = await notices.read();
  assert.deepEqual(announced.map((one) => one.hour), ['2026-11-20T01', '2026-11-20T02', '2026-11-20T03']);
  assert.equal(drained, true);
  assert.equal(received(), 5 * 4);
});

test('Reading ends at its time limit, says that there is more, and what was read can be taken', async () => {
  const gives = Array.from({ length: 1000 }, () => Array.from({ length: 10 }, () => noticeOf('events/dt=2026-11-20/hr=05/a.parquet')));
  // A round of four calls takes a second.
  const { notices, received, removed, removals } = open({ gives, callMs: 250, deadline: 3_000 });
  const { announced, drained, taken } = await notices.read();
  assert.deepEqual([announced, drained, received()], [[{ hour: '2026-11-20T05', recompute: false }], false, 12]);
  await taken();
  assert.deepEqual([removed.length, new Set(removed).size, removals.length], [120, 120, 12]);
});

test('What could not be removed is tried once more', async () => {
  const { notices, removed, removals, reports } = open({
    gives: [Array.from({ length: 10 }, () => TEST_EVENT), [TEST_EVENT]], keeps: (call, handle) => call < 2 && /\.[37]$/.test(handle),
  });
  await (await notices.read()).taken();
  assert.deepEqual(removals, [10, 1, 2]);
  assert.equal(removed.length, 11);
  assert.deepEqual(reports, []);
});

test('What can never be removed is told of, and is no error', async () => {
  const { notices, removals, reports } = open({ gives: [[TEST_EVENT, TEST_EVENT]], keeps: (_, handle) => handle === 'handle 0.1' });
  await (await notices.read()).taken();
  assert.deepEqual(removals, [2, 1]);
  assert.deepEqual(reports, ['1 of 2 notices could not be removed from their queue; their hours are announced again.']);
});

test('A removal that fails as a whole is tried once more, and told of', async () => {
  const { notices, removed, reports } = open({ gives: [[TEST_EVENT, TEST_EVENT]], keeps: (call) => (call === 0 ? new Error('no connection') : false) });
  await (await notices.read()).taken();
  assert.deepEqual(removed, ['handle 0.0', 'handle 0.1']);
  assert.deepEqual(reports, ['The queue of notices does not remove messages: no connection']);
});

test('A message that comes twice is removed by the handle of the last time', async () => {
  const client = new SQSClient({ region: 'us-east-1' });
  const mock = mockClient(client);
  const message = (ReceiptHandle: string) => ({ Messages: [{ MessageId: 'one', ReceiptHandle, Body: TEST_EVENT }] });
  mock.on(ReceiveMessageCommand).resolvesOnce(message('first')).resolvesOnce(message('second')).resolves({});
  mock.on(DeleteMessageBatchCommand).resolves({ Successful: [{ Id: '0' }] });
  await (await s3Notices(client, URL, { deadline: 1000, clock: () => 0, report: assert.fail }).read()).taken();
  assert.deepEqual(mock.commandCalls(DeleteMessageBatchCommand).map(({ args }) => args[0].input.Entries), [[{ Id: '0', ReceiptHandle: 'second' }]]);
});
