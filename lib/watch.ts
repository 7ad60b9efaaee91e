// Watch: what wakes somebody, and what that somebody looks at first. Each alarm's text ends with the address of its
// heading in docs/runbook.md. before: every stage; next: the operator
import { Duration, Stack } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, MathExpression, Stats, TreatMissingData, type IMetric } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Function } from 'aws-cdk-lib/aws-lambda';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { SIGNALS } from '../lambdas/environment.ts';
import { dashboardOf } from './dashboard.ts';
import { FIVE, api, delivery, doors, signal, stream, throttled, waiting, type Stages } from './measures.ts';
import type { Resolved } from './settings.ts';

const QUARTER = Duration.minutes(15);

/** How an alarm is decided: over the threshold in so many periods in a row, one where nothing is said. */
interface Condition { over: number; periods?: number; missing?: TreatMissingData; comparison?: ComparisonOperator }

export class Watch extends Construct {
  readonly topic: Topic;
  /** Those that a bad version of the reading function sets off. */
  readonly ofReaders: readonly Alarm[];
  private readonly alarms: Alarm[] = [];

  constructor(scope: Construct, id: string, private readonly props: Stages & { settings: Resolved }) {
    super(scope, id);
    const { settings } = props;
    this.topic = new Topic(this, 'Alarms', { enforceSSL: true });
    // A policy takes the place of the one every topic begins with, which lets the account's alarms in.
    this.topic.addToResourcePolicy(new PolicyStatement({
      principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
      actions: ['sns:Publish'],
      resources: [this.topic.topicArn],
      conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
    }));
    if (settings.alarmEmail !== undefined) this.topic.addSubscription(new EmailSubscription(settings.alarmEmail));
    this.watchCollect();
    this.watchDeliver();
    this.watchRollup();
    this.ofReaders = this.watchServe();
    this.watchFunctionsAndTables();
    dashboardOf(this, props, this.alarms);
  }

  private watchCollect(): void {
    const { data, collect } = this.props;
    this.alarm('DoorErrors', 'Requests at the browser doors were answered with 5xx.', doors(collect, '5XXError'), { over: 0, periods: 3 });
    this.alarm('StreamThrottled', 'The stream refused records; clients were told to try again.', stream(data, 'WriteProvisionedThroughputExceeded'), { over: 0, periods: 3 });
  }

  private watchDeliver(): void {
    const { deliver } = this.props;
    const behind = delivery(deliver.live, 'KinesisMillisBehindLatest', Stats.MAXIMUM);
    this.alarm('StreamBehind', 'Delivery reads the stream more than ten minutes late.', behind, { over: 600_000, periods: 3 });
    for (const [which, one] of [['Live', deliver.live], ['Replay', deliver.replay]] as const) {
      this.alarm(`${which}DeliveryAge`, 'Events have waited for the lake for more than a quarter of an hour.', delivery(one, 'DeliveryToS3.DataFreshness', Stats.MAXIMUM), { over: 900, periods: 3 });
      this.alarm(`${which}DeliveryFailures`, 'Objects could not be written to the lake.', delivery(one, 'DeliveryToS3.Success', Stats.AVERAGE), { over: 1, comparison: ComparisonOperator.LESS_THAN_THRESHOLD, periods: 2 });
      this.alarm(`${which}ConversionFailures`, 'Rows could not be made Parquet; they lie under failed/.', delivery(one, 'FailedConversion.Records'), { over: 0 });
      this.alarm(`${which}PartitionsExceeded`, 'Events of more hours at once than Firehose keeps open; the excess lies under failed/.', delivery(one, 'PartitionCountExceeded', Stats.MAXIMUM), { over: 0 });
    }
    this.alarm('TransformThrottled', 'The transform could not be called: the account\'s functions have no more room.', deliver.transform.metricThrottles({ period: FIVE }), { over: 0, periods: 2 });
    this.alarm('Undeliverable', 'Records that are no envelopes came through the stream; they lie under failed/.', signal(this, SIGNALS.undeliverable), { over: 0 });
    this.alarm('RefusedEvents', 'More than a fifth of the events were refused.', new MathExpression({
      expression: 'IF(events >= 100, rejected / events, 0)', period: QUARTER,
      usingMetrics: { events: signal(this, SIGNALS.events, QUARTER), rejected: signal(this, SIGNALS.rejected, QUARTER) },
    }), { over: 0.2 });
  }

  private watchRollup(): void {
    const { data: { lake, tasks }, settings } = this.props;
    // Two beats of the schedule: one may come late, and none at all is the alarm that matters most.
    const beats = Duration.minutes(2 * settings.scheduleMinutes);
    this.alarm('Freshness', 'The numbers are more than half an hour behind, or nobody says how far they are.', signal(this, SIGNALS.freshness, beats, Stats.MAXIMUM), {
      over: 1_800, periods: 2, missing: TreatMissingData.BREACHING,
    });
    this.alarm('ParkedTasks', 'Hours or days failed too often; their numbers are not counted.', signal(this, SIGNALS.parkedTasks, beats, Stats.MAXIMUM), { over: 0 });
    this.alarm('RollupFailures', 'Rollup tasks keep failing.', signal(this, SIGNALS.tasksFailed, QUARTER), { over: 2 });
    for (const [id, queue, text] of [
      ['NoticesDeadLetters', lake.notices, 'Notices of new rows could not be read; their hours are not counted.'],
      ['SkippedDeadLetters', lake.skipped, 'Records that the transform did not answer for could not be sent again.'],
      ['TasksDeadLetters', tasks, 'Tasks left the queue undone.'],
    ] as const) {
      this.alarm(id, text, waiting(queue.deadLetterQueue!.queue as Queue), { over: 0 });
    }
  }

  private watchServe(): Alarm[] {
    const { serve } = this.props;
    return [
      this.alarm('ApiErrors', 'Requests at the API were answered with 5xx.', api(serve, '5xx'), { over: 0, periods: 2 }),
      this.alarm('ServeSlow', 'One read in a hundred takes longer than two seconds.', serve.serve.metricDuration({ period: FIVE, statistic: Stats.percentile(99) }), { over: 2_000, periods: 2 }),
      this.errorsOf('Serve', serve.serve, 'The reading function failed.'),
    ];
  }

  private watchFunctionsAndTables(): void {
    const { data, deliver, rollup, serve } = this.props;
    this.errorsOf('Transform', deliver.transform, 'The transform failed; Firehose tries three times and then skips the batch.');
    this.errorsOf('Retry', deliver.retry, 'Skipped records could not be sent again.');
    this.errorsOf('Schedule', rollup.schedule, 'The schedule failed; nothing new is counted until it succeeds.');
    this.errorsOf('Rollup', rollup.rollup, 'The rollup function died; its task comes again.');
    this.errorsOf('Load', rollup.load, 'Items of a rollup could not be written; its task comes again.');
    this.errorsOf('Reprocess', rollup.reprocess, 'A job of reprocessing does not move on.');
    this.errorsOf('Ingest', serve.ingest, 'The server door\'s function failed.');
    this.errorsOf('Admin', serve.admin, 'The admin function failed.');
    for (const [id, table] of [['Registry', data.registry], ['Metrics', data.metrics]] as const) {
      this.alarm(`${id}Throttled`, 'The table refused requests; whoever asked tries again.', throttled(table), { over: 0, periods: 3 });
    }
  }

  private errorsOf(name: string, watched: Function, text: string): Alarm {
    return this.alarm(`${name}Errors`, text, watched.metricErrors({ period: FIVE }), { over: 0, periods: 2 });
  }

  private alarm(name: string, text: string, metric: IMetric, { over, periods = 1, missing = TreatMissingData.NOT_BREACHING, comparison = ComparisonOperator.GREATER_THAN_THRESHOLD }: Condition): Alarm {
    const alarm = new Alarm(this, name, {
      metric,
      threshold: over,
      comparisonOperator: comparison,
      evaluationPeriods: periods,
      treatMissingData: missing,
      alarmDescription: `${text} ${this.props.settings.runbook}#${headingOf(name)}`,
    });
    const action = new SnsAction(this.topic);
    alarm.addAlarmAction(action);
    alarm.addOkAction(action);
    this.alarms.push(alarm);
    return alarm;
  }
}

/** An alarm's heading in the runbook: its name, `LiveDeliveryAge`, as `live-delivery-age`. */
export function headingOf(alarm: string): string {
  return alarm.replaceAll(/(?<!^)[A-Z]/g, '-$&').toLowerCase();
}
