// The command `npm run cost -- --events-per-day 1e9 --per-request 10`: makes the stacks in memory, reads from their
// templates what a bill depends on, and prints what each service costs a day. next: lib/cost.ts
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { Code } from 'aws-cdk-lib/aws-lambda';
import { Command, InvalidArgumentError, Option } from 'commander';
import { ENVIRONMENT, PREFIXES } from '../lambdas/environment.ts';
import { LOAD, costOf, loadOf, shardsFor, trafficOf, type Facts, type Line, type Load } from '../lib/cost.ts';
import { DataStack } from '../lib/data.ts';
import { PRICES, PRICES_OF } from '../lib/prices.ts';
import { ServiceStack } from '../lib/service.ts';
import { resolved, type Settings } from '../lib/settings.ts';
import { isMain } from '../local/main.ts';
import { ENVIRONMENTS, type EnvironmentName } from './footfall.ts';

/** What of a template is looked at. */
export interface Template { Resources: Record<string, { Type: string; Properties?: unknown }> }

/** The templates of an environment with some settings changed, made in memory; nothing is asked of AWS, and no code is built. */
export function templatesOf(environment: EnvironmentName, changed: Settings = {}): Template[] {
  const { context } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'cdk.json'), 'utf8')) as { context: Record<string, unknown> };
  const outdir = mkdtempSync(join(tmpdir(), 'footfall-cost-'));
  try {
    const app = new App({ outdir, context });
    const settings = resolved({ ...ENVIRONMENTS[environment], ...changed });
    const data = new DataStack(app, 'data', settings);
    const folder = join(outdir, 'pages');
    mkdirSync(folder);
    const service = new ServiceStack(app, 'service', { data, settings, code: () => Code.fromInline('exports.handler = async () => {};'), pages: { folder, snippet: '' } });
    const assembly = app.synth({ skipValidation: true });
    return [data, service].map(({ stackName }) => assembly.getStackByName(stackName).template as Template);
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}

const LOGGED_VALUE = 6;
const AROUND_LOG_LINE = 26;
const METRICS_OF_METHOD = 5;

/** Reads the templates of both stacks. Throws where they lack something the model needs, by its name. */
export function factsOf(...templates: readonly Template[]): Facts {
  const resources = templates.flatMap(({ Resources }) => Object.entries(Resources).map(([id, { Type, Properties }]) => ({ id, Type, Properties })));
  const all = (type: string) => resources.filter(({ Type }) => Type === type);
  const one = (type: string, wanted: (properties: unknown) => boolean = () => true) => {
    const found = all(type).find(({ Properties }) => wanted(Properties));
    if (!found) throw new Error(`the templates have no ${type} of the kind the cost model needs`);
    return found.Properties;
  };
  const need = (value: unknown, what: string): number => {
    if (typeof value !== 'number' || !Number.isFinite(value)) throw new Error(`${what} ${JSON.stringify(value)}: the cost model needs a number`);
    return value;
  };
  const logLine = (settings: unknown) => {
    const format = at(settings, 'Format');
    return typeof format === 'string' ? format.replaceAll(/\$context\.[\w.]+/g, 'x'.repeat(LOGGED_VALUE)).length + AROUND_LOG_LINE : 0;
  };

  const stage = one('AWS::ApiGateway::Stage');
  one('AWS::ApiGateway::RestApi');
  const stream = one('AWS::Kinesis::Stream');
  const onDemand = at(stream, 'StreamModeDetails', 'StreamMode') === 'ON_DEMAND';
  const live = at(one('AWS::KinesisFirehose::DeliveryStream', (properties) => at(properties, 'DeliveryStreamType') === 'KinesisStreamAsSource'), 'ExtendedS3DestinationConfiguration');
  const processor = (name: string) => Number((at(live, 'ProcessingConfiguration', 'Processors', '0', 'Parameters') as { ParameterName: string; ParameterValue: string }[] | undefined)?.find(({ ParameterName }) => ParameterName === name)?.ParameterValue);
  const tables = all('AWS::DynamoDB::GlobalTable');
  one('AWS::DynamoDB::GlobalTable');
  for (const { id, Properties } of tables) if (at(Properties, 'BillingMode') !== 'PAY_PER_REQUEST') throw new Error(`${id} BillingMode ${String(at(Properties, 'BillingMode'))}: the cost model knows PAY_PER_REQUEST only`);
  const rules = (at(one('AWS::S3::Bucket', (properties) => at(properties, 'LifecycleConfiguration') !== undefined), 'LifecycleConfiguration', 'Rules') as unknown[]);
  const functionsIn = Object.keys(ENVIRONMENT).map((name) => {
    const found = all('AWS::Lambda::Function').find(({ id }) => new RegExp(`${name}[0-9A-F]{8}$`, 'i').test(id));
    if (!found) throw new Error(`the templates have no function ${name}`);
    const alias = all('AWS::Lambda::Alias').find(({ Properties }) => at(Properties, 'FunctionName', 'Ref') === found.id);
    const warm = Number(at(alias?.Properties, 'ProvisionedConcurrencyConfig', 'ProvisionedConcurrentExecutions') ?? 0);
    return [name, { id: found.id, GB: need(at(found.Properties, 'MemorySize'), `MemorySize of ${name}`) / 1024, warm }] as const;
  });
  const beat = (name: string) => {
    const id = functionsIn.find(([other]) => other === name)![1].id;
    const expression = String(at(one('AWS::Scheduler::Schedule', (properties) => at(properties, 'Target', 'Arn', 'Fn::GetAtt', '0') === id), 'ScheduleExpression'));
    const [, minutes, unit] = /^rate\((\d+) (minute|hour)s?\)$/.exec(expression) ?? [];
    if (minutes === undefined) throw new Error(`schedule of ${name} ${expression}: the cost model knows rate(… minutes) and rate(… hours)`);
    return Number(minutes) * (unit === 'hour' ? 60 : 1);
  };
  return {
    doors: {
      kind: 'REST',
      metrics: at(stage, 'MethodSettings', '0', 'MetricsEnabled') === true ? all('AWS::ApiGateway::Method').length * METRICS_OF_METHOD : 0,
      logLine: logLine(at(stage, 'AccessLogSetting')),
    },
    api: { logLine: logLine(at(one('AWS::ApiGatewayV2::Stage'), 'AccessLogSettings')) },
    stream: { shards: onDemand ? undefined : need(at(stream, 'ShardCount'), 'ShardCount of the stream'), retentionHours: need(at(stream, 'RetentionPeriodHours') ?? 24, 'RetentionPeriodHours of the stream') },
    live: {
      converts: at(live, 'DataFormatConversionConfiguration', 'Enabled') !== false && at(live, 'DataFormatConversionConfiguration') !== undefined,
      partitions: at(live, 'DynamicPartitioningConfiguration', 'Enabled') === true,
      backup: at(live, 'S3BackupMode') === 'Enabled',
      seconds: need(at(live, 'BufferingHints', 'IntervalInSeconds'), 'IntervalInSeconds of the live delivery stream'),
      MiB: need(at(live, 'BufferingHints', 'SizeInMBs'), 'SizeInMBs of the live delivery stream'),
      batchSeconds: need(processor('BufferIntervalInSeconds'), 'BufferIntervalInSeconds of the transform'),
      batchMiB: need(processor('BufferSizeInMBs'), 'BufferSizeInMBs of the transform'),
    },
    functions: Object.fromEntries(functionsIn.map(([name, { GB, warm }]) => [name, { GB, warm }])) as Facts['functions'],
    beats: { schedule: beat('schedule'), reprocess: beat('reprocess') },
    recovery: tables.some(({ Properties }) => at(Properties, 'Replicas', '0', 'PointInTimeRecoverySpecification', 'PointInTimeRecoveryEnabled') === true),
    rawDays: need(at(rules.find((rule) => at(rule, 'Prefix') === PREFIXES.raw), 'ExpirationInDays'), `ExpirationInDays of ${PREFIXES.raw}`),
    logDays: need(at(one('AWS::Logs::LogGroup'), 'RetentionInDays'), 'RetentionInDays of the logs'),
    pages: all('AWS::CloudFront::Distribution').length > 0,
    queues: all('AWS::Lambda::EventSourceMapping').length,
    alarmMetrics: all('AWS::CloudWatch::Alarm').reduce((sum, { Properties }) => {
      const metrics = (at(Properties, 'Metrics') ?? []) as unknown[];
      return sum + Math.max(1, metrics.filter((metric) => at(metric, 'MetricStat') !== undefined).length);
    }, 0),
    dashboards: all('AWS::CloudWatch::Dashboard').length,
  };
}

function at(value: unknown, ...path: string[]): unknown {
  return path.reduce<unknown>((inner, step) => (inner as Record<string, unknown> | undefined)?.[step], value);
}

/** What `--without` leaves out of the facts: no setting does so. */
const WITHOUT: Record<string, (facts: Facts) => Facts> = {
  'door-log': (facts) => ({ ...facts, doors: { ...facts.doors, logLine: 0 } }),
  backup: (facts) => ({ ...facts, live: { ...facts.live, backup: false } }),
};

interface Options extends Partial<Load> { environment: EnvironmentName; shards?: number; scheduleMinutes?: number; deliverySeconds?: number; door?: 'http'; without: string[]; json?: true }

const number = (text: string): number => {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It accepts a number such as 1e9.');
  return value;
};
const flagOf = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function optionsOf(argv: readonly string[]): Options {
  const command = new Command('cost')
    .usage('-- [options]')
    .description("What a deployment costs a day, by AWS's list prices for us-east-1.")
    .addOption(new Option('--environment <name>', 'of bin/footfall.ts').choices(Object.keys(ENVIRONMENTS)).default('large'))
    .option('--shards <n>', 'a stream of so many shards (default: as the environment says)', number)
    .option('--schedule-minutes <n>', 'minutes between two looks at what is due (default: as the environment says)', number)
    .option('--delivery-seconds <n>', 'seconds that rows are collected for an object (default: as the environment says)', number)
    .addOption(new Option('--door <kind>', 'price the browser doors as an HTTP API, which there is none of yet').choices(['http']))
    .addOption(new Option('--without <what...>', 'leave out').choices(Object.keys(WITHOUT)).default([]))
    .option('--json', 'print JSON');
  for (const [name, [value, text]] of Object.entries(LOAD)) command.option(`--${flagOf(name)} <n>`, text.includes('default') ? text : `${text} (default: ${value})`, number);
  return command.parse([...argv], { from: 'user' }).opts<Options>();
}

/** The busiest second is supposed to have so many times the average. */
const BUSIEST = 2.5;

const dollars = (value: number): string => (value > 0 && value < 0.005 ? '< 0.01' : value.toFixed(2));
const perMillion = (value: number, { eventsPerDay }: Load): string => (eventsPerDay === 0 ? '–' : ((value / eventsPerDay) * 1e6).toFixed(4));

/** The lines as a table with the sum of each service, and then the load it holds for. */
function tableOf(lines: readonly Line[], load: Load): string[] {
  const total = lines.reduce((sum, line) => sum + line.dollars, 0);
  const row = (name: string, value: number) => `| ${name} | ${dollars(value)} | ${perMillion(value, load)} | ${((100 * value) / total).toFixed(1)} % |`;
  const table = ['| | $ a day | $ per million events | share |', '|---|---:|---:|---:|'];
  for (const service of new Set(lines.map((line) => line.service))) {
    const own = lines.filter((line) => line.service === service && line.dollars > 0);
    table.push(row(`**${service}**`, own.reduce((sum, line) => sum + line.dollars, 0)), ...own.map((line) => row(line.what, line.dollars)));
  }
  return [...table, row('**all**', total)];
}

function print(facts: Facts, load: Load, lines: readonly Line[], { environment, door, without }: Options): void {
  const { stream, beats, doors, live } = facts;
  const traffic = trafficOf(facts, load);
  const shards = shardsFor(facts, load, BUSIEST);
  const few = stream.shards !== undefined && stream.shards < shards ? `; ${stream.shards} are too few` : '';
  const count = (value: number, digits = 3) => value.toLocaleString('en-US', { maximumSignificantDigits: digits });
  process.stdout.write(`${[
    `Environment ${environment}: ${doors.kind} doors${door ? ' (supposed)' : ''}, ${stream.shards === undefined ? 'stream on demand' : `${stream.shards} shards`}, delivery every ${live.seconds} s, schedule every ${beats.schedule} minutes${without.length > 0 ? `, without ${without.join(' and ')}` : ''}. Prices of ${PRICES_OF}, us-east-1.`,
    '',
    ...tableOf(lines, load),
    '',
    `${dollars(lines.reduce((sum, line) => sum + line.dollars, 0) * 30)} $ in 30 days.`,
    `Records of ${count(traffic.recordBytes, 4)} bytes, ${count(traffic.records)} a day; ${count(traffic.runs)} runs of hours with ${count(traffic.queries)} queries that read ${count(traffic.scanned / 2 ** 40)} TB; ${count(traffic.items)} items in ${count(traffic.writeUnits)} write units.`,
    `The stream needs ${shards} ${shards === 1 ? 'shard' : 'shards'}, where the busiest second has ${BUSIEST} times the average${few}.`,
    '',
    'The load:',
    ...Object.entries(LOAD).map(([name, [, text]]) => `  ${`--${flagOf(name)}`.padEnd(22)} ${load[name as keyof Load].toLocaleString('en-US').padStart(15)}  ${text}`),
  ].join('\n')}\n`);
}

function main(): void {
  const options = optionsOf(process.argv.slice(2));
  const { environment, shards, scheduleMinutes, deliverySeconds, door, without } = options;
  const changed = { ...(shards !== undefined && { shards }), ...(scheduleMinutes !== undefined && { scheduleMinutes }), ...(deliverySeconds !== undefined && { deliverySeconds }) };
  const load = loadOf(Object.fromEntries(Object.entries(options).filter(([name]) => Object.hasOwn(LOAD, name))));
  let facts = factsOf(...templatesOf(environment, changed));
  if (door) facts = { ...facts, doors: { ...facts.doors, kind: 'HTTP' } };
  for (const what of without) facts = WITHOUT[what]!(facts);
  const lines = costOf(facts, load);
  if (options.json) process.stdout.write(`${JSON.stringify({ pricesOf: PRICES_OF, environment, load, facts, lines, prices: PRICES }, null, 2)}\n`);
  else print(facts, load, lines, options);
}

if (isMain(import.meta.filename)) {
  try {
    main();
  } catch (error) {
    process.stderr.write(`cost: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
