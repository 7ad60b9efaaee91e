// What wakes somebody, and what that somebody then reads.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ENVIRONMENTS, type EnvironmentName } from '../../bin/footfall.ts';
import { DIMENSION, NAMESPACE, SIGNALS } from '../../lambdas/environment.ts';
import { headingOf } from '../../lib/watch.ts';
import { at, ofType, only, synthesised, word, type Json } from './synth.ts';

const NAMES = Object.keys(ENVIRONMENTS) as EnvironmentName[];
const RUNBOOK = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'runbook.md'), 'utf8');

/** The metrics that exist, of which this app uses some: by namespace, and the dimensions they have to be asked by. */
const KNOWN: Record<string, { names: readonly string[]; dimensions: readonly string[] }> = {
  [NAMESPACE]: { names: Object.values(SIGNALS), dimensions: [DIMENSION] },
  'AWS/ApiGateway': { names: ['5XXError', '4XXError', '5xx', '4xx', 'Count', 'Latency', 'IntegrationLatency'], dimensions: ['ApiId', 'ApiName', 'Stage'] },
  'AWS/Kinesis': { names: ['IncomingRecords', 'IncomingBytes', 'WriteProvisionedThroughputExceeded', 'GetRecords.IteratorAgeMilliseconds'], dimensions: ['StreamName'] },
  'AWS/Firehose': { names: ['KinesisMillisBehindLatest', 'DeliveryToS3.DataFreshness', 'DeliveryToS3.Success', 'FailedConversion.Records', 'PartitionCountExceeded'], dimensions: ['DeliveryStreamName'] },
  'AWS/Lambda': { names: ['Errors', 'Throttles', 'Duration', 'Invocations'], dimensions: ['FunctionName'] },
  'AWS/SQS': { names: ['ApproximateNumberOfMessagesVisible'], dimensions: ['QueueName'] },
  'AWS/DynamoDB': { names: ['ReadThrottleEvents', 'WriteThrottleEvents', 'ConsumedReadCapacityUnits', 'ConsumedWriteCapacityUnits'], dimensions: ['TableName'] },
};

function check(namespace: string, name: string, dimensions: readonly string[]): void {
  const known = KNOWN[namespace];
  assert.ok(known && known.names.includes(name), `${namespace} ${name}: there is no such metric`);
  assert.deepEqual(dimensions.filter((dimension) => !known.dimensions.includes(dimension)), [], `${namespace} ${name}`);
  assert.equal(dimensions.length > 0, known.dimensions.length > 0, `${namespace} ${name}: of what?`);
}

/** Metrics of an alarm: its own, or those its formula is made of. */
function metricsOf(alarm: Record<string, Json>): { namespace: string; name: string; dimensions: string[]; period: number }[] {
  const read = (metric: Json | undefined, period: Json | undefined) => ({
    namespace: word(at(metric, 'Namespace')), name: word(at(metric, 'MetricName')), period: Number(period),
    dimensions: ((at(metric, 'Dimensions') ?? []) as { Name: string }[]).map(({ Name }) => Name),
  });
  if (!alarm.Metrics) return [read(alarm, alarm.Period)];
  return (alarm.Metrics as Json[]).flatMap((one) => (at(one, 'MetricStat') ? [read(at(one, 'MetricStat', 'Metric'), at(one, 'MetricStat', 'Period'))] : []));
}

const alarmName = (id: string) => id.replace(/^Watch/, '').replace(/[0-9A-F]{8}$/, '');
const alarmsOf = (name: EnvironmentName) => ofType(synthesised(name).service, 'AWS::CloudWatch::Alarm');

test('Each alarm has its heading in the runbook, and each heading its alarm', () => {
  const headings = [...RUNBOOK.matchAll(/^## ([a-z0-9-]+)$/gm)].map((match) => match[1]);
  for (const name of NAMES) assert.deepEqual(alarmsOf(name).map(([id]) => headingOf(alarmName(id))).sort(), [...headings].sort());
});

test('Each heading of the runbook says what happened, where to look and what to do', () => {
  for (const section of RUNBOOK.split(/^## /m).slice(1)) {
    const name = section.slice(0, section.indexOf('\n'));
    assert.deepEqual([...section.matchAll(/^\*\*(\w+)\.\*\*/gm)].map((match) => match[1]), ['Description', 'Investigation', 'Resolution'], name);
  }
});

test('An alarm\'s text ends with the address of its heading, and it tells the topic when it begins and ends', () => {
  for (const [id, { AlarmDescription, AlarmActions, OKActions }] of alarmsOf('small')) {
    assert.ok(word(AlarmDescription).endsWith(` docs/runbook.md#${headingOf(alarmName(id))}`), word(AlarmDescription));
    for (const actions of [AlarmActions, OKActions]) assert.match(JSON.stringify(actions), /^\[\{"Ref":"WatchAlarms[0-9A-F]{8}"\}\]$/);
  }
});

test('Alarms look at metrics that exist, over times that CloudWatch takes', () => {
  for (const name of NAMES) {
    for (const [id, properties] of alarmsOf(name)) {
      const metrics = metricsOf(properties);
      assert.ok(metrics.length > 0, id);
      for (const { namespace, name: metric, dimensions, period } of metrics) {
        check(namespace, metric, dimensions);
        // Above an hour in all, CloudWatch wants whole hours; a day is the most.
        assert.ok(period % 60 === 0 && period * Number(properties.EvaluationPeriods) <= 86_400, `${id}: ${period} s`);
      }
    }
  }
});

test('That nobody says how fresh the numbers are is an alarm; that nothing failed is none', () => {
  for (const [id, { TreatMissingData }] of alarmsOf('small')) assert.equal(TreatMissingData, alarmName(id) === 'Freshness' ? 'breaching' : 'notBreaching', id);
});

for (const name of NAMES) {
  test(`The dashboard of the ${name} environment is JSON, shows every alarm, and names only metrics that exist`, () => {
    const { DashboardBody } = only(synthesised(name).service, 'AWS::CloudWatch::Dashboard');
    const parts = at(DashboardBody, 'Fn::Join', 1) as Json[];
    const { widgets } = JSON.parse(parts.map((part) => (typeof part === 'string' ? part : 'token')).join('')) as { widgets: { type: string; x: number; width: number; properties: Record<string, Json> }[] };
    assert.equal((widgets.find(({ type }) => type === 'alarm')!.properties.alarms as Json[]).length, alarmsOf(name).length);
    let seen = 0;
    for (const { type, properties: { metrics }, x, width } of widgets) {
      assert.ok(x + width <= 24);
      if (type !== 'metric') continue;
      for (const [namespace, metric, ...rest] of metrics as [Json, string, ...Json[]][]) {
        if (typeof namespace !== 'string') continue; // A formula; what it is made of is in the list as well.
        check(namespace, metric, rest.filter((one, i) => typeof one === 'string' && i % 2 === 0) as string[]);
        seen++;
      }
    }
    assert.ok(seen > 30, `${seen} metrics`);
  });
}

test('CloudWatch may tell the topic, whose policy would keep it out otherwise', () => {
  const { PolicyDocument } = only(synthesised('small').service, 'AWS::SNS::TopicPolicy');
  assert.ok((at(PolicyDocument, 'Statement') as Json[]).some((one) => at(one, 'Effect') === 'Allow' && at(one, 'Action') === 'sns:Publish' && at(one, 'Principal', 'Service') === 'cloudwatch.amazonaws.com'));
});
