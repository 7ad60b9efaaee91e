// What surrounds a function's work: its environment, its line in the log, its numbers.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ENVIRONMENT, SIGNALS, environmentOf } from '../../lambdas/environment.ts';
import { wired } from '../../lambdas/function.ts';
import { contextOf } from './aws-events.ts';

// Has the logger write through the console, where a test can listen.
process.env.POWERTOOLS_DEV = 'true';
process.env.POWERTOOLS_METRICS_DISABLED = 'false';

/** What is logged meanwhile. */
async function linesOf(t: TestContext, work: () => Promise<unknown>): Promise<Record<string, unknown>[]> {
  const lines: string[] = [];
  const mocks = (['info', 'error', 'warn', 'log'] as const).map((name) => t.mock.method(console, name, (line: string) => { lines.push(line); }));
  try {
    await work();
  } finally {
    for (const { mock } of mocks) mock.restore();
  }
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

function environment(t: TestContext, variables: Record<string, string>): void {
  Object.assign(process.env, variables);
  t.after(() => { for (const name of Object.keys(variables)) delete process.env[name]; });
}

test('A function without a variable of its own says which one it misses, and works as soon as it has it', async (t) => {
  const handler = wired('retry', async ({ BUCKET }) => async () => BUCKET);
  environment(t, { SERVICE: 'footfall-test', BUCKET: 'lake' });
  await assert.rejects(handler({}, contextOf()), /the function retry has no REPLAY_STREAM in its environment/);
  environment(t, { REPLAY_STREAM: 'replay' });
  await linesOf(t, async () => { assert.equal(await handler({}, contextOf()), 'lake'); });
});

test('A function sees its own variables only', () => {
  const all = Object.fromEntries(Object.values(ENVIRONMENT).flat().map((name) => [name, name.toLowerCase()]));
  assert.deepEqual(environmentOf('load', { ...all, SERVICE: 'footfall-test', SECRET: 'x' }), { SERVICE: 'footfall-test', METRICS_TABLE: 'metrics_table', BUCKET: 'bucket' });
});

test('What a function works with is made once, when it is called first', async (t) => {
  environment(t, { SERVICE: 'footfall-test', METRICS_TABLE: 'metrics', BUCKET: 'lake' });
  let made = 0;
  const handler = wired('load', async () => { made++; return async () => made; });
  assert.equal(made, 0);
  await linesOf(t, async () => { await Promise.all([handler({}, contextOf()), handler({}, contextOf())]); });
  assert.equal(made, 1);
});

test('An invocation says one line, and its numbers for CloudWatch under the dimension that all have', async (t) => {
  environment(t, { SERVICE: 'footfall-test', METRICS_TABLE: 'metrics', BUCKET: 'lake' });
  const handler = wired('load', async (_, { count, note }) => async (event: { n: number }) => {
    count(SIGNALS.itemsWritten, event.n);
    count(SIGNALS.itemsWritten, 1);
    note({ run: 'r' });
    return {};
  });
  const lines = await linesOf(t, async () => { await handler({ n: 7 }, contextOf()); });
  const [said, ...more] = lines.filter((line) => !('_aws' in line));
  assert.deepEqual(more, []);
  assert.deepEqual([said!.level, said!.service, said!.run, typeof said!.ms, said!.function_request_id], ['INFO', 'load', 'r', 'number', 'request-1']);
  const [metrics] = lines.filter((line) => '_aws' in line) as { _aws: { CloudWatchMetrics: { Namespace: string; Dimensions: string[][]; Metrics: { Name: string }[] }[] }; ItemsWritten: number[]; service: string }[];
  assert.deepEqual(metrics!._aws.CloudWatchMetrics.map(({ Namespace, Dimensions, Metrics }) => [Namespace, Dimensions, Metrics.map(({ Name }) => Name)]), [['Footfall', [['service']], ['ItemsWritten']]]);
  assert.deepEqual([metrics!.service, metrics!.ItemsWritten], ['footfall-test', [7, 1]]);
  // And nothing of it is left for the next one.
  const next = await linesOf(t, async () => { await handler({ n: 1 }, contextOf()); });
  assert.deepEqual(next.filter((line) => '_aws' in line).map((line) => line.ItemsWritten), [[1, 1]]);
});

test('An error ends the invocation for AWS, too, and is in the line', async (t) => {
  environment(t, { SERVICE: 'footfall-test', METRICS_TABLE: 'metrics', BUCKET: 'lake' });
  const handler = wired('load', async (_, { note }) => async () => {
    note({ run: 'r' });
    throw new Error('the table is full');
  });
  const lines = await linesOf(t, () => assert.rejects(handler({}, contextOf()), /the table is full/));
  assert.equal(lines.length, 1);
  assert.deepEqual([lines[0]!.level, lines[0]!.run, (lines[0]!.error as Error).message], ['ERROR', 'r', 'the table is full']);
});
