import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CloudWatchClient, GetMetricDataCommand, type MetricDataResult } from '@aws-sdk/client-cloudwatch';
import { mockClient } from 'aws-sdk-client-mock';
import { firehoseDeliveredThrough } from '../../../lambdas/aws/delivery.ts';

const NOW = Date.parse('2026-11-20T10:00:00Z');
const at = (text: string) => Date.parse(`2026-11-20T${text}Z`);

function open(results: Record<string, Partial<MetricDataResult>>, source: 'stream' | 'direct' = 'stream', bufferSeconds = 60) {
  const client = new CloudWatchClient({ region: 'us-east-1' });
  const mock = mockClient(client);
  mock.on(GetMetricDataCommand).resolves({ MetricDataResults: Object.entries(results).map(([Id, result]) => ({ Id, StatusCode: 'Complete', ...result })) });
  const deliveredThrough = firehoseDeliveredThrough(client, 'events', { clock: () => NOW, bufferSeconds, source });
  return { deliveredThrough, calls: () => mock.commandCalls(GetMetricDataCommand).map(({ args }) => args[0].input) };
}

test('Of a stream, what it is read behind and what is held add up, from when the older of them was measured, with a minute to spare', async () => {
  // Measured at 09:58: 150 s held and 30 s behind, so to 09:55, and a minute.
  const { deliveredThrough } = open({
    held: { Values: [150, 900], Timestamps: [new Date(at('09:59:00')), new Date(at('09:50:00'))] }, behind: { Values: [30_000, 0], Timestamps: [new Date(at('09:58:00')), new Date(at('09:57:00'))] },
  });
  assert.equal(await deliveredThrough(), at('09:54:00'));
});

test('What was put within the buffering time may be undelivered, whatever the metrics say', async () => {
  const { deliveredThrough } = open({ held: { Values: [12], Timestamps: [new Date(NOW)] }, behind: { Values: [0], Timestamps: [new Date(NOW)] } }, 'stream', 300);
  assert.equal(await deliveredThrough(), at('09:54:00'));
});

test('Without data points nothing is undelivered but for the buffering time', async () => {
  assert.equal(await open({ held: { Values: [] }, behind: { Values: [] } }).deliveredThrough(), at('09:58:00'));
  assert.equal(await open({ held: {} }, 'direct').deliveredThrough(), at('09:58:00'));
});

test('Of a delivery stream that is put to directly only what it holds is asked', async () => {
  const { deliveredThrough, calls } = open({ held: { Values: [600], Timestamps: [new Date(at('09:59:00'))] } }, 'direct');
  assert.equal(await deliveredThrough(), at('09:48:00'));
  assert.deepEqual(calls()[0]!.MetricDataQueries!.map(({ MetricStat }) => MetricStat!.Metric!.MetricName), ['DeliveryToS3.DataFreshness']);
});

test('One call asks for the minutes of the last quarter of an hour, newest first', async () => {
  const { deliveredThrough, calls } = open({ held: {}, behind: {} });
  await deliveredThrough();
  const metric = (MetricName: string) => ({ Namespace: 'AWS/Firehose', MetricName, Dimensions: [{ Name: 'DeliveryStreamName', Value: 'events' }] });
  assert.deepEqual(calls(), [{
    MetricDataQueries: [
      { Id: 'held', MetricStat: { Metric: metric('DeliveryToS3.DataFreshness'), Period: 60, Stat: 'Maximum' } },
      { Id: 'behind', MetricStat: { Metric: metric('KinesisMillisBehindLatest'), Period: 60, Stat: 'Maximum' } },
    ],
    StartTime: new Date('2026-11-20T09:45:00Z'),
    EndTime: new Date('2026-11-20T10:00:00Z'),
    ScanBy: 'TimestampDescending',
  }]);
});

test('Where CloudWatch does not answer in full nothing is claimed', async () => {
  await assert.rejects(open({ held: { Values: [1] }, behind: { StatusCode: 'InternalError' } }).deliveredThrough(), /^Error: CloudWatch's answer on events is not complete: behind InternalError$/);
  await assert.rejects(open({ behind: {} }).deliveredThrough(), /^Error: CloudWatch's answer on events is not complete: held is missing$/);
});
