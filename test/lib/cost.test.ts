// The cost model: small loads whose bill is worked out by hand, and that a change of the templates changes the bill.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { factsOf, templatesOf, type Template } from '../../bin/cost.ts';
import { LOAD, costOf, distinctSites, itemBytes, loadOf, overSites, roundedUp, runsOfHour, shardsFor, tieredADay, trafficOf, writeUnits, type Facts, type Line, type Load } from '../../lib/cost.ts';
import { PRICES } from '../../lib/prices.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const SMALL = templatesOf('small');
const small = factsOf(...SMALL);
const GiB = 1024 ** 3;

/** Dollars a day of a service, or of one of its lines. */
function dollars(lines: readonly Line[], service?: string, what?: string): number {
  return lines.filter((line) => (service === undefined || line.service === service) && (what === undefined || line.what === what)).reduce((sum, line) => sum + line.dollars, 0);
}
const cost = (facts: Facts, given: Partial<Load>, service?: string, what?: string) => dollars(costOf(facts, loadOf(given)), service, what);
function near(actual: number, expected: number, what = ''): void {
  assert.ok(Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected)), `${what} ${actual}, by hand ${expected}`);
}

/** A million requests a day of one event, whose record has just so many bytes. */
const ofBytes = (bytes: number): Partial<Load> => ({ eventsPerDay: 1e6, perRequest: 1, eventBytes: bytes - 100, escaping: 1, envelopeBytes: 100 });

test('The templates of the small environment say what the settings and the constructs do', () => {
  assert.equal(small.doors.kind, 'REST');
  assert.deepEqual(small.stream, { shards: undefined, retentionHours: 48 });
  assert.deepEqual(small.live, { converts: true, partitions: true, backup: true, seconds: 60, MiB: 128, batchSeconds: 60, batchMiB: 1 });
  assert.deepEqual(small.beats, { schedule: 5, reprocess: 1 });
  assert.deepEqual([small.functions.transform, small.functions.load.GB, small.functions.serve.warm], [{ GB: 1, warm: 0 }, 1769 / 1024, 0]);
  assert.deepEqual([small.rawDays, small.logDays, small.recovery, small.pages, small.queues, small.dashboards], [30, 30, true, true, 2, 1]);
});

test('A tiered price is taken step by step, by the month', () => {
  const steps = { tiers: [[100, 3], [200, 2], [Infinity, 1]] as const, unit: 'thing', source: 'memory' as const };
  // 10 a day are 300 a month: 100 for 3, 100 for 2, 100 for 1 are 600, which is 20 a day.
  near(tieredADay(steps, 10), 20);
  near(tieredADay(steps, 1), 30 * 3 / 30);
  near(tieredADay(steps, 0), 0);
});

test('REST requests at a billion a month cost 3.50 for the first third and 2.80 for the rest', () => {
  near(cost(small, { eventsPerDay: 1e9 / 30, perRequest: 1 }, 'API Gateway', 'browser doors'), (333 * 3.5 + 667 * 2.8) / 30);
  const http = { ...small, doors: { ...small.doors, kind: 'HTTP' as const } };
  near(cost(http, { eventsPerDay: 1e9 / 30, perRequest: 1 }, 'API Gateway', 'browser doors'), (300 * 1 + 700 * 0.9) / 30);
});

test('Each record into a stream on demand is rounded up to a KB; what comes out is not', () => {
  assert.deepEqual([1, 1024, 1025].map((bytes) => roundedUp(bytes, 1024)), [1024, 1024, 2048]);
  near(cost(small, ofBytes(1024), 'Kinesis', 'records in'), 0.08 * 1e6 * 1024 / GiB);
  near(cost(small, ofBytes(1025), 'Kinesis', 'records in'), 0.08 * 1e6 * 2048 / GiB);
  near(cost(small, ofBytes(1025), 'Kinesis', 'records out'), 0.04 * 1e6 * 1025 / GiB);
  // A second day of what a day brings, by the month.
  near(cost(small, ofBytes(1025), 'Kinesis', 'kept longer than a day'), 0.1 * 1e6 * 2048 / GiB / 30);
  near(cost(small, { eventsPerDay: 0 }, 'Kinesis'), 24 * 0.04);
});

test('Shards cost by the hour, and records by units of 25 KB', () => {
  const sharded = factsOf(...templatesOf('small', { shards: 3 }));
  near(cost(sharded, ofBytes(1025), 'Kinesis', 'shards'), 3 * 24 * 0.015);
  near(cost(sharded, ofBytes(25 * 1024), 'Kinesis', 'records in'), 0.014);
  near(cost(sharded, ofBytes(25 * 1024 + 1), 'Kinesis', 'records in'), 2 * 0.014);
  near(cost(sharded, ofBytes(1025), 'Kinesis', 'kept longer than a day'), 3 * 24 * 0.02);
  // 12,000 records a second of a tenth of a KB need 12 shards by their number, 2,000 of 3 MiB in all need 6 by their size.
  assert.equal(shardsFor(small, loadOf({ ...ofBytes(102.4), eventsPerDay: 12_000 * 86_400 }), 1), 12);
  assert.equal(shardsFor(small, loadOf({ ...ofBytes(3 * 1024 ** 2 / 2000), eventsPerDay: 2000 * 86_400 }), 2), 6);
});

test('Firehose and its conversion are paid by steps of 5 KB a record, partitions by the rows', () => {
  near(cost(small, ofBytes(5 * 1024), 'Firehose', 'delivery'), 0.029 * 1e6 * 5 * 1024 / GiB);
  near(cost(small, ofBytes(5 * 1024 + 1), 'Firehose', 'delivery'), 0.029 * 1e6 * 10 * 1024 / GiB);
  near(cost(small, ofBytes(101), 'Firehose', 'conversion to Parquet'), 0.018 * 1e6 * 5 * 1024 / GiB);
  // 1440 minutes a day, an object of each of two hours: more than the million events of 100 bytes would fill.
  near(cost(small, { ...ofBytes(1000), rowBytes: 100 }, 'Firehose', 'partitions by hour'), 0.02 * 1e6 * 100 / GiB + 0.005 * 2880 / 1000);
});

test('A put is paid by started KB of the item before or after it, whichever is larger', () => {
  assert.deepEqual([[0, 1], [1024, 1], [1, 1025], [3000, 10], [10, 3000]].map(([before, after]) => writeUnits(before!, after)), [1, 1, 2, 3, 3]);
});

test('The size of an item lies between the sizes that were measured', () => {
  assert.equal(itemBytes('hour', 1), 137);
  assert.equal(itemBytes('hour', 2), 157); // Half-way from 137 at 1 to 177 at 3.
  assert.equal(itemBytes('breakdowns', 225), 2_404 + (50 / 170) * 954);
  assert.equal(itemBytes('breakdowns', 1e9), 8_310);
  assert.equal(itemBytes('day', 0), 105);
});

test('One site that never rests is written at each run: hour, day and breakdowns', () => {
  // 2,400,000 events a day of one site: its items are the largest measured ones, of 3, 1 and 9 started KB.
  const traffic = trafficOf(small, loadOf({ eventsPerDay: 2_400_000, sites: 1 }));
  const runs = runsOfHour(5, 2).length;
  assert.equal(runs, 13);
  near(traffic.writeUnits, 24 * runs * (3 + 1 + 9));
  near(traffic.items, 24 * runs * 3);
  near(cost(small, { eventsPerDay: 2_400_000, sites: 1 }, 'DynamoDB', 'items written'), 0.625 * (24 * 13 * 13 + 24 * 13 * 20) / 1e6);
});

test('An hour is rolled up as often as the schedule finds something new of it, the last time after its end', () => {
  assert.deepEqual(runsOfHour(15, 6), [
    { minutes: 9, seen: 9 / 60 }, { minutes: 15, seen: 24 / 60 }, { minutes: 15, seen: 39 / 60 }, { minutes: 15, seen: 54 / 60 }, { minutes: 6, seen: 1 },
  ]);
  assert.deepEqual(runsOfHour(60, 0), [{ minutes: 60, seen: 1 }]);
  for (const schedule of [1, 5, 7, 15, 60]) for (const delay of [0, 2, 6, 16]) near(runsOfHour(schedule, delay).reduce((sum, { minutes }) => sum + minutes, 0), 60);
});

test('Sites have parts that add up to one, the largest n times that of the n-th', () => {
  for (const sites of [1, 3, 1000, 1e6]) near(overSites(sites, (part) => part), 1);
  const parts: number[] = [];
  overSites(3, (part) => parts.push(part));
  // 1 + 1/2 + 1/3 = 11/6.
  parts.forEach((part, i) => { near(part, [6 / 11, 3 / 11, 2 / 11][i]!); });
  near(distinctSites(1, 5), 1 - Math.exp(-5));
  // By each rank on its own instead of in groups; these may differ by what ranks of a group differ.
  const harmonic = Array.from({ length: 20_000 }, (_, i) => 1 / (i + 1)).reduce((sum, weight) => sum + weight, 0);
  const exact = Array.from({ length: 20_000 }, (_, i) => 1 - Math.exp(-5000 / (harmonic * (i + 1)))).reduce((sum, part) => sum + part, 0);
  assert.ok(Math.abs(distinctSites(20_000, 5000) / exact - 1) < 0.001);
});

test('A query of Athena is paid for 10 MB at least, five dollars a TB', () => {
  // One event a day of one site, in each run with a chance of 1 − e^(−minutes ÷ 1440 ÷ 5): its 13 runs have 5 + 2 + 2 queries.
  const load = loadOf({ eventsPerDay: 1, perRequest: 1, sites: 1 });
  const happen = runsOfHour(5, 2).reduce((sum, { minutes }) => sum + 24 * (1 - Math.exp(-minutes / 1440 / 5)), 0);
  const traffic = trafficOf(small, load);
  near(traffic.queries, happen * 9);
  near(traffic.scanned, happen * 9 * 10_000_000);
  near(dollars(costOf(small, load), 'Athena'), 5 * happen * 9 * 10_000_000 / 1024 ** 4);
});

test("An hour's queries read its own rows 6.1 times as far as they are there, the hour's before 3.9 times, and runs", () => {
  // 2.4 billion events of one site are 100 million an hour; each run has one slice for each of two local days.
  const traffic = trafficOf(small, loadOf({ eventsPerDay: 2.4e9, sites: 1, parquetBytes: 40, runBytes: 10 }));
  const [rows, run] = [1e8 * 40, 1e8 * 10];
  const byHand = runsOfHour(5, 2).reduce((sum, { seen }) => sum + 24 * (rows * (6.1 * seen + 3.9) + run * 3.1 * seen + 5 * 10_000_000 + 2 * 26 * 1.1 * run), 0);
  near(traffic.scanned / byHand, 1);
});

test('The tables are paid for looking up sites, for reads, and for what they keep with its recovery', () => {
  // One site and a request a minute: a look-up in 1 − 1/e of the minutes.
  near(cost(small, { eventsPerDay: 1440, perRequest: 1, sites: 1 }, 'DynamoDB', 'sites looked up by the transform'), 0.125 * 1440 * (1 - Math.exp(-1)) / 1e6);
  // 3 look-ups and 30 days of 1 event, 105 bytes each, that are one unit: four halves for each read.
  near(cost(small, { eventsPerDay: 1000, sites: 1000, readsPerSite: 1e6 }, 'DynamoDB', 'reads'), 0.125 * 1e9 * 2 / 1e6);
  // A site that never rests keeps 24 items of hours of 2,151 bytes, a day of 512 and breakdowns of 8,310.
  const kept = (24 * 2_151 + 512 + 8_310) * 30 / GiB / 30;
  near(cost(small, { eventsPerDay: 2_400_000, sites: 1 }, 'DynamoDB', 'items kept'), kept * (0.25 + 0.2));
  near(cost({ ...small, recovery: false }, { eventsPerDay: 2_400_000, sites: 1 }, 'DynamoDB', 'items kept'), kept * 0.25);
});

test('A deployment where nothing happens polls its queues, beats, and says so in its logs', () => {
  const idle = { eventsPerDay: 0 };
  // Two queues, five polls of 20 seconds each; 288 and 1,440 beats; 12 requests for notices at each of the 288.
  near(cost(small, idle, 'SQS and Scheduler', 'tasks'), 0.5 * 2 * 5 * 3 * 1440 / 1e6);
  near(cost(small, idle, 'SQS and Scheduler', 'beats'), (288 + 1440) / 1e6);
  near(cost(small, idle, 'SQS and Scheduler', 'notices'), 0.4 * 288 * 12 / 1e6);
  near(cost(small, idle, 'CloudWatch', 'logs of functions'), (288 + 1440) * 1200 / GiB * (0.5 + 0.03 / 7));
  near(cost(small, idle, 'S3') + cost(small, idle, 'Athena') + cost(small, idle, 'Firehose') + cost(small, idle, 'DynamoDB'), 0);
});

test("Each slice of a day reads all of the day's runs again", () => {
  const [once, ten] = [1_000_000, 39_000].map((sitesPerSlice) => trafficOf(small, loadOf({ eventsPerDay: 1e9, sites: 1e6, sitesPerSlice })));
  const slices = ({ queries, runs }: { queries: number; runs: number }) => queries / runs - 7;
  near(slices(once!), 2);
  assert.ok(slices(ten!) > 4);
  // Runs of 11 bytes an event, 26 hours of a 24th of the day's, a tenth more for the sketches.
  near(ten!.scanned - once!.scanned, (ten!.queries - once!.queries) * 26 * (1e9 / 24) * 11 * 1.1);
});

test('A function is paid by GB-seconds and calls: the transform by its events', () => {
  // A million records of 1,049 bytes are 1,000.4 buffers of a MiB, fewer than one a minute: 1,440 calls of 10 ms besides 33 s of work.
  near(cost(small, ofBytes(1049), 'Lambda', 'transform'), 0.0000133334 * 1 * (33 + 1440 * 0.01) + 0.2 * 1440 / 1e6);
  // Serving has half a GB: 40 ms for each of 2 reads of 1,000 sites.
  near(cost(small, ofBytes(1049), 'Lambda', 'reads'), 0.0000133334 * 0.5 * 2000 * 0.04 + 0.2 * 2000 / 1e6);
  // A query is 6 s of waiting; items are loaded by 20 at once, 300 µs each; 288 looks of 5 s with half a GB, and 1,440 of 0.3 s with one.
  const { queries, items, runs, loadCalls } = trafficOf(small, loadOf(ofBytes(1049)));
  near(cost(small, ofBytes(1049), 'Lambda', 'rollup'), 0.0000133334 * (6 * queries + items * 0.0003 / 20) + 0.2 * runs * 3 / 1e6);
  near(cost(small, ofBytes(1049), 'Lambda', 'load'), 0.0000133334 * (1769 / 1024) * (items * 0.0003 + loadCalls * 0.05) + 0.2 * loadCalls / 1e6);
  near(cost(small, { eventsPerDay: 0 }, 'Lambda', 'schedule and jobs'), 0.0000133334 * (288 * 5 * 0.5 + 1440 * 0.3) + 0.2 * (288 + 1440) / 1e6);
  near(cost(factsOf(...templatesOf('small', { warmReaders: 4 })), { eventsPerDay: 0 }, 'Lambda', 'kept warm'), 0.0000033334 * 4 * 0.5 * 86_400);
});

test('S3 keeps records for their days and rows for months', () => {
  const load = { ...ofBytes(1000), rawRatio: 4, parquetBytes: 40, runBytes: 10, months: 2 };
  near(cost(small, load, 'S3', 'records as they came'), 0.023 * 1e6 * 250 * 30 / GiB / 30);
  near(cost(small, load, 'S3', 'rows and runs'), 0.023 * 1e6 * 50 * 60 / GiB / 30);
  // Rows and records are 2,880 objects each; a query writes 10 files and lists three times; a read for each MiB of a scan, and for each part loaded.
  const { queries, scanned, loadCalls } = trafficOf(small, loadOf(load));
  near(cost(small, load, 'S3', 'requests'), 0.005 * (2 * 2880 + 13 * queries) / 1000 + 0.0004 * (scanned / 1024 ** 2 + loadCalls) / 1000);
});

test('A line of the log of requests is paid for each of them, and alarms by their metrics', () => {
  const logged = { ...small, doors: { ...small.doors, logLine: 200 }, alarmMetrics: 40, dashboards: 1 };
  near(cost(logged, ofBytes(1000), 'CloudWatch', 'log of the browser doors'), 1e6 * 200 / GiB * (0.5 + 0.03 / 7 * 30 / 30));
  near(cost(logged, { eventsPerDay: 0 }, 'CloudWatch', 'alarms and dashboard'), (40 * 0.1 + 3) / 30);
  near(cost(small, ofBytes(1000), 'Data transfer and CloudFront', 'answers'), 0.09 * (1e6 * 400 + 2000 * 4000) / GiB);
});

test('The server door costs an HTTP request and a call of its function', () => {
  const load = { eventsPerDay: 1e6, serverShare: 1, perServerRequest: 100, readsPerSite: 0 };
  near(cost(small, load, 'API Gateway'), 0.01);
  near(cost(small, load, 'Lambda', 'server door'), 0.0000133334 * 10_000 * 0.03 + 0.2 * 10_000 / 1e6);
});

test('A change of the templates changes the bill: shards, schedule, backup, memory, delivery, the log of requests', () => {
  const load = loadOf({ eventsPerDay: 1e8 });
  const lines = (facts: Facts) => costOf(facts, load);
  const before = lines(small);
  const changed = (change: (resource: Record<string, never>) => void, type: string): Facts => {
    const templates = structuredClone(SMALL);
    for (const { Type, Properties } of templates.flatMap(({ Resources }) => Object.values(Resources))) if (Type === type) change(Properties as Record<string, never>);
    return factsOf(...templates);
  };
  assert.ok(dollars(lines(factsOf(...templatesOf('small', { shards: 2 }))), 'Kinesis') < dollars(before, 'Kinesis'));
  const slower = lines(factsOf(...templatesOf('small', { scheduleMinutes: 15 })));
  for (const service of ['DynamoDB', 'Athena']) assert.ok(dollars(slower, service) < dollars(before, service), service);
  const noBackup = lines(changed((properties) => { Object.assign(properties.ExtendedS3DestinationConfiguration!, { S3BackupMode: 'Disabled' }); }, 'AWS::KinesisFirehose::DeliveryStream'));
  assert.equal(dollars(noBackup, 'S3', 'records as they came'), 0);
  assert.ok(dollars(before, 'S3', 'records as they came') > 0);
  const doubled = lines(changed((properties) => { Object.assign(properties, { MemorySize: 2 * Number(properties.MemorySize) }); }, 'AWS::Lambda::Function'));
  const calls = 0.2 * trafficOf(small, load).transformCalls / 1e6;
  near(dollars(doubled, 'Lambda', 'transform') - calls, 2 * (dollars(before, 'Lambda', 'transform') - calls));
  const unlogged = lines(changed((properties) => { delete properties.AccessLogSetting; }, 'AWS::ApiGateway::Stage'));
  assert.equal(dollars(unlogged, 'CloudWatch', 'log of the browser doors'), 0);
  const unconverted = lines(changed((properties) => { Object.assign(properties.ExtendedS3DestinationConfiguration!, { DataFormatConversionConfiguration: undefined }); }, 'AWS::KinesisFirehose::DeliveryStream'));
  assert.equal(dollars(unconverted, 'Firehose', 'conversion to Parquet'), 0);
});

test('What the model needs and a template lacks is named', () => {
  const without = (type: string): Template[] => SMALL.map(({ Resources }) => ({ Resources: Object.fromEntries(Object.entries(Resources).filter(([, { Type }]) => Type !== type)) }));
  for (const type of ['AWS::Kinesis::Stream', 'AWS::ApiGateway::RestApi', 'AWS::ApiGateway::Stage', 'AWS::ApiGatewayV2::Stage', 'AWS::KinesisFirehose::DeliveryStream', 'AWS::DynamoDB::GlobalTable', 'AWS::Scheduler::Schedule', 'AWS::Logs::LogGroup', 'AWS::S3::Bucket']) {
    assert.throws(() => factsOf(...without(type)), (error: Error) => error.message.includes(type), type);
  }
  assert.throws(() => factsOf(...without('AWS::Lambda::Function')), /no function transform/);
  assert.throws(() => loadOf({ perRequest: 0 }), /perRequest 0: accepts a number above 0/);
  assert.throws(() => loadOf({ serverShare: 1.5 }), /serverShare 1.5: accepts a number from 0 to 1/);
  assert.throws(() => loadOf({ eventsPerDay: -1 }), /eventsPerDay -1: accepts a number of at least 0/);
});

test('More events, more sites, fewer events a request and larger events never cost less', () => {
  const rising: Partial<Record<keyof Load, number[]>> = {
    eventsPerDay: [0, 1e4, 1e6, 1e8, 1e9], sites: [1, 100, 1e4, 1e6], eventBytes: [100, 350, 1000, 5000], readsPerSite: [0, 1, 10], months: [0, 1, 12], transformMicros: [10, 33, 100], runBytes: [5, 11, 20],
  };
  for (const [name, values] of Object.entries(rising)) {
    const sums = values.map((value) => cost(small, { eventsPerDay: 1e8, sites: 1e5, [name]: value }));
    sums.slice(1).forEach((sum, i) => { assert.ok(sum > sums[i]!, `${name} ${values[i + 1]}: ${sum}, after ${sums[i]}`); });
  }
  const batches = [1, 2, 5, 10, 20].map((perRequest) => cost(small, { eventsPerDay: 1e8, perRequest }));
  batches.slice(1).forEach((sum, i) => { assert.ok(sum < batches[i]!); });
});

test('The model slices days as core/rollup.ts does', () => {
  const [, sites] = /SITES_AT_ONCE = ([\d_]+)/.exec(readFileSync(join(ROOT, 'lambdas', 'rollup.ts'), 'utf8'))!;
  assert.equal(LOAD.sitesPerSlice[0], Number(sites!.replaceAll('_', '')));
});

test('Each price has a unit and says where it was read; tiers fall, and the last has no end', () => {
  for (const [name, price] of Object.entries(PRICES)) {
    assert.ok(price.unit.length > 1 && ['page', 'memory'].includes(price.source), name);
    const steps = 'tiers' in price ? price.tiers : [[Infinity, price.dollars] as const];
    assert.equal(steps.at(-1)![0], Infinity, name);
    steps.slice(1).forEach(([upTo, dollars], i) => { assert.ok(upTo > steps[i]![0] && dollars < steps[i]![1], name); });
  }
});

test('The command prints what each service costs, what it costs for a million events, and the load', () => {
  const text = execFileSync(process.execPath, ['--import', 'tsx', join(ROOT, 'bin', 'cost.ts'), '--events-per-day', '1e9', '--per-request', '10'], { encoding: 'utf8' });
  assert.match(text, /^Environment large: REST doors, stream on demand, delivery every 300 s, schedule every 15 minutes/);
  const lines = costOf(factsOf(...templatesOf('large')), loadOf({ eventsPerDay: 1e9, perRequest: 10, sites: 1e6 }));
  const total = dollars(lines);
  assert.ok(text.includes(`| **all** | ${total.toFixed(2)} | ${(total / 1000).toFixed(4)} | 100.0 % |`), text);
  for (const service of new Set(lines.map((line) => line.service))) assert.ok(text.includes(`| **${service}** | ${dollars(lines, service).toFixed(2)} |`), service);
  // A hundred million records of 4,115 bytes are 4.54 MiB a second, and 2.5 times as much at the busiest.
  assert.match(text, /^The stream needs 12 shards/m);
  for (const [, what] of Object.values(LOAD)) assert.ok(text.includes(what), what);
});
