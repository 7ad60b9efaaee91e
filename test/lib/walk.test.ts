// Follows an event through the templates, by what each resource refers to: a wire that is not connected, or leads to the
// wrong place, is found here and not after the deployment.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PREFIXES, SKIPPED } from '../../lambdas/environment.ts';
import { at, functionName, synthesised, word, type Json, type Resource, type Templates } from './synth.ts';

/** A resource, found. */
interface Found { stack: string; id: string; resource: Resource; properties: Record<string, Json> }

class Walk {
  /** What was passed, in order. */
  readonly passed: string[] = [];
  constructor(private readonly templates: Templates) {}

  all(type: string): Found[] {
    return Object.entries(this.templates).flatMap(([stack, { Resources }]) => Object.entries(Resources)
      .filter(([, { Type }]) => Type === type)
      .map(([id, resource]) => ({ stack, id, resource, properties: resource.Properties ?? {} })));
  }

  /** The only one of a type that is so. */
  one(type: string, what: string, is: (found: Found) => boolean = () => true): Found {
    const found = this.all(type).filter(is);
    assert.equal(found.length, 1, `${what}: ${found.length} of ${type}`);
    return found[0]!;
  }

  functionNamed(name: string): Found {
    return this.one('AWS::Lambda::Function', name, ({ id }) => functionName(id) === name);
  }

  /** Everything a value refers to, also by way of another stack's output. */
  targets(value: Json | undefined, stack: string): Found[] {
    if (typeof value !== 'object' || value === null) return [];
    if (Array.isArray(value)) return value.flatMap((entry) => this.targets(entry, stack));
    return Object.entries(value).flatMap(([key, inner]): Found[] => {
      if (key === 'Fn::GetStackOutput') {
        const other = word(at(inner, 'StackName'));
        const output = this.templates[other]?.Outputs?.[word(at(inner, 'OutputName'))];
        assert.ok(output, `${other} has no output ${word(at(inner, 'OutputName'))}`);
        return this.targets(output.Value, other);
      }
      const id = key === 'Ref' ? inner : key === 'Fn::GetAtt' ? at(inner, 0) : undefined;
      if (id === undefined) return this.targets(inner, stack);
      if (word(id).startsWith('AWS::')) return [];
      const resource = this.templates[stack]!.Resources[word(id)];
      assert.ok(resource, `${stack} has no ${word(id)}`);
      return [{ stack, id: word(id), resource, properties: resource.Properties ?? {} }];
    });
  }

  /** Goes along a wire: the value has to refer to this one. */
  to(from: Found, value: Json | undefined, wanted: Found, wire: string): void {
    assert.ok(this.targets(value, from.stack).some(({ stack, id }) => stack === wanted.stack && id === wanted.id), `${from.id}: ${wire} does not lead to ${wanted.id}`);
    this.passed.push(`${from.id} → ${wanted.id}`);
  }

  /** A role has to allow an action on something that it refers to, or that a text of its resource names. */
  allows(from: Found, role: Json | undefined, action: string, on: Found | string, path = ''): void {
    const [found] = this.targets(role, from.stack);
    assert.equal(found?.resource.Type, 'AWS::IAM::Role', `${from.id}: has no role`);
    const statements = (at(found.properties.Policies, 0, 'PolicyDocument', 'Statement') ?? []) as { Action: string | string[]; Resource: Json; Effect: string }[];
    const allowed = statements.some(({ Action, Resource, Effect }) => Effect === 'Allow' && [Action].flat().includes(action) && [Resource].flat().some((resource) => {
      if (!JSON.stringify(resource).includes(path)) return false;
      return typeof on === 'string' ? JSON.stringify(resource).includes(on) : this.targets(resource, found.stack).some(({ stack, id }) => stack === on.stack && id === on.id);
    }));
    assert.ok(allowed, `${found.id} does not allow ${action} on ${typeof on === 'string' ? on : on.id}${path}`);
  }
}

/** From the door to the answer; throws at the first wire that does not lead on. */
function walk(templates: Templates): string[] {
  const w = new Walk(templates);
  const variable = ({ properties }: Found, name: string) => at(properties.Environment, 'Variables', name);
  const stream = w.one('AWS::Kinesis::Stream', 'the stream');
  for (const [method, part] of [['GET', 'p.gif'], ['POST', 'e']] as const) {
    const door = w.one('AWS::ApiGateway::Method', `${method} /${part}`, ({ stack, properties }) => properties.HttpMethod === method && w.targets(properties.ResourceId, stack)[0]?.properties.PathPart === part);
    const integration = door.properties.Integration;
    assert.match(JSON.stringify(at(integration, 'Uri')), /:kinesis:action\/PutRecord"/);
    for (const template of Object.values(at(integration, 'RequestTemplates') as object) as Json[]) w.to(door, template, stream, 'a request template');
    w.allows(door, at(integration, 'Credentials'), 'kinesis:PutRecord', stream);
  }

  const bucket = w.one('AWS::S3::Bucket', 'the lake', ({ properties }) => properties.NotificationConfiguration !== undefined);
  const transform = w.functionNamed('transform');
  const [live, replay] = ['KinesisStreamAsSource', 'DirectPut'].map((type) => w.one('AWS::KinesisFirehose::DeliveryStream', type, ({ properties }) => properties.DeliveryStreamType === type)) as [Found, Found];
  w.to(live, at(live.properties.KinesisStreamSourceConfiguration, 'KinesisStreamARN'), stream, 'the source');
  w.allows(live, at(live.properties.KinesisStreamSourceConfiguration, 'RoleARN'), 'kinesis:GetRecords', stream);
  for (const delivery of [live, replay]) {
    const to = delivery.properties.ExtendedS3DestinationConfiguration;
    const parameters = at(to, 'ProcessingConfiguration', 'Processors', 0, 'Parameters') as { ParameterName: string; ParameterValue: Json }[];
    w.to(delivery, parameters.find(({ ParameterName }) => ParameterName === 'LambdaArn')!.ParameterValue, transform, 'the processor');
    w.allows(delivery, at(to, 'RoleARN'), 'lambda:InvokeFunction', transform);
    const table = w.one('AWS::Glue::Table', 'events', ({ properties }) => at(properties.TableInput, 'Name') === 'events');
    w.to(delivery, at(to, 'DataFormatConversionConfiguration', 'SchemaConfiguration', 'TableName'), table, 'the schema');
    w.allows(delivery, at(to, 'DataFormatConversionConfiguration', 'SchemaConfiguration', 'RoleARN'), 'glue:GetTableVersions', table);
    w.to(delivery, at(to, 'BucketARN'), bucket, 'the destination');
    w.allows(delivery, at(to, 'RoleARN'), 's3:PutObject', bucket, `/${PREFIXES.events}*`);
  }
  w.allows(live, at(live.properties.ExtendedS3DestinationConfiguration, 'S3BackupConfiguration', 'RoleARN'), 's3:PutObject', bucket, `/${PREFIXES.raw}*`);

  /** The queue that is told of objects beginning so, and may be told. */
  const noticed = (prefix: string): Found => {
    const rules = at(bucket.properties.NotificationConfiguration, 'QueueConfigurations') as Json[];
    const rule = rules.filter((one) => prefix.startsWith(word(at(one, 'Filter', 'S3Key', 'Rules', 0, 'Value'))));
    assert.equal(rule.length, 1, `${rule.length} queues are told of ${prefix}`);
    const [queue] = w.targets(at(rule[0], 'Queue'), bucket.stack) as [Found];
    const policy = w.one('AWS::SQS::QueuePolicy', `the policy of ${queue.id}`, ({ stack, properties }) => w.targets(properties.Queues, stack).some(({ id }) => id === queue.id));
    assert.ok((at(policy.properties.PolicyDocument, 'Statement') as Json[]).some((one) => at(one, 'Effect') === 'Allow' && at(one, 'Action') === 'sqs:SendMessage' && at(one, 'Principal', 'Service') === 's3.amazonaws.com'), `S3 may not tell ${queue.id}`);
    w.passed.push(`${bucket.id} → ${queue.id}`);
    return queue;
  };
  /** A function that a queue calls. */
  const calledBy = (queue: Found, called: Found) => {
    const source = w.one('AWS::Lambda::EventSourceMapping', `what reads ${queue.id}`, ({ stack, properties }) => w.targets(properties.EventSourceArn, stack)[0]?.id === queue.id);
    w.to(source, source.properties.FunctionName, called, 'the function');
    w.allows(called, called.properties.Role, 'sqs:ReceiveMessage', queue);
    w.allows(called, called.properties.Role, 'sqs:DeleteMessage', queue);
  };
  const everySoOften = (called: Found) => {
    const beat = w.one('AWS::Scheduler::Schedule', `what calls ${called.id}`, ({ stack, properties }) => w.targets(at(properties.Target, 'Arn'), stack)[0]?.id === called.id);
    w.allows(beat, at(beat.properties.Target, 'RoleArn'), 'lambda:InvokeFunction', called);
  };

  const schedule = w.functionNamed('schedule');
  const notices = noticed(word(at(live.properties.ExtendedS3DestinationConfiguration, 'Prefix')));
  w.to(schedule, variable(schedule, 'NOTICES_QUEUE'), notices, 'NOTICES_QUEUE');
  w.allows(schedule, schedule.properties.Role, 'sqs:ReceiveMessage', notices);
  everySoOften(schedule);
  w.to(schedule, variable(schedule, 'DELIVERY_STREAM'), live, 'DELIVERY_STREAM');
  const [tasks] = w.targets(variable(schedule, 'TASKS_QUEUE'), schedule.stack) as [Found];
  w.allows(schedule, schedule.properties.Role, 'sqs:SendMessage', tasks);

  const rollup = w.functionNamed('rollup');
  calledBy(tasks, rollup);
  const workgroup = w.one('AWS::Athena::WorkGroup', 'the workgroup');
  assert.equal(variable(rollup, 'WORKGROUP'), workgroup.properties.Name);
  w.allows(rollup, rollup.properties.Role, 'athena:StartQueryExecution', `:workgroup/${word(workgroup.properties.Name)}`);
  w.to(workgroup, at(workgroup.properties.WorkGroupConfiguration, 'ResultConfiguration', 'OutputLocation'), bucket, 'the place of results');
  const database = w.one('AWS::Glue::Database', 'the database');
  w.to(rollup, variable(rollup, 'DATABASE'), database, 'DATABASE');
  for (const table of w.all('AWS::Glue::Table')) {
    w.to(table, table.properties.DatabaseName, database, 'the database');
    w.to(table, at(table.properties.TableInput, 'StorageDescriptor', 'Location'), bucket, 'the location');
    w.allows(rollup, rollup.properties.Role, 'glue:GetTable', table);
    w.allows(rollup, rollup.properties.Role, 's3:GetObject', bucket, `/${word(at(table.properties.TableInput, 'Name'))}/*`);
  }
  const load = w.functionNamed('load');
  w.to(rollup, variable(rollup, 'LOAD_FUNCTION'), load, 'LOAD_FUNCTION');
  w.allows(rollup, rollup.properties.Role, 'lambda:InvokeFunction', load);
  w.allows(load, load.properties.Role, 's3:GetObject', bucket, `/${PREFIXES.items}*`);

  const [metrics] = w.targets(variable(load, 'METRICS_TABLE'), load.stack) as [Found];
  w.allows(load, load.properties.Role, 'dynamodb:BatchWriteItem', metrics);
  const serve = w.functionNamed('serve');
  w.to(serve, variable(serve, 'METRICS_TABLE'), metrics, 'METRICS_TABLE');
  w.allows(serve, serve.properties.Role, 'dynamodb:Query', metrics);

  const route = w.one('AWS::ApiGatewayV2::Route', 'stats', ({ properties }) => properties.RouteKey === 'GET /v1/sites/{site}/stats');
  const [integration] = w.targets(route.properties.Target, route.stack).filter(({ resource }) => resource.Type === 'AWS::ApiGatewayV2::Integration') as [Found];
  const alias = w.one('AWS::Lambda::Alias', 'the readers');
  w.to(integration, integration.properties.IntegrationUri, alias, 'the function');
  const permission = w.one('AWS::Lambda::Permission', 'the API\'s permission', ({ stack, properties }) => w.targets(properties.FunctionName, stack)[0]?.id === alias.id);
  w.to(permission, permission.properties.SourceArn, w.one('AWS::ApiGatewayV2::Api', 'the API'), 'the source');
  const [version] = w.targets(at(alias.properties, 'FunctionVersion'), alias.stack) as [Found];
  w.to(version, version.properties.FunctionName, serve, 'the version');

  // What goes round again: set aside, skipped, replayed.
  const retry = w.functionNamed('retry');
  calledBy(noticed(`${SKIPPED}dt=2026-11-20/`), retry);
  const reprocess = w.functionNamed('reprocess');
  everySoOften(reprocess);
  const name = word(replay.properties.DeliveryStreamName);
  for (const sender of [transform, retry, reprocess]) {
    assert.equal(variable(sender, 'REPLAY_STREAM'), name, `${sender.id}: REPLAY_STREAM is not ${replay.id}`);
    w.allows(sender, sender.properties.Role, 'firehose:PutRecordBatch', `:deliverystream/${name}`);
  }
  w.to(reprocess, variable(reprocess, 'TASKS_QUEUE'), tasks, 'TASKS_QUEUE');
  return w.passed;
}

test('An event finds its way from the door to the answer, in both environments', () => {
  for (const name of ['small', 'large'] as const) assert.ok(walk(synthesised(name).templates).length > 25);
});

/** Breaks one wire in a copy of the templates: how, and what the walk says of it. */
const BREAKS: [wire: string, broken: (w: Walk, templates: Templates) => void, says: RegExp][] = [
  ['a door\'s template', (w) => { for (const { properties } of w.all('AWS::ApiGateway::Method')) if (properties.HttpMethod === 'POST') (properties.Integration as Record<string, Json>).RequestTemplates = { 'text/plain': '{"StreamName": "%STREAM%"}' }; }, /a request template does not lead to/],
  ['the door\'s permission', (w) => { replaceAction(w, 'kinesis:PutRecord', 'kinesis:PutRecords'); }, /does not allow kinesis:PutRecord/],
  ['the source of the live delivery stream', (w) => { for (const { properties } of w.all('AWS::KinesisFirehose::DeliveryStream')) if (properties.KinesisStreamSourceConfiguration) (properties.KinesisStreamSourceConfiguration as Record<string, Json>).KinesisStreamARN = 'arn:aws:kinesis:us-east-1:1:stream/other'; }, /the source does not lead to/],
  ['a function\'s call by Firehose', (w) => { replaceAction(w, 'lambda:InvokeFunction', 'lambda:GetFunction'); }, /does not allow lambda:InvokeFunction/],
  ['the notices of the lake', (w) => { for (const { properties } of w.all('AWS::S3::Bucket')) if (properties.NotificationConfiguration) (at(properties.NotificationConfiguration, 'QueueConfigurations', 0, 'Filter', 'S3Key', 'Rules', 0) as Record<string, Json>).Value = 'event/'; }, /0 queues are told of events/],
  ['what S3 may tell', (w) => { for (const { properties } of w.all('AWS::SQS::QueuePolicy')) for (const one of at(properties.PolicyDocument, 'Statement') as Record<string, Json>[]) if (one.Effect === 'Allow') one.Principal = { Service: 'sns.amazonaws.com' }; }, /S3 may not tell/],
  ['the queue of notices', (w) => { swap(w, 'schedule', 'NOTICES_QUEUE', 'TASKS_QUEUE'); }, /NOTICES_QUEUE does not lead to/],
  ['the beat of the schedule', (w) => { for (const { resource } of w.all('AWS::Scheduler::Schedule')) resource.Type = 'AWS::Events::Rule'; }, /what calls .*: 0 of/],
  ['the reader of tasks', (w) => { for (const { resource } of w.all('AWS::Lambda::EventSourceMapping')) resource.Type = 'AWS::Lambda::Url'; }, /what reads .*: 0 of/],
  ['the workgroup', (w) => { for (const { properties } of w.all('AWS::Athena::WorkGroup')) properties.Name = 'primary'; }, /primary/],
  ['the load function', (w) => { swap(w, 'rollup', 'LOAD_FUNCTION', 'BUCKET'); }, /LOAD_FUNCTION does not lead to/],
  ['the table that is read', (w) => { swap(w, 'serve', 'METRICS_TABLE', 'REGISTRY_TABLE'); }, /METRICS_TABLE does not lead to/],
  ['an output of the data stack', (_, templates) => { for (const template of Object.values(templates)) delete template.Outputs; }, /has no output/],
  ['the replay delivery stream\'s name', (w) => { for (const { properties } of w.all('AWS::KinesisFirehose::DeliveryStream')) if (properties.DeliveryStreamName) properties.DeliveryStreamName = 'renamed'; }, /REPLAY_STREAM is not/],
];

function replaceAction(w: Walk, from: string, to: string): void {
  for (const { properties } of w.all('AWS::IAM::Role')) properties.Policies = JSON.parse(JSON.stringify(properties.Policies ?? []).replaceAll(`"${from}"`, `"${to}"`)) as Json;
}

function swap(w: Walk, name: string, one: string, other: string): void {
  const variables = at(w.functionNamed(name).properties.Environment, 'Variables') as Record<string, Json>;
  [variables[one], variables[other]] = [variables[other]!, variables[one]!];
}

for (const [wire, broken, says] of BREAKS) {
  test(`The walk does not get past a broken wire: ${wire}`, () => {
    const templates = structuredClone(synthesised('small').templates);
    broken(new Walk(templates), templates);
    assert.throws(() => walk(templates), says);
  });
}
