// The numbers that alarms and the dashboard look at: the program's own (lambdas/environment.ts) and those AWS keeps.
// before: every stage; next: lib/watch.ts and lib/dashboard.ts
import { Duration, Stack } from 'aws-cdk-lib';
import { MathExpression, Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { TableV2 } from 'aws-cdk-lib/aws-dynamodb';
import type { DeliveryStream } from 'aws-cdk-lib/aws-kinesisfirehose';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { DIMENSION, NAMESPACE, type Signal } from '../lambdas/environment.ts';
import type { Construct } from 'constructs';
import type { Collect } from './collect.ts';
import type { DataStack } from './data.ts';
import type { Deliver } from './deliver.ts';
import type { Rollup } from './rollup.ts';
import type { Serve } from './serve.ts';

/** All that is watched. */
export interface Stages { data: DataStack; collect: Collect; deliver: Deliver; rollup: Rollup; serve: Serve }

/** Five minutes: the period of whatever is not said to have another. */
export const FIVE = Duration.minutes(5);

/** What the functions of a deployment say of themselves. */
export function signal(scope: Construct, metricName: Signal, period: Duration = FIVE, statistic: string = Stats.SUM): Metric {
  return new Metric({ namespace: NAMESPACE, metricName, dimensionsMap: { [DIMENSION]: Stack.of(scope).stackName }, period, statistic });
}

export function doors({ api }: Collect, metricName: '5XXError' | '4XXError' | 'Count' | 'Latency', statistic: string = Stats.SUM): Metric {
  return new Metric({ namespace: 'AWS/ApiGateway', metricName, dimensionsMap: { ApiName: api.restApiName, Stage: api.deploymentStage.stageName }, period: FIVE, statistic });
}

export function stream({ stream: { streamName } }: DataStack, metricName: 'IncomingRecords' | 'IncomingBytes' | 'WriteProvisionedThroughputExceeded'): Metric {
  return new Metric({ namespace: 'AWS/Kinesis', metricName, dimensionsMap: { StreamName: streamName }, period: FIVE, statistic: Stats.SUM });
}

export function delivery(one: DeliveryStream, metricName: string, statistic: string = Stats.SUM): Metric {
  return one.metric(metricName, { period: FIVE, statistic });
}

export function waiting(queue: Queue): Metric {
  return queue.metricApproximateNumberOfMessagesVisible({ period: FIVE, statistic: Stats.MAXIMUM });
}

export function api({ stage }: Serve, metricName: '5xx' | '4xx' | 'Count' | 'Latency', statistic: string = Stats.SUM): Metric {
  return stage.metric(metricName, { period: FIVE, statistic });
}

export function units({ tableName }: TableV2, metricName: 'ConsumedReadCapacityUnits' | 'ConsumedWriteCapacityUnits' | 'ReadThrottleEvents' | 'WriteThrottleEvents'): Metric {
  return new Metric({ namespace: 'AWS/DynamoDB', metricName, dimensionsMap: { TableName: tableName }, period: FIVE, statistic: Stats.SUM });
}

/** Requests that a table refused. */
export function throttled(table: TableV2): MathExpression {
  // A graph of two tables needs names for their four numbers.
  const [reads, writes] = ['reads', 'writes'].map((what) => `${table.node.id.toLowerCase()}_${what}`) as [string, string];
  return new MathExpression({
    expression: `FILL(${reads}, 0) + FILL(${writes}, 0)`, label: table.node.id, period: FIVE,
    usingMetrics: { [reads]: units(table, 'ReadThrottleEvents'), [writes]: units(table, 'WriteThrottleEvents') },
  });
}
