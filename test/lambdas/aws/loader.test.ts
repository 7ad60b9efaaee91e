import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvokeCommand, LambdaClient, TooManyRequestsException } from '@aws-sdk/client-lambda';
import { mockClient } from 'aws-sdk-client-mock';
import type { Load } from '../../../core/load.ts';
import { lambda, lambdaLoader } from '../../../lambdas/aws/loader.ts';
import { NO_PAUSES } from './doubles.ts';

const loadOf = (i: number): Load => ({ part: `items/run=r/${i}.gz`, run: 'r', of: { hour: '2026-11-20T05' }, sparing: i % 2 === 0 });
const LOADS = Array.from({ length: 10 }, (_, i) => loadOf(i));

interface HttpSettings { requestTimeout?: number; socketTimeout?: number; throwOnRequestTimeout?: boolean }

type Answer = { payload: string; error?: string } | Error;

/** A loader whose function answers a part, at its n-th call (from 0), as `answer` says. */
function open(answer: (part: string, call: number) => Promise<Answer> | Answer, atOnce = 3) {
  const client = new LambdaClient({ region: 'us-east-1' });
  const begun: string[] = [];
  const mock = mockClient(client);
  mock.on(InvokeCommand).callsFake(async ({ FunctionName, InvocationType, Payload }: { FunctionName: string; InvocationType: string; Payload: string }) => {
    assert.deepEqual([FunctionName, InvocationType], ['load', 'RequestResponse']);
    const load = JSON.parse(Payload) as Load;
    assert.deepEqual(load, LOADS.find(({ part }) => part === load.part));
    const call = begun.filter((part) => part === load.part).length;
    begun.push(load.part);
    const answered = await answer(load.part, call);
    if (answered instanceof Error) throw answered;
    return { StatusCode: 200, Payload: Buffer.from(answered.payload), ...(answered.error !== undefined && { FunctionError: answered.error }) };
  });
  return { load: lambdaLoader(client, 'load', { atOnce, pauses: NO_PAUSES }), begun };
}

const turns = async (n: number) => { for (let i = 0; i < n; i++) await new Promise(setImmediate); };
const numberOf = (part: string) => Number(/(\d+)\.gz$/.exec(part)![1]);

test('Each part is loaded once, so many at once as allowed, and what they wrote is added up', async () => {
  let [running, most] = [0, 0];
  const { load, begun } = open(async (part) => {
    most = Math.max(most, ++running);
    await turns(1 + numberOf(part) % 3);
    running--;
    return { payload: JSON.stringify({ written: 10 ** (numberOf(part) % 5) }) };
  });
  // Twice 1 + 10 + 100 + 1,000 + 10,000.
  assert.equal(await load(LOADS), 22_222);
  assert.equal(most, 3);
  assert.deepEqual(begun.toSorted(), LOADS.map(({ part }) => part).toSorted());
});

test('Nothing to load is no call', async () => {
  const { load, begun } = open(() => assert.fail('called'));
  assert.equal(await load([]), 0);
  assert.deepEqual(begun, []);
});

test('A function that fails is told with its message; no new call begins, and those under way are waited for', async () => {
  const ended: string[] = [];
  const { load, begun } = open(async (part) => {
    await turns(part === LOADS[1]!.part ? 2 : 20);
    ended.push(part);
    return part === LOADS[1]!.part
      ? { payload: JSON.stringify({ errorType: 'Error', errorMessage: 'the table metrics takes no more now', trace: [] }), error: 'Unhandled' }
      : { payload: '{"written":1}' };
  });
  await assert.rejects(load(LOADS), /^Error: loading items\/run=r\/1\.gz failed: the table metrics takes no more now$/);
  assert.deepEqual(begun, LOADS.slice(0, 3).map(({ part }) => part));
  assert.deepEqual(ended.toSorted(), begun.toSorted());
});

for (const payload of ['', 'Task timed out', '{"errorMessage":""}', 'null']) {
  test(`A function that fails saying ${JSON.stringify(payload)} is told all the same`, async () => {
    const { load } = open(() => ({ payload, error: 'Unhandled' }));
    await assert.rejects(load(LOADS.slice(0, 1)), (error: Error) => error.message === `loading items/run=r/0.gz failed: ${payload}`);
  });
}

for (const payload of ['', 'null', '{}', '{"written":"1"}']) {
  test(`An answer that says no number is an error: ${payload}`, async () => {
    const { load } = open(() => ({ payload }));
    await assert.rejects(load(LOADS.slice(0, 1)), (error: Error) => error.message === `load answered ${payload} for items/run=r/0.gz: accepts {"written": a number}`);
  });
}

const busy = () => new TooManyRequestsException({ message: 'Rate Exceeded.', $metadata: {} });

test('A call that is refused for there being too many is tried again', async () => {
  const { load, begun } = open((_, call) => (call < 2 ? busy() : { payload: '{"written":7}' }));
  assert.equal(await load(LOADS.slice(0, 2)), 14);
  assert.equal(begun.length, 6);
});

test('Where that does not end it is the error, after a bounded number of attempts', async () => {
  const { load, begun } = open(() => busy(), 1);
  await assert.rejects(load(LOADS), { name: 'TooManyRequestsException', message: 'Rate Exceeded.' });
  assert.deepEqual(begun, Array.from({ length: 4 }, () => LOADS[0]!.part));
});

test('Any other error of a call is not tried again', async () => {
  const { load, begun } = open(() => Object.assign(new Error('not authorized'), { name: 'AccessDeniedException' }), 1);
  await assert.rejects(load(LOADS), { name: 'AccessDeniedException' });
  assert.equal(begun.length, 1);
});

test('The client waits for longer than any function may take, and says so when it gives up', async () => {
  // They are known once it has been asked for them.
  const { configProvider } = lambda().config.requestHandler as unknown as { configProvider: Promise<HttpSettings> };
  const { requestTimeout, socketTimeout, throwOnRequestTimeout } = await configProvider;
  assert.deepEqual([requestTimeout! > 900_000, socketTimeout! > 900_000, throwOnRequestTimeout], [true, true, true]);
});
