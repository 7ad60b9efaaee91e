// Rollup: notices of the lake become tasks, tasks become serving items. One function looks at what is due, one carries
// out a task by queries of Athena, one writes the items of a part of a result, one moves jobs of reprocessing on.
// before: the lake (lib/deliver.ts); next: the metrics table, lib/serve.ts
import { Duration, Stack, Validations } from 'aws-cdk-lib';
import { CfnWorkGroup } from 'aws-cdk-lib/aws-athena';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Function } from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { Schedule, ScheduleExpression } from 'aws-cdk-lib/aws-scheduler';
import { LambdaInvoke } from 'aws-cdk-lib/aws-scheduler-targets';
import { Construct } from 'constructs';
import { PREFIXES } from '../lambdas/environment.ts';
import { TIMEOUTS, type DataStack } from './data.ts';
import { deliverySeconds, type Deliver } from './deliver.ts';
import { allow, arnOf, functionOf, roleOf, type FunctionDefaults } from './functions.ts';
import type { Resolved } from './settings.ts';

const READ_AND_WRITE = ['dynamodb:GetItem', 'dynamodb:Query', 'dynamodb:PutItem', 'dynamodb:BatchWriteItem'];
const GB = 1_000_000_000;

export interface RollupProps { data: DataStack; deliver: Deliver; defaults: FunctionDefaults; settings: Resolved }

export class Rollup extends Construct {
  readonly schedule: Function;
  readonly workgroup: CfnWorkGroup;
  readonly load: Function;
  readonly rollup: Function;
  readonly reprocess: Function;

  constructor(scope: Construct, id: string, private readonly props: RollupProps) {
    super(scope, id);
    const { settings: { scheduleMinutes } } = props;
    this.schedule = this.makeSchedule();
    this.every(Duration.minutes(scheduleMinutes), this.schedule);
    this.workgroup = this.makeWorkgroup();
    this.load = this.makeLoad();
    this.rollup = this.makeRollup();
    this.reprocess = this.makeReprocess();
    this.every(Duration.minutes(1), this.reprocess);
    Validations.of(this).acknowledge({ id: 'AwsSolutions-IAM5[Resource::*]', reason: 'What CloudWatch has measured can be read by all or none: it has no ARN.' });
  }

  private makeSchedule(): Function {
    const { data: { lake, tasks, registry }, deliver, defaults, settings } = this.props;
    return functionOf(this, 'schedule', defaults, {
      memory: 512,
      timeout: Duration.minutes(Math.min(TIMEOUTS.schedule.toMinutes(), settings.scheduleMinutes)),
      beats: true,
      environment: {
        REGISTRY_TABLE: registry.tableName, BUCKET: lake.bucket.bucketName, TASKS_QUEUE: tasks.queueUrl, NOTICES_QUEUE: lake.notices.queueUrl,
        DELIVERY_STREAM: deliver.live.deliveryStreamName, DELIVERY_SECONDS: String(deliverySeconds(settings)),
      },
      may: [
        allow(READ_AND_WRITE, registry.tableArn),
        allow(['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'], lake.notices.queueArn),
        allow(['sqs:SendMessage', 'sqs:GetQueueAttributes'], tasks.queueArn),
        this.list(RUN_PREFIXES),
        allow(['s3:DeleteObject'], ...this.objects(RUN_PREFIXES)),
        MEASUREMENTS,
      ],
    });
  }

  private makeWorkgroup(): CfnWorkGroup {
    const { data: { lake }, settings } = this.props;
    return new CfnWorkGroup(this, 'Workgroup', {
      // Athena asks for one.
      name: Stack.of(this).stackName,
      recursiveDeleteOption: true,
      workGroupConfiguration: {
        enforceWorkGroupConfiguration: true,
        engineVersion: { selectedEngineVersion: 'Athena engine version 3' },
        bytesScannedCutoffPerQuery: settings.scanLimitGB * GB,
        publishCloudWatchMetricsEnabled: true,
        resultConfiguration: { outputLocation: lake.bucket.s3UrlForObject(PREFIXES.athena), encryptionConfiguration: { encryptionOption: 'SSE_S3' } },
      },
    });
  }

  private makeLoad(): Function {
    const { data: { lake, metrics }, defaults } = this.props;
    return functionOf(this, 'load', defaults, {
      memory: 1769, // A whole processor: it compresses a day's breakdowns.
      timeout: Duration.minutes(15),
      environment: { METRICS_TABLE: metrics.tableName, BUCKET: lake.bucket.bucketName },
      may: [allow(['s3:GetObject'], ...this.objects(['items'])), allow(['dynamodb:GetItem', 'dynamodb:BatchWriteItem'], metrics.tableArn)],
    });
  }

  private makeRollup(): Function {
    const { data: { lake: { bucket, database, tables }, tasks, registry }, defaults, settings } = this.props;
    const rollup = functionOf(this, 'rollup', defaults, {
      memory: 1024,
      timeout: TIMEOUTS.rollup,
      environment: {
        REGISTRY_TABLE: registry.tableName, BUCKET: bucket.bucketName, TASKS_QUEUE: tasks.queueUrl, WORKGROUP: this.workgroup.name,
        DATABASE: database.databaseName, LOAD_FUNCTION: this.load.functionName,
      },
      may: [
        allow(['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:ChangeMessageVisibility', 'sqs:GetQueueAttributes', 'sqs:SendMessage'], tasks.queueArn),
        allow(['athena:StartQueryExecution', 'athena:GetQueryExecution', 'athena:StopQueryExecution'], arnOf(this, 'athena', `workgroup/${this.workgroup.name}`)),
        allow(['glue:GetDatabase', 'glue:GetTable', 'glue:GetPartitions'], arnOf(this, 'glue', 'catalog'), database.databaseArn, ...Object.values(tables).map((table) => table.tableArn)),
        // Athena does what it does with the rights of whoever asks.
        allow(['s3:GetBucketLocation'], bucket.bucketArn),
        this.list(['events', ...RUN_PREFIXES, 'athena']),
        allow(['s3:GetObject'], ...this.objects(['events', ...RUN_PREFIXES, 'athena'])),
        allow(['s3:PutObject', 's3:AbortMultipartUpload', 's3:ListMultipartUploadParts'], ...this.objects([...RUN_PREFIXES, 'athena'])),
        allow(['s3:DeleteObject'], ...this.objects(RUN_PREFIXES)),
        allow(READ_AND_WRITE, registry.tableArn),
        allow(['lambda:InvokeFunction'], this.load.functionArn),
      ],
    });
    rollup.addEventSource(new SqsEventSource(tasks, { batchSize: 1, maxConcurrency: settings.tasksAtOnce, reportBatchItemFailures: true }));
    return rollup;
  }

  private makeReprocess(): Function {
    const { data: { lake, tasks, registry }, deliver, defaults, settings } = this.props;
    return functionOf(this, 'reprocess', defaults, {
      memory: 1024,
      timeout: Duration.minutes(14),
      beats: true,
      environment: {
        REGISTRY_TABLE: registry.tableName, BUCKET: lake.bucket.bucketName, TASKS_QUEUE: tasks.queueUrl, REPLAY_STREAM: deliver.replayName,
        DELIVERY_SECONDS: String(deliverySeconds(settings)), RAW_DAYS: String(settings.rawDays),
      },
      may: [
        allow(READ_AND_WRITE, registry.tableArn),
        this.list(['events', 'raw']),
        allow(['s3:GetObject'], ...this.objects(['raw'])),
        allow(['firehose:PutRecordBatch'], deliver.replayArn),
        allow(['sqs:SendMessage'], tasks.queueArn),
        MEASUREMENTS,
      ],
    });
  }

  /** Calls a function at every beat. One that fails is not called again before the next: that does all that is due by then. */
  private every(interval: Duration, called: Function): void {
    new Schedule(this, `${called.node.id}Beat`, {
      schedule: ScheduleExpression.rate(interval),
      target: new LambdaInvoke(called, {
        role: roleOf(this, `${called.node.id}BeatRole`, 'scheduler.amazonaws.com', [allow(['lambda:InvokeFunction'], called.functionArn)]),
        retryAttempts: 0,
      }),
    });
  }

  private objects(prefixes: readonly (keyof typeof PREFIXES)[]): string[] {
    return prefixes.map((prefix) => this.props.data.lake.bucket.arnForObjects(`${PREFIXES[prefix]}*`));
  }

  private list(prefixes: readonly (keyof typeof PREFIXES)[]): PolicyStatement {
    return listing(this.props.data, prefixes);
  }
}

/** May see what is under prefixes of the lake. */
export function listing({ lake }: DataStack, prefixes: readonly (keyof typeof PREFIXES)[]): PolicyStatement {
  return new PolicyStatement({
    actions: ['s3:ListBucket'],
    resources: [lake.bucket.bucketArn],
    conditions: { StringLike: { 's3:prefix': prefixes.map((prefix) => `${PREFIXES[prefix]}*`) } },
  });
}

/** What rollups write and remove. */
const RUN_PREFIXES = ['hours', 'steps', 'changes', 'items'] as const;
/** CloudWatch has no permissions by metric. */
const MEASUREMENTS = allow(['cloudwatch:GetMetricData'], '*');
