// Up to when a delivery stream has written everything that was put, as CloudWatch knows it.
// before: the delivery streams; next: core/schedule.ts, which makes `complete_through` of it
import { CloudWatchClient, GetMetricDataCommand, type MetricDataQuery } from '@aws-sdk/client-cloudwatch';
import type { Clock } from '../../core/ports.ts';

export const cloudwatch = (): CloudWatchClient => new CloudWatchClient();

export interface DeliveryOptions {
  clock: Clock;
  /** How long the delivery stream may gather records before it writes them. */
  bufferSeconds: number;
  /** What it gets its records from: a Kinesis stream, or whoever puts to it. */
  source: 'stream' | 'direct';
}

const MINUTE_MS = 60_000;
/** How far back the newest data point may lie; a delivery stream that has nothing to deliver makes none. */
const LOOK_BACK_MS = 15 * MINUTE_MS;
/** For S3's notices of what was written. */
const MARGIN_MS = 60_000;

/** Resolves to a moment (epoch ms): everything put before it is in the lake, and its notices have been sent. */
export function firehoseDeliveredThrough(
  client: CloudWatchClient, deliveryStream: string, { clock, bufferSeconds, source }: DeliveryOptions,
): () => Promise<number> {
  const query = (Id: string, MetricName: string): MetricDataQuery => ({
    Id,
    MetricStat: {
      Metric: { Namespace: 'AWS/Firehose', MetricName, Dimensions: [{ Name: 'DeliveryStreamName', Value: deliveryStream }] },
      Period: MINUTE_MS / 1000,
      Stat: 'Maximum',
    },
  });
  // The age of the oldest record it holds, in seconds; and by how many milliseconds it reads behind the stream's end.
  const queries = [query('held', 'DeliveryToS3.DataFreshness'), ...(source === 'stream' ? [query('behind', 'KinesisMillisBehindLatest')] : [])];

  return async () => {
    const now = clock();
    const { MetricDataResults = [] } = await client.send(new GetMetricDataCommand({
      MetricDataQueries: queries,
      StartTime: new Date(now - LOOK_BACK_MS),
      EndTime: new Date(now),
      ScanBy: 'TimestampDescending',
    }));
    const newest = (id: string): { value: number; at: number } => {
      const result = MetricDataResults.find(({ Id }) => Id === id);
      // Without an answer nothing is known; no data point is an answer.
      if (result?.StatusCode !== 'Complete') throw new Error(`CloudWatch's answer on ${deliveryStream} is not complete: ${id} ${result?.StatusCode ?? 'is missing'}`);
      return { value: result.Values?.[0] ?? 0, at: result.Timestamps?.[0]?.getTime() ?? now };
    };
    const held = newest('held');
    const behind = source === 'stream' ? newest('behind') : { value: 0, at: now };
    // Of what has happened since it was measured nothing is known, and measurements are minutes old.
    const measured = Math.min(held.at, behind.at) - held.value * 1000 - behind.value;
    return Math.min(measured, now - bufferSeconds * 1000) - MARGIN_MS;
  };
}
