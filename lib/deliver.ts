// Deliver: Firehose lets the transform make rows of the stream's records and writes them as Parquet by event hour. Twice:
// `live` reads the stream and keeps records as they came; `replay` takes what goes through again.
// before: the stream (lib/data.ts); next: the lake, whose notices are lib/rollup.ts's to read
import { Duration, Size, Stack, Validations } from 'aws-cdk-lib';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { BackupMode, Compression, DeliveryStream, EnableLogging, KinesisStreamSource, LambdaFunctionProcessor, OpenXJsonInputFormat, ParquetCompression, ParquetOutputFormat, S3Bucket, SchemaConfiguration, StreamEncryption, type S3BucketProps } from 'aws-cdk-lib/aws-kinesisfirehose';
import { PolicyStatement, type IRole } from 'aws-cdk-lib/aws-iam';
import type { CfnTable } from 'aws-cdk-lib/aws-glue';
import type { Function } from 'aws-cdk-lib/aws-lambda';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { PREFIXES, REPLAYED } from '../lambdas/environment.ts';
import { TIMEOUTS, type DataStack } from './data.ts';
import { allow, arnOf, asInterface, functionOf, logGroupOf, roleOf, type FunctionDefaults } from './functions.ts';
import type { Resolved } from './settings.ts';

/** Seconds the transform's own buffer holds records back before Firehose's begins: the least there is. */
const TRANSFORM_SECONDS = 60;
const BY_ARRIVAL = 'dt=!{timestamp:yyyy-MM-dd}/hr=!{timestamp:HH}/';
const BY_EVENT_HOUR = 'dt=!{partitionKeyFromLambda:dt}/hr=!{partitionKeyFromLambda:hr}/';

/** Seconds an event may wait in buffers between the stream and the lake. */
export function deliverySeconds({ deliverySeconds }: Resolved): number {
  return deliverySeconds + TRANSFORM_SECONDS;
}

export interface DeliverProps { data: DataStack; defaults: FunctionDefaults; settings: Resolved }

export class Deliver extends Construct {
  readonly transform: Function;
  readonly live: DeliveryStream;
  readonly replay: DeliveryStream;
  readonly retry: Function;
  /** Of the replay delivery stream. The transform puts records into it and is called by it, so one of them needs a name beforehand. */
  readonly replayName: string;
  readonly replayArn: string;

  constructor(scope: Construct, id: string, private readonly props: DeliverProps) {
    super(scope, id);
    const { data: { stream, lake, registry }, defaults, settings } = props;
    const bucket = asInterface<IBucket>(lake.bucket);
    this.replayName = `${Stack.of(this).stackName}-replay`;
    this.replayArn = arnOf(this, 'firehose', `deliverystream/${this.replayName}`);
    this.transform = functionOf(this, 'transform', defaults, {
      memory: 1024,
      timeout: Duration.minutes(1),
      environment: { REGISTRY_TABLE: registry.tableName, REPLAY_STREAM: this.replayName, RAW_DAYS: String(settings.rawDays) },
      may: [
        allow(['dynamodb:GetItem'], registry.tableArn),
        // The salts of days are all that it makes.
        new PolicyStatement({ actions: ['dynamodb:PutItem'], resources: [registry.tableArn], conditions: { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': ['salts'] } } }),
        allow(['firehose:PutRecordBatch'], this.replayArn),
      ],
    });

    const toLake = this.kind('Live', ['events', 'raw', 'failed'], [allow(['kinesis:DescribeStream', 'kinesis:GetShardIterator', 'kinesis:GetRecords', 'kinesis:ListShards'], stream.streamArn)]);
    this.live = new DeliveryStream(this, 'Live', {
      source: new KinesisStreamSource(stream),
      role: toLake.role,
      destination: new S3Bucket(bucket, {
        ...toLake,
        dataOutputPrefix: `${PREFIXES.events}${BY_EVENT_HOUR}`,
        errorOutputPrefix: `${PREFIXES.failed}!{firehose:error-output-type}/${BY_ARRIVAL}`,
        s3Backup: {
          mode: BackupMode.ALL,
          bucket,
          dataOutputPrefix: `${PREFIXES.raw}${BY_ARRIVAL}`,
          errorOutputPrefix: `${PREFIXES.failed}raw/!{firehose:error-output-type}/${BY_ARRIVAL}`,
          compression: Compression.GZIP,
          bufferingInterval: toLake.bufferingInterval,
          bufferingSize: toLake.bufferingSize,
          loggingConfig: toLake.loggingConfig,
        },
      }),
    });
    Validations.of(this.live).acknowledge({ id: 'AwsSolutions-KDF1', reason: 'Its source, the stream, is encrypted; Firehose takes no key of its own then.' });
    const again = this.kind('Replay', ['events', 'failed'], []);
    this.replay = new DeliveryStream(this, 'Replay', {
      deliveryStreamName: this.replayName,
      encryption: StreamEncryption.awsOwnedKey(),
      destination: new S3Bucket(bucket, {
        ...again,
        dataOutputPrefix: `${PREFIXES.events}${BY_EVENT_HOUR}${REPLAYED}`,
        errorOutputPrefix: `${PREFIXES.failed}replay/!{firehose:error-output-type}/${BY_ARRIVAL}`,
      }),
    });

    this.retry = functionOf(this, 'retry', defaults, {
      memory: 512,
      timeout: TIMEOUTS.retry,
      environment: { BUCKET: lake.bucket.bucketName, REPLAY_STREAM: this.replayName },
      may: [
        allow(['s3:GetObject'], lake.bucket.arnForObjects(`${PREFIXES.failed}*`)),
        allow(['firehose:PutRecordBatch'], this.replayArn),
        allow(['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'], lake.skipped.queueArn),
      ],
    });
    this.retry.addEventSource(new SqsEventSource(lake.skipped, { batchSize: 1, reportBatchItemFailures: true }));
  }

  /** What the two have in common, each with a role and a log of its own. */
  private kind(name: string, writes: (keyof typeof PREFIXES)[], may: PolicyStatement[]) {
    const { data: { lake: { bucket, database, tables: { events } } }, settings } = this.props;
    const logGroup = logGroupOf(this, `${name}Log`, settings.logDays);
    const { transform } = this;
    const role = roleOf(this, `${name}Role`, 'firehose.amazonaws.com', [
      ...may,
      // Firehose asks for the version it calls, which without a number is $LATEST.
      allow(['lambda:InvokeFunction', 'lambda:GetFunctionConfiguration'], transform.functionArn, `${transform.functionArn}:$LATEST`),
      allow(['glue:GetTable', 'glue:GetTableVersion', 'glue:GetTableVersions'], arnOf(this, 'glue', 'catalog'), database.databaseArn, events.tableArn),
      allow(['s3:GetBucketLocation', 's3:ListBucket', 's3:ListBucketMultipartUploads'], bucket.bucketArn),
      allow(['s3:GetObject', 's3:PutObject', 's3:AbortMultipartUpload'], ...writes.map((prefix) => bucket.arnForObjects(`${PREFIXES[prefix]}*`))),
      allow(['logs:PutLogEvents'], logGroup.logGroupArn),
    ]);
    return {
      role,
      loggingConfig: new EnableLogging(logGroup),
      bufferingInterval: Duration.seconds(settings.deliverySeconds),
      bufferingSize: Size.mebibytes(settings.deliveryMiB),
      // 1 MiB of records is at most 6 MB of rows for all but contrived ones, which the transform sets aside.
      processors: [new LambdaFunctionProcessor(transform, { bufferSize: Size.mebibytes(1), bufferInterval: Duration.seconds(TRANSFORM_SECONDS), retries: 3 })],
      dynamicPartitioning: { enabled: true, retryDuration: Duration.minutes(5) },
      dataFormatConversion: {
        schemaConfiguration: SchemaConfiguration.fromCfnTable(events.node.defaultChild as CfnTable),
        inputFormat: new OpenXJsonInputFormat(),
        // Not GZIP, which is smaller, and slow to read for every query of the hour.
        outputFormat: new ParquetOutputFormat({ compression: ParquetCompression.SNAPPY }),
      },
    } satisfies S3BucketProps & { role: IRole };
  }
}
