// The stacks as CloudFormation gets them: what its own checks and cdk-nag say, and what those do not look at.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { ENVIRONMENTS, type EnvironmentName } from '../../bin/footfall.ts';
import { ROW_COLUMNS } from '../../core/event.ts';
import { CHANGE_COLUMNS, HOUR_COLUMNS, STEP_COLUMNS } from '../../core/metrics.ts';
import { ROUTES } from '../../core/routes.ts';
import { resolved } from '../../lib/settings.ts';
import { ENVIRONMENT } from '../../lambdas/environment.ts';
import { at, functionName, ofType, only, synthesised, synthesisedWith, word, type Json, type Resource, type Template } from './synth.ts';

const NAMES = Object.keys(ENVIRONMENTS) as EnvironmentName[];

for (const name of NAMES) {
  test(`The ${name} environment has nothing that CloudFormation's rules or cdk-nag find and nobody explained`, () => {
    const { pluginReports } = synthesised(name).report;
    for (const { pluginName, violations, suppressedViolations = [] } of pluginReports) {
      assert.deepEqual(violations.map(({ ruleName }) => `${pluginName}: ${ruleName}`), []);
      for (const { reason = '' } of suppressedViolations) assert.ok(reason.length > 20, reason);
    }
  });
}

test('What cdk-nag finds stops the synthesis', () => {
  assert.throws(() => synthesised('small', (stack) => new Bucket(stack, 'Careless')), /AwsSolutions-S10/);
});

test('An environment that does not exist is refused by name', () => {
  assert.throws(() => synthesised('huge' as EnvironmentName), /-c environment=huge: accepts small or large/);
});

test('A setting that AWS would not take is refused by name', () => {
  assert.throws(() => resolved({ deliveryMiB: 32 }), /deliveryMiB 32: accepts a whole number from 64 to 128/);
  assert.throws(() => resolved({ deliverySeconds: 59 }), /deliverySeconds 59: accepts a whole number from 60 to 900/);
  assert.throws(() => resolved({ scheduleMinutes: 2.5 }), /scheduleMinutes 2.5: accepts/);
  assert.equal(resolved({ rawDays: 7 }).rawDays, 7);
});

/** All but the one that uploads the pages, which is the CDK's. */
const ownFunctions = (template: Template) => ofType(template, 'AWS::Lambda::Function').filter(([id]) => !id.startsWith('CustomCDKBucketDeployment'));

test('Each function has its own variables and no others', () => {
  for (const name of NAMES) {
    const functions = new Map(ownFunctions(synthesised(name).service).map(([id, { Environment }]) => [functionName(id), at(Environment, 'Variables')]));
    assert.deepEqual([...functions.keys()].sort(), Object.keys(ENVIRONMENT).sort());
    for (const [id, variables] of functions) assert.deepEqual(Object.keys(variables as object).sort(), ['SERVICE', ...ENVIRONMENT[id as keyof typeof ENVIRONMENT]].sort(), id);
  }
});

test('Of the browser doors no answer of the stream passes for a success but a success, and each status has one answer', () => {
  const methods = ofType(synthesised('small').service, 'AWS::ApiGateway::Method').filter(([, { HttpMethod }]) => HttpMethod !== 'OPTIONS');
  assert.equal(methods.length, 2);
  for (const [id, { Integration, MethodResponses }] of methods) {
    const answers = at(Integration, 'IntegrationResponses') as { StatusCode: string; SelectionPattern?: string }[];
    // API Gateway keeps them by status: of two with the same, one would be lost.
    assert.equal(new Set(answers.map(({ StatusCode }) => StatusCode)).size, answers.length, id);
    const success = id.includes('pixel') || id.includes('pgif') ? '200' : '204';
    assert.deepEqual(answers.map(({ StatusCode, SelectionPattern }) => [StatusCode, SelectionPattern]), [[success, '200'], ['503', undefined]], id);
    // What the template may set in its place has to be declared.
    assert.deepEqual((MethodResponses as { StatusCode: string }[]).map(({ StatusCode }) => StatusCode).sort(), [success, '413', '503'].sort(), id);
  }
});

test('Functions run on arm64 with Node 24 and write into a log that ends', () => {
  const { service } = synthesised('small');
  const logs = new Map(ofType(service, 'AWS::Logs::LogGroup').map(([id, { RetentionInDays }]) => [id, RetentionInDays]));
  for (const [id, { Runtime, Architectures, LoggingConfig }] of ownFunctions(service)) {
    assert.deepEqual([Runtime, Architectures], ['nodejs24.x', ['arm64']], id);
    assert.equal(logs.get(at(LoggingConfig, 'LogGroup', 'Ref') as string), 30, id);
  }
});

const certificate = (region: string) => `arn:aws:acm:${region}:123456789012:certificate/00000000-0000-0000-0000-000000000000`;
/** What the environments leave at its default, all at once. */
const OTHERWISE = synthesisedWith({
  shards: 4, protected: false, rawDays: 7, alarmEmail: 'operator@shop.example', runbook: 'https://shop.example/runbook',
  domains: {
    collect: { name: 'c.shop.example', certificate: certificate('us-east-1') },
    api: { name: 'api.shop.example', certificate: certificate('eu-central-1') },
    pages: { name: 'shop.example', certificate: certificate('us-east-1') },
  },
});

test('The stream is on demand without shards, or provisioned with them', () => {
  const onDemand = only(synthesised('small').data, 'AWS::Kinesis::Stream');
  assert.deepEqual([onDemand.ShardCount, onDemand.StreamModeDetails], [undefined, { StreamMode: 'ON_DEMAND' }]);
  const provisioned = only(OTHERWISE.data, 'AWS::Kinesis::Stream');
  assert.deepEqual([provisioned.ShardCount, provisioned.StreamModeDetails], [4, { StreamMode: 'PROVISIONED' }]);
});

test('Names of one\'s own are shown with their certificates, and take no TLS older than 1.2', () => {
  const { service } = OTHERWISE;
  const doors = only(service, 'AWS::ApiGateway::DomainName');
  assert.deepEqual([doors.DomainName, doors.SecurityPolicy, doors.EndpointConfiguration, doors.CertificateArn], ['c.shop.example', 'TLS_1_2', { Types: ['EDGE'] }, certificate('us-east-1')]);
  const api = only(service, 'AWS::ApiGatewayV2::DomainName');
  assert.deepEqual([api.DomainName, at(api.DomainNameConfigurations, 0, 'CertificateArn')], ['api.shop.example', certificate('eu-central-1')]);
  assert.equal(only(service, 'AWS::ApiGatewayV2::ApiMapping').Stage, '$default');
  const { DistributionConfig } = only(service, 'AWS::CloudFront::Distribution');
  assert.deepEqual([at(DistributionConfig, 'Aliases'), at(DistributionConfig, 'ViewerCertificate', 'MinimumProtocolVersion')], [['shop.example'], 'TLSv1.2_2021']);
});

test('What is set otherwise arrives where it belongs', () => {
  const { data, service } = OTHERWISE;
  for (const [, { Replicas }] of ofType(data, 'AWS::DynamoDB::GlobalTable')) assert.equal(at(Replicas, 0, 'DeletionProtectionEnabled'), false);
  const rules = at(ofType(data, 'AWS::S3::Bucket')[0]![1].LifecycleConfiguration, 'Rules') as Record<string, Json>[];
  assert.equal(rules.find(({ Prefix }) => Prefix === 'raw/')!.ExpirationInDays, 7);
  assert.equal(at(ofType(service, 'AWS::Lambda::Function').find(([id]) => functionName(id) === 'transform')![1].Environment, 'Variables', 'RAW_DAYS'), '7');
  assert.deepEqual([only(service, 'AWS::SNS::Subscription').Protocol, only(service, 'AWS::SNS::Subscription').Endpoint], ['email', 'operator@shop.example']);
  for (const [, { AlarmDescription }] of ofType(service, 'AWS::CloudWatch::Alarm')) assert.match(word(AlarmDescription), / https:\/\/shop\.example\/runbook#[a-z0-9-]+$/);
});

for (const name of NAMES) {
  test(`Both delivery streams of the ${name} environment make Parquet of event hours, and know where failures go`, () => {
    const streams = ofType(synthesised(name).service, 'AWS::KinesisFirehose::DeliveryStream').map(([, properties]) => properties);
    assert.deepEqual(streams.map(({ DeliveryStreamType }) => DeliveryStreamType).sort(), ['DirectPut', 'KinesisStreamAsSource']);
    for (const { DeliveryStreamType, ExtendedS3DestinationConfiguration: to } of streams) {
      const live = DeliveryStreamType === 'KinesisStreamAsSource';
      assert.equal(at(to, 'Prefix'), `events/dt=!{partitionKeyFromLambda:dt}/hr=!{partitionKeyFromLambda:hr}/${live ? '' : 'replay-'}`);
      assert.equal(at(to, 'ErrorOutputPrefix'), `failed/${live ? '' : 'replay/'}!{firehose:error-output-type}/dt=!{timestamp:yyyy-MM-dd}/hr=!{timestamp:HH}/`);
      const megabytes = at(to, 'BufferingHints', 'SizeInMBs') as number;
      const seconds = at(to, 'BufferingHints', 'IntervalInSeconds') as number;
      assert.ok(megabytes >= 64 && megabytes <= 128 && seconds >= 60 && seconds <= 900, `${megabytes} MiB, ${seconds} s`);
      assert.equal(at(to, 'CompressionFormat') ?? 'UNCOMPRESSED', 'UNCOMPRESSED');
      assert.equal(at(to, 'DataFormatConversionConfiguration', 'OutputFormatConfiguration', 'Serializer', 'ParquetSerDe', 'Compression'), 'SNAPPY');
      assert.notEqual(at(to, 'DataFormatConversionConfiguration', 'InputFormatConfiguration', 'Deserializer', 'OpenXJsonSerDe'), undefined);
      assert.deepEqual(at(to, 'DynamicPartitioningConfiguration'), { Enabled: true, RetryOptions: { DurationInSeconds: 300 } });
      const parameters = at(to, 'ProcessingConfiguration', 'Processors', 0, 'Parameters') as { ParameterName: string; ParameterValue: Json }[];
      const by = new Map(parameters.map(({ ParameterName, ParameterValue }) => [ParameterName, ParameterValue]));
      assert.deepEqual([by.get('BufferSizeInMBs'), by.get('BufferIntervalInSeconds'), by.get('NumberOfRetries')], ['1', '60', '3']);
      assert.equal(at(to, 'CloudWatchLoggingOptions', 'Enabled'), true);
      assert.equal(at(to, 'S3BackupMode'), live ? 'Enabled' : undefined);
      if (live) {
        assert.equal(at(to, 'S3BackupConfiguration', 'Prefix'), 'raw/dt=!{timestamp:yyyy-MM-dd}/hr=!{timestamp:HH}/');
        assert.equal(at(to, 'S3BackupConfiguration', 'CompressionFormat'), 'GZIP');
      }
    }
  });

  test(`The ${name} environment calls its functions at intervals that exist, and none for longer than until the next`, () => {
    const rates = ofType(synthesised(name).service, 'AWS::Scheduler::Schedule').map(([, { ScheduleExpression }]) => ScheduleExpression as string);
    assert.deepEqual(rates.sort(), name === 'small' ? ['rate(1 minute)', 'rate(5 minutes)'] : ['rate(1 minute)', 'rate(15 minutes)']);
    const timeouts = ofType(synthesised(name).service, 'AWS::Lambda::Function').filter(([, { ReservedConcurrentExecutions }]) => ReservedConcurrentExecutions === 1).map(([, { Timeout }]) => Timeout);
    assert.deepEqual(timeouts.sort(), [300, 840]);
  });
}

test('The tables have keys that are defined, can be restored, and expire only what says so', () => {
  const tables = ofType(synthesised('large').data, 'AWS::DynamoDB::GlobalTable').map(([id, properties]): Record<string, Json> => ({ ...properties, registry: id.startsWith('Registry') }));
  assert.equal(tables.length, 2);
  for (const { registry, KeySchema, AttributeDefinitions, Replicas, BillingMode, TimeToLiveSpecification, WarmThroughput } of tables) {
    assert.deepEqual(KeySchema, [{ AttributeName: 'pk', KeyType: 'HASH' }, { AttributeName: 'sk', KeyType: 'RANGE' }]);
    assert.deepEqual(AttributeDefinitions, [{ AttributeName: 'pk', AttributeType: 'S' }, { AttributeName: 'sk', AttributeType: 'S' }]);
    assert.equal(BillingMode, 'PAY_PER_REQUEST');
    assert.equal(at(Replicas, 0, 'PointInTimeRecoverySpecification', 'PointInTimeRecoveryEnabled'), true);
    assert.equal(at(Replicas, 0, 'DeletionProtectionEnabled'), true);
    assert.deepEqual(TimeToLiveSpecification, registry ? { AttributeName: 'expires', Enabled: true } : undefined);
    assert.deepEqual(WarmThroughput, registry ? undefined : { ReadUnitsPerSecond: 24_000, WriteUnitsPerSecond: 40_000 });
  }
});

test('Athena sees the lake\'s files as the columns that are written, found by their partitions', () => {
  const tables = new Map(ofType(synthesised('small').data, 'AWS::Glue::Table').map(([, { TableInput }]) => [at(TableInput, 'Name'), TableInput]));
  const types: Record<string, string> = { hash: 'bigint', ints: 'array<int>' };
  for (const [name, columns, keys, format] of [
    ['events', ROW_COLUMNS, ['dt', 'hr'], 'ParquetHiveSerDe'], ['steps', STEP_COLUMNS, ['run'], 'ParquetHiveSerDe'],
    ['hours', HOUR_COLUMNS, ['run'], 'ParquetHiveSerDe'], ['changes', CHANGE_COLUMNS, ['run'], 'JsonSerDe'],
  ] as [string, Record<string, string>, string[], string][]) {
    const table = tables.get(name);
    const expected = Object.entries(columns).map(([Name, type]) => ({ Name, Type: types[type] ?? type }));
    assert.deepEqual(at(table, 'StorageDescriptor', 'Columns'), expected, name);
    assert.deepEqual(at(table, 'PartitionKeys'), keys.map((Name) => ({ Name, Type: 'string' })));
    assert.ok(word(at(table, 'StorageDescriptor', 'SerdeInfo', 'SerializationLibrary')).endsWith(format), name);
    const parts = at(table, 'Parameters', 'storage.location.template', 'Fn::Join', 1) as Json[];
    assert.equal(parts.at(-1), `/${name}/${keys.map((key) => `${key}=\${${key}}`).join('/')}/`);
    assert.equal(at(table, 'Parameters', 'projection.enabled'), 'true');
  }
  const { 'projection.dt.type': dt, 'projection.dt.range': range, 'projection.dt.format': format, 'projection.hr.type': hr, 'projection.hr.range': hours, 'projection.hr.digits': digits } = at(tables.get('events'), 'Parameters') as Record<string, Json>;
  assert.deepEqual([dt, range, format, hr, hours, digits], ['date', '2010-01-01,NOW+1DAY', 'yyyy-MM-dd', 'integer', '0,23', '2']);
  assert.equal(at(tables.get('hours'), 'Parameters', 'projection.run.type'), 'injected');
});

test('What is stored stays as long as it is promised', () => {
  const { LifecycleConfiguration, VersioningConfiguration } = only(synthesised('small').data, 'AWS::S3::Bucket');
  const rules = new Map((at(LifecycleConfiguration, 'Rules') as Record<string, Json>[]).map((rule) => [rule.Prefix, rule]));
  const days = (prefix: string) => [rules.get(prefix)?.ExpirationInDays, at(rules.get(prefix), 'NoncurrentVersionExpiration', 'NoncurrentDays')];
  assert.deepEqual(VersioningConfiguration, { Status: 'Enabled' });
  assert.deepEqual(['events/', 'raw/', 'failed/', 'hours/', 'changes/', 'steps/', 'items/', 'athena/'].map((prefix) => [prefix, ...days(prefix)]), [
    ['events/', undefined, 7], ['raw/', 30, 1], ['failed/', 30, 1], ['hours/', undefined, 1], ['changes/', undefined, 1], ['steps/', 1, 1], ['items/', 1, 1], ['athena/', 1, 1],
  ]);
});

test('What holds data stays when its stack is deleted or changed', () => {
  for (const name of NAMES) {
    const kept = Object.entries(synthesised(name).data.Resources).filter(([, { Type }]) => !['AWS::S3::BucketPolicy', 'AWS::SQS::QueuePolicy'].includes(Type));
    assert.equal(kept.length, 1 + 6 + 1 + 1 + 4 + 2); // The stream, queues, bucket, database and tables of Glue, tables.
    for (const [id, { DeletionPolicy, UpdateReplacePolicy }] of kept) assert.deepEqual([DeletionPolicy, UpdateReplacePolicy], ['Retain', 'Retain'], id);
  }
});

test('The queue of tasks waits six times as long as a task may take, and gives up after five attempts', () => {
  const { VisibilityTimeout, RedrivePolicy, FifoQueue } = ofType(synthesised('small').data, 'AWS::SQS::Queue').find(([id]) => /^Tasks[0-9A-F]{8}$/.test(id))![1];
  const rollup = ofType(synthesised('small').service, 'AWS::Lambda::Function').find(([id]) => functionName(id) === 'rollup')![1];
  assert.deepEqual([rollup.Timeout, VisibilityTimeout, at(RedrivePolicy, 'maxReceiveCount'), FifoQueue], [900, 5_400, 5, true]);
});

test('The API has just the routes of core/routes.ts, HEAD where there is GET, and one for whatever has no route', () => {
  const routes = ofType(synthesised('small').service, 'AWS::ApiGatewayV2::Route').map(([, { RouteKey }]) => RouteKey);
  assert.deepEqual(routes.sort(), ['$default', ...ROUTES.flatMap(({ method, path }) => [`${method} ${path}`, ...(method === 'GET' ? [`HEAD ${path}`] : [])])].sort());
});

test('The browser doors answer by themselves what the stream did not, and log neither queries nor addresses', () => {
  const { service } = synthesised('small');
  const answers = Object.fromEntries(ofType(service, 'AWS::ApiGateway::GatewayResponse').map(([, { ResponseType, StatusCode = null, ResponseParameters }]) => [word(ResponseType), [StatusCode, at(ResponseParameters, 'gatewayresponse.header.Retry-After') ?? null, at(ResponseParameters, 'gatewayresponse.header.Access-Control-Allow-Origin')]]));
  const later = ['503', "'5'", "'*'"];
  assert.deepEqual(answers, {
    THROTTLED: later, INTEGRATION_TIMEOUT: later, INTEGRATION_FAILURE: later, DEFAULT_5XX: later, REQUEST_TOO_LARGE: ['413', null, "'*'"], DEFAULT_4XX: [null, null, "'*'"],
  });
  const { AccessLogSetting, MethodSettings } = only(service, 'AWS::ApiGateway::Stage');
  const line = at(AccessLogSetting, 'Format') as string;
  assert.doesNotThrow(() => { JSON.parse(line); });
  assert.doesNotMatch(line, /identity|sourceIp|querystring|userAgent|\$context\.path\b/i);
  assert.deepEqual(at(MethodSettings, 0, 'DataTraceEnabled') ?? false, false);
});

/** Whatever a value refers to, of this stack or of another. */
function references(value: Json): string[] {
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(references);
  return Object.entries(value).flatMap(([key, inner]) => {
    if (key === 'Ref') return word(inner).startsWith('AWS::') ? [] : [word(inner)];
    if (key === 'Fn::GetAtt') return [word((inner as Json[])[0])];
    if (key === 'Fn::GetStackOutput') return [`data:${word(at(inner, 'OutputName')).replace(/^PublishOutput(Ref|FnGetAtt)/, '')}`];
    return references(inner);
  });
}

/** Without the hash, which says nothing to whoever reads it. */
const short = (id: string) => id.replaceAll(/[0-9a-f]{32}|[0-9A-F]{8}/g, '');

function lineOf(id: string, { Type, Properties = {}, UpdatePolicy = null }: Resource): string {
  const to = [...new Set([...references(Properties), ...references(UpdatePolicy)].map(short))].sort();
  return `${short(id)} ${Type.replace(/^AWS::/, '')}${to.length > 0 ? ` → ${to.join(' ')}` : ''}`;
}

const SNAPSHOTS = join(import.meta.dirname, 'snapshots');
for (const which of ['data', 'service'] as const) {
  test(`The ${which} stack has the resources that its snapshot lists; UPDATE_SNAPSHOT=1 writes it anew`, () => {
    const lines = Object.entries(synthesised('small')[which].Resources).map(([id, resource]) => lineOf(id, resource)).sort();
    const file = join(SNAPSHOTS, `${which}.txt`);
    const text = `${lines.join('\n')}\n`;
    if (process.env.UPDATE_SNAPSHOT === '1') writeFileSync(file, text);
    assert.ok(existsSync(file), `${file} is missing: UPDATE_SNAPSHOT=1 writes it`);
    assert.equal(text, readFileSync(file, 'utf8'));
  });
}

test('The pages are uploaded with how long each may be kept, and the snippet and the pages know where the doors are', () => {
  const { service } = synthesised('small');
  const uploads = ofType(service, 'Custom::CDKBucketDeployment').map(([id, { SystemMetadata, Prune, SourceMarkers }]) => [id.replace(/CustomResource.*$/, ''), at(SystemMetadata, 'cache-control'), Prune, JSON.stringify(SourceMarkers ?? '')] as const);
  assert.deepEqual(uploads.map(([id, kept, prune]) => [id, kept, prune]).sort(), [
    ['PagesAssets', 'public, max-age=31536000, immutable', false],
    ['PagesConfig', 'no-cache', false],
    ['PagesFiles', 'no-cache', false],
    ['PagesSnippet', 'public, max-age=3600', false],
  ]);
  for (const [id, , , markers] of uploads.filter(([id]) => /Config|Snippet/.test(id))) assert.match(markers, /CollectDoors/, id);
  const { DependsOn = [] } = service.Resources[Object.keys(service.Resources).find((id) => id.startsWith('PagesFilesCustomResource'))!]!;
  assert.ok(DependsOn.some((id) => id.startsWith('PagesAssets')), String(DependsOn));
});

test('The address of a page is not always the name of its file', () => {
  const { FunctionCode } = only(synthesised('small').service, 'AWS::CloudFront::Function');
  const handler = runInNewContext(`${FunctionCode as string}; handler`) as (event: { request: { uri: string } }) => { uri: string };
  const fileOf = (uri: string) => handler({ request: { uri } }).uri;
  assert.deepEqual(['/', '/admin', '/admin/', '/t.js', '/assets/page-00000000.js', '/constructor'].map(fileOf), ['/index.html', '/admin.html', '/admin.html', '/t.js', '/assets/page-00000000.js', '/constructor']);
});
