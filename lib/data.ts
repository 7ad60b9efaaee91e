// What holds data: the stream, the lake with its notices, the queue of tasks, the two tables. A stack of its own that
// is kept when it is deleted; all other resources can be deleted and deployed again.
// before: lib/collect.ts writes to it; next: lib/service.ts is made of it
import { CfnOutput, Duration, RemovalPolicy, Stack, Validations, type App } from 'aws-cdk-lib';
import { AttributeType, Billing, TableV2, type TablePropsV2 } from 'aws-cdk-lib/aws-dynamodb';
import { DataFormat, Database, DateIntervalUnit, PartitionProjectionConfiguration, S3Table, S3TableStorage, Schema, type PartitionProjection } from 'aws-cdk-lib/aws-glue';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Stream, StreamEncryption, StreamMode } from 'aws-cdk-lib/aws-kinesis';
import { BlockPublicAccess, Bucket, BucketEncryption, type CfnBucket, type IBucket, type LifecycleRule } from 'aws-cdk-lib/aws-s3';
import { DeduplicationScope, FifoThroughputLimit, Queue, QueueEncryption, type QueueProps } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { ROW_COLUMNS, type ColumnType } from '../core/event.ts';
import { CHANGE_COLUMNS, HOUR_COLUMNS, STEP_COLUMNS } from '../core/metrics.ts';
import { MAX_ATTEMPTS } from '../core/rollup.ts';
import { PREFIXES, SKIPPED } from '../lambdas/environment.ts';
import { asInterface } from './functions.ts';
import type { Resolved } from './settings.ts';

/** Timeouts that a queue and the function it feeds have to agree on; a message is hidden for six times as long. */
export const TIMEOUTS = { schedule: Duration.minutes(5), rollup: Duration.minutes(15), retry: Duration.minutes(5) } as const;

export class DataStack extends Stack {
  readonly stream: Stream;
  readonly lake: Lake;
  /** Tasks in order of their hour or day; those that failed too often lie in its dead letters. */
  readonly tasks: Queue;
  readonly registry: TableV2;
  readonly metrics: TableV2;

  constructor(scope: App, id: string, settings: Resolved) {
    super(scope, id, { description: 'Footfall: what holds data', terminationProtection: settings.protected });
    this.stream = new Stream(this, 'Stream', {
      ...(settings.shards === undefined ? { streamMode: StreamMode.ON_DEMAND } : { streamMode: StreamMode.PROVISIONED, shardCount: settings.shards }),
      // The time there is to repair a delivery that stands still; the first day is in the price.
      retentionPeriod: Duration.days(2),
      encryption: StreamEncryption.MANAGED,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    this.lake = new Lake(this, 'Lake', settings);
    this.tasks = queueWithDeadLetters(this, 'Tasks', MAX_ATTEMPTS, {
      fifo: true,
      // A group is one hour or one day: thousands of them are independent, and so are their limits.
      deduplicationScope: DeduplicationScope.MESSAGE_GROUP,
      fifoThroughputLimit: FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
      visibilityTimeout: times(6, TIMEOUTS.rollup),
    });
    const table: TablePropsV2 = {
      partitionKey: { name: 'pk', type: AttributeType.STRING },
      sortKey: { name: 'sk', type: AttributeType.STRING },
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: settings.protected,
      billing: Billing.onDemand(),
      removalPolicy: RemovalPolicy.RETAIN,
    };
    this.registry = new TableV2(this, 'Registry', { ...table, timeToLiveAttribute: 'expires' });
    this.metrics = new TableV2(this, 'Metrics', {
      ...table,
      ...(settings.warmMetrics && { warmThroughput: { readUnitsPerSecond: settings.warmMetrics.reads, writeUnitsPerSecond: settings.warmMetrics.writes } }),
    });
    new CfnOutput(this, 'RegistryTable', { value: this.registry.tableName, description: 'Sites and keys; npm run admin-key asks for it' });
  }
}

/** The lake: one bucket, the notices of what is new in it, and the tables that Athena sees it as. */
export class Lake extends Construct {
  readonly bucket: Bucket;
  /** A notice of each object of rows. */
  readonly notices: Queue;
  /** A notice of each object of records that the transform did not answer for. */
  readonly skipped: Queue;
  readonly database: Database;
  readonly tables: Record<'events' | 'steps' | 'hours' | 'changes', S3Table>;

  constructor(scope: Construct, id: string, settings: Resolved) {
    super(scope, id);
    // Both outlive the longest trouble that is not noticed at once: what is in neither is never counted.
    this.notices = queueWithDeadLetters(this, 'Notices', 20, { visibilityTimeout: TIMEOUTS.schedule });
    // By then, whatever kept the transform from answering is over or has raised an alarm; 15 minutes is the longest delay.
    this.skipped = queueWithDeadLetters(this, 'Skipped', 5, { visibilityTimeout: times(6, TIMEOUTS.retry), deliveryDelay: Duration.minutes(15) });
    this.bucket = new Bucket(this, 'Bucket', {
      encryption: BucketEncryption.S3_MANAGED,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      enforceSSL: true,
      versioned: true,
      lifecycleRules: lifecycle(settings.rawDays),
      removalPolicy: RemovalPolicy.RETAIN,
    });
    this.notify([[this.notices, PREFIXES.events], [this.skipped, SKIPPED]]);

    this.database = new Database(this, 'Database', { removalPolicy: RemovalPolicy.RETAIN });
    this.tables = {
      events: this.table('events', ROW_COLUMNS, DataFormat.PARQUET, EVENT_PARTITIONS),
      steps: this.table('steps', STEP_COLUMNS, DataFormat.PARQUET, RUN_PARTITIONS),
      hours: this.table('hours', HOUR_COLUMNS, DataFormat.PARQUET, RUN_PARTITIONS),
      changes: this.table('changes', CHANGE_COLUMNS, DataFormat.JSON, RUN_PARTITIONS),
    };
    Validations.of(this.bucket).acknowledge({
      id: 'AwsSolutions-S1',
      reason: 'Only this account\'s functions and services reach the bucket; a log of their requests would be as large as what they write.',
    });
  }

  /**
   * Tells queues of new objects by prefix. By the bucket's own property: the construct for it brings a function that may
   * rewrite the notices of every bucket. The queues trust the account's buckets, since the bucket's ARN would be a circle.
   */
  private notify(queues: [queue: Queue, prefix: string][]): void {
    for (const [queue] of queues) {
      queue.addToResourcePolicy(new PolicyStatement({
        principals: [new ServicePrincipal('s3.amazonaws.com')],
        actions: ['sqs:SendMessage'],
        resources: [queue.queueArn],
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }));
      // S3 tries the queue when it is told of it.
      this.bucket.node.addDependency(queue);
    }
    (this.bucket.node.defaultChild as CfnBucket).notificationConfiguration = {
      queueConfigurations: queues.map(([queue, prefix]) => ({
        event: 's3:ObjectCreated:*', queue: queue.queueArn, filter: { s3Key: { rules: [{ name: 'prefix', value: prefix }] } },
      })),
    };
  }

  /** A table of the files under a prefix; it has the name that `sql/` calls it by. */
  private table(name: 'events' | 'steps' | 'hours' | 'changes', columns: Readonly<Record<string, keyof typeof GLUE_TYPES>>, dataFormat: DataFormat, partitions: PartitionProjection): S3Table {
    const keys = Object.keys(partitions);
    const table = new S3Table(this, `${name[0]!.toUpperCase()}${name.slice(1)}`, {
      database: this.database,
      tableName: name,
      columns: Object.entries(columns).map(([column, type]) => ({ name: column, type: GLUE_TYPES[type] })),
      partitionKeys: keys.map((key) => ({ name: key, type: Schema.STRING })),
      partitionProjection: partitions,
      parameters: { 'storage.location.template': `s3://${this.bucket.bucketName}/${PREFIXES[name]}${keys.map((key) => `${key}=\${${key}}`).join('/')}/` },
      dataFormat,
      storage: S3TableStorage.fromBucket(asInterface<IBucket>(this.bucket)),
      s3Prefix: PREFIXES[name],
      hasEncryptedData: false, // By clients: what S3 does on its own, Athena need not know of.
    });
    table.applyRemovalPolicy(RemovalPolicy.RETAIN);
    return table;
  }
}

const GLUE_TYPES = {
  string: Schema.STRING, int: Schema.INTEGER, bigint: Schema.BIG_INT, hash: Schema.BIG_INT, boolean: Schema.BOOLEAN, ints: Schema.array(Schema.INTEGER),
} as const satisfies Record<ColumnType | 'ints', unknown>;

const EVENT_PARTITIONS: PartitionProjection = {
  // An event's time may be ten minutes ahead, and so on the next day.
  dt: PartitionProjectionConfiguration.date({ min: '2010-01-01', max: 'NOW+1DAY', format: 'yyyy-MM-dd', step: { interval: 1, intervalUnit: DateIntervalUnit.DAYS } }),
  hr: PartitionProjectionConfiguration.integer({ min: 0, max: 23, digits: 2 }),
};
/** Each statement names the runs it reads. */
const RUN_PARTITIONS: PartitionProjection = { run: PartitionProjectionConfiguration.injected() };

/** How long what is under each prefix stays. Rows and the runs of rollups stay until the program removes them. */
function lifecycle(rawDays: number): LifecycleRule[] {
  const day = Duration.days(1);
  const expiring = (prefix: string, days: number): LifecycleRule => ({
    prefix, expiration: Duration.days(days), noncurrentVersionExpiration: day, abortIncompleteMultipartUploadAfter: day,
  });
  return [
    // What is removed by mistake can be brought back for a week.
    { prefix: PREFIXES.events, noncurrentVersionExpiration: Duration.days(7), abortIncompleteMultipartUploadAfter: day },
    expiring(PREFIXES.raw, rawDays),
    expiring(PREFIXES.failed, rawDays),
    // Used within one task, and left behind only by those that died.
    expiring(PREFIXES.steps, 1), expiring(PREFIXES.items, 1), expiring(PREFIXES.athena, 1),
    { prefix: PREFIXES.hours, noncurrentVersionExpiration: day, abortIncompleteMultipartUploadAfter: day },
    { prefix: PREFIXES.changes, noncurrentVersionExpiration: day, abortIncompleteMultipartUploadAfter: day },
    { expiredObjectDeleteMarker: true },
  ];
}

function times(n: number, duration: Duration): Duration {
  return Duration.seconds(n * duration.toSeconds());
}

function queueWithDeadLetters(scope: Construct, id: string, maxReceiveCount: number, props: QueueProps): Queue {
  const kept: QueueProps = {
    retentionPeriod: Duration.days(14), // The longest there is.
    encryption: QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    removalPolicy: RemovalPolicy.RETAIN,
    ...(props.fifo === true && { fifo: true }),
  };
  return new Queue(scope, id, { ...kept, ...props, deadLetterQueue: { queue: new Queue(scope, `${id}DeadLetters`, kept), maxReceiveCount } });
}
