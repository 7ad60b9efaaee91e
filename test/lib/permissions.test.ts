// Who may do what. Everything that is allowed stands here once more, by hand: an action that AWS does not know would
// never be missed, and one too many never noticed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENVIRONMENTS, type EnvironmentName } from '../../bin/footfall.ts';
import { at, synthesised, word, type Json } from './synth.ts';

interface Statement { owner: string; effect: string; actions: string[]; resources: string[]; conditions: Json }

/** A resource's ARN in short: `lake/events/*`. */
function text(value: Json): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const [[key, inner]] = Object.entries(value) as [[string, Json]];
  if (key === 'Fn::Join') return (at(inner, 1) as Json[]).map(text).join('');
  if (key === 'Ref') return word(inner).startsWith('AWS::') ? word(inner).slice(5).toLowerCase() : short(word(inner));
  if (key === 'Fn::GetAtt') return short(word(at(inner, 0)));
  if (key === 'Fn::GetStackOutput') return short(word(at(inner, 'OutputName')).replace(/^PublishOutput(Ref|FnGetAtt)/, '').replace(/Arn[0-9A-F]{8}$/, ''));
  return JSON.stringify(value);
}
const short = (id: string) => id.replaceAll(/[0-9A-F]{8}/g, '');

function statements(environment: EnvironmentName): Statement[] {
  const { data, service } = synthesised(environment);
  return [data, service].flatMap(({ Resources }) => Object.entries(Resources).flatMap(([id, { Properties = {} }]) => {
    const documents = [Properties.PolicyDocument, ...((Properties.Policies ?? []) as Json[]).map((policy) => at(policy, 'PolicyDocument'))];
    return documents.flatMap((document) => (at(document, 'Statement') ?? []) as Record<string, Json>[]).map(({ Effect, Action, Resource, Condition = null }) => ({
      owner: short(id), effect: word(Effect), actions: [Action!].flat().map(word), resources: [Resource!].flat().map(text), conditions: Condition,
    }));
  })).filter(({ effect }) => effect === 'Allow');
}

/** The actions that this app needs, as AWS spells them. */
const ACTIONS = new Set([
  'athena:GetQueryExecution', 'athena:StartQueryExecution', 'athena:StopQueryExecution',
  'cloudwatch:GetMetricData',
  'dynamodb:BatchWriteItem', 'dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:Query',
  'firehose:PutRecordBatch',
  'glue:GetDatabase', 'glue:GetPartitions', 'glue:GetTable', 'glue:GetTableVersion', 'glue:GetTableVersions',
  'kinesis:DescribeStream', 'kinesis:GetRecords', 'kinesis:GetShardIterator', 'kinesis:ListShards', 'kinesis:PutRecord', 'kinesis:PutRecords',
  'lambda:GetFunctionConfiguration', 'lambda:InvokeFunction',
  'logs:CreateLogStream', 'logs:PutLogEvents',
  's3:AbortMultipartUpload', 's3:DeleteObject', 's3:GetBucketLocation', 's3:GetObject', 's3:ListBucket', 's3:ListBucketMultipartUploads',
  's3:ListMultipartUploadParts', 's3:PutObject',
  'sns:Publish',
  'sqs:ChangeMessageVisibility', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage', 'sqs:SendMessage',
]);

/** What is allowed on more than one thing by name, and why. */
const WIDE: Record<string, string> = {
  'DeliverLiveRole LakeBucket/events/*': 'objects have no names beforehand',
  'DeliverLiveRole LakeBucket/failed/*': 'objects have no names beforehand',
  'DeliverLiveRole LakeBucket/raw/*': 'objects have no names beforehand',
  'DeliverReplayRole LakeBucket/events/*': 'objects have no names beforehand',
  'DeliverReplayRole LakeBucket/failed/*': 'objects have no names beforehand',
  'DeliverRetryRole LakeBucket/failed/*': 'it reads what its notices name',
  'RollupLoadRole LakeBucket/items/*': 'it reads the parts it is told of',
  'RollupReprocessRole *': 'CloudWatch: what it measured has no ARN',
  'RollupReprocessRole LakeBucket/raw/*': 'it replays any hour',
  'RollupRollupRole LakeBucket/athena/*': 'Athena names its results itself',
  'RollupRollupRole LakeBucket/changes/*': 'runs have no names beforehand',
  'RollupRollupRole LakeBucket/events/*': 'it reads any hour',
  'RollupRollupRole LakeBucket/hours/*': 'runs have no names beforehand',
  'RollupRollupRole LakeBucket/items/*': 'runs have no names beforehand',
  'RollupRollupRole LakeBucket/steps/*': 'runs have no names beforehand',
  'RollupScheduleRole *': 'CloudWatch: what it measured has no ARN',
  'RollupScheduleRole LakeBucket/changes/*': 'it removes old runs',
  'RollupScheduleRole LakeBucket/hours/*': 'it removes old runs',
  'RollupScheduleRole LakeBucket/items/*': 'it removes old runs',
  'RollupScheduleRole LakeBucket/steps/*': 'it removes old runs',
  'PagesBucketPolicy PagesBucket/*': 'the distribution shows every file of the page',
  'PagesUploadRole PagesBucket/*': 'it uploads every file of the page',
  'PagesUploadRole arn:partition:s3:::cdk-hnb659fds-assets-accountid-region/*': 'an asset is named by its content',
};

for (const name of Object.keys(ENVIRONMENTS) as EnvironmentName[]) {
  test(`In the ${name} environment every action that is allowed exists and is needed`, () => {
    const allowed = new Set(statements(name).flatMap(({ actions }) => actions).filter((action) => action !== 'sts:AssumeRole'));
    assert.deepEqual([...allowed].sort(), [...ACTIONS].sort());
  });

  test(`In the ${name} environment nothing is allowed on everything but what is listed with its reason`, () => {
    const wide = statements(name).flatMap(({ owner, resources, actions }) => [...resources, ...actions].filter((one) => one.includes('*')).map((one) => `${owner} ${one}`));
    assert.deepEqual([...new Set(wide)].sort(), Object.keys(WIDE).sort());
  });
}

const ofRole = (role: string) => statements('small').filter(({ owner }) => owner === role).map(({ actions, resources }) => [actions.sort().join(' '), resources.sort().join(' ')]);

test('The browser doors may put records into the stream, and nothing else', () => {
  assert.deepEqual(ofRole('CollectRole'), [['kinesis:PutRecord', 'Stream']]);
});

test('The reading function may only read, and note when keys were used', () => {
  assert.deepEqual(ofRole('ServeServeRole'), [['dynamodb:GetItem dynamodb:Query', 'Metrics Registry'], ['dynamodb:BatchWriteItem', 'Registry'], ['logs:CreateLogStream logs:PutLogEvents', 'ServeServeLog']]);
  for (const owner of ['ServeServeRole', 'ServeIngestRole']) {
    const [write] = statements('small').filter((statement) => statement.owner === owner && statement.actions.includes('dynamodb:BatchWriteItem'));
    assert.deepEqual(write!.conditions, { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['used#*'] } }, owner);
  }
});

test('The transform may make salts, and no other item of the registry', () => {
  const [put] = statements('small').filter(({ owner, actions }) => owner === 'DeliverTransformRole' && actions.includes('dynamodb:PutItem'));
  assert.deepEqual(put!.conditions, { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': ['salts'] } });
});

test('Nobody but the load function writes the merchants\' numbers', () => {
  const writers = statements('small').filter(({ actions, resources }) => resources.includes('Metrics') && actions.some((action) => !['dynamodb:GetItem', 'dynamodb:Query'].includes(action)));
  assert.deepEqual(writers.map(({ owner }) => owner), ['RollupLoadRole']);
});

test('Lists of the lake are allowed by prefix only, but for Firehose, which asks for all', () => {
  for (const { owner, actions, conditions } of statements('small')) {
    if (!actions.includes('s3:ListBucket') || /^(Deliver(Live|Replay)|PagesUpload)Role$/.test(owner)) continue;
    assert.match(JSON.stringify(conditions), /^\{"StringLike":\{"s3:prefix":\["[a-z]+\/\*"(,"[a-z]+\/\*")*\]\}\}$/, owner);
  }
});

test('Policies of AWS\'s own making are used where a service asks for just that one', () => {
  const managed = [synthesised('small').data, synthesised('small').service].flatMap(({ Resources }) => Object.values(Resources)).flatMap(({ Properties = {} }) => (Properties.ManagedPolicyArns ?? []) as Json[]).map(text);
  assert.deepEqual(managed.map((arn) => arn.split('/').at(-1)).sort(), ['AWSCodeDeployRoleForLambdaLimited', 'AmazonAPIGatewayPushToCloudWatchLogs']);
});
