import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beaconEnvelope } from '../../core/collect.ts';
import { LIMITS } from '../../core/event.ts';
import type { Stream } from '../../core/ports.ts';
import { transformHandler } from '../../lambdas/transform.ts';
import { NOW, siteOf, transformPorts } from '../memory.ts';
import { contextOf, firehoseEvent, noting, rowsOf } from './aws-events.ts';

// As long as ids of sites get.
const SITE = siteOf({ id: 's'.repeat(63) });
const LAMBDA_LIMIT = 6 * 1024 * 1024;

function open(aside: string[] = []) {
  const observer = noting();
  const stream: Stream = { put: async (records) => { aside.push(...records); } };
  return { observer, aside, handler: transformHandler({ ...transformPorts(SITE), aside: stream, observer }) };
}

function envelope(body: string, id = 'r'): string {
  return `${JSON.stringify(beaconEnvelope({ id, at: NOW, ip: '203.0.113.7', userAgent: 'browser' }, body))}\n`;
}

const beacon = (events: object[], id?: string) => envelope(JSON.stringify({ site: SITE.id, events }), id);

test('Each record is answered by its id, with its rows one behind the other and the partition of its hour', async () => {
  const { handler, observer } = open();
  const { records } = await handler(firehoseEvent([beacon([{ name: 'page_view' }, { name: 'Bad' }]), 'no envelope\n', beacon([])]), contextOf());
  assert.deepEqual(records.map(({ recordId, result }) => [recordId, result]), [['record-0', 'Ok'], ['record-1', 'ProcessingFailed'], ['record-2', 'Dropped']]);
  assert.deepEqual(records[0]!.metadata, { partitionKeys: { dt: '2026-11-20', hr: '10' } });
  const rows = rowsOf(records[0]!.data).map((line) => JSON.parse(line) as { name?: string; rejected?: string; quarter: number });
  assert.deepEqual(rows.map(({ name, rejected }) => [name, rejected]), [['page_view', undefined], [undefined, 'bad_name']]);
  // It is kept as it came.
  assert.equal(Buffer.from(records[1]!.data!, 'base64').toString(), 'no envelope\n');
  assert.deepEqual(observer.counts, { Events: 2, Rejected: 1, Undeliverable: 1, SetAside: 0 });
  assert.deepEqual(observer.notes, { records: 3, events: 2, rejected: 1, failed: 1, set_aside: 0 });
});

/** The envelope of at most 64 KB whose rows are largest, of those made of so many events of so many items. */
function worst(events: number, items: number, price: boolean): string {
  const of = (name: string) => JSON.stringify({
    site: SITE.id,
    events: Array.from({ length: events }, (_, e) => ({ name, items: Array.from({ length: items }, (_, i) => ({ id: String((e * items + i) % 99), ...(price && { price: 1 }) })) })),
  });
  const room = LIMITS.beacon.bytes - of('').length;
  // The longest name that still fits; of commerce events, which may not be called otherwise, the short one.
  const body = of('n'.repeat(Math.min(64, Math.floor(room / events))));
  assert.ok(body.length <= LIMITS.beacon.bytes, `${body.length} bytes`);
  return body;
}

const SHAPES: [events: number, items: number, price: boolean][] = [[100, 50, false], [95, 48, false], [100, 25, true], [60, 46, true], [100, 0, false]];
for (const [events, items, price] of SHAPES) {
  test(`The largest rows of an envelope of ${events} events of ${items} items${price ? ' with a price' : ''} fit into an answer by themselves`, async () => {
    const { handler, aside } = open();
    const answer = await handler(firehoseEvent([envelope(worst(events, items, price))]), contextOf());
    assert.equal(answer.records[0]!.result, 'Ok');
    assert.deepEqual(aside, []);
    assert.ok(JSON.stringify(answer).length < LAMBDA_LIMIT);
  });
}

for (const megabytes of [1, 3]) {
  test(`A buffer of ${megabytes} MB of the worst records is answered within 6 MB, and what does not fit comes again as it was`, async () => {
    const { handler, aside, observer } = open();
    const sent = Array.from({ length: Math.ceil((megabytes * 1024 * 1024) / LIMITS.beacon.bytes) }, (_, i) => envelope(worst(100, 50, false), `r${i}`));
    const answer = await handler(firehoseEvent(sent), contextOf());
    const size = JSON.stringify(answer).length;
    assert.ok(size < LAMBDA_LIMIT, `${size} bytes`);
    assert.deepEqual(answer.records.map(({ recordId }) => recordId), sent.map((_, i) => `record-${i}`));
    const dropped = sent.filter((_, i) => answer.records[i]!.result === 'Dropped');
    assert.ok(dropped.length > 0 && dropped.length < sent.length, `${dropped.length} of ${sent.length} were set aside`);
    assert.deepEqual(aside.map((record) => JSON.parse(record) as unknown), dropped.map((record) => ({ replay: true, ...JSON.parse(record) as object })));
    assert.equal(observer.counts.SetAside, dropped.length);
    // A record that was set aside is a record like any other.
    const again = await handler(firehoseEvent(aside.slice(0, 1)), contextOf());
    assert.equal(again.records[0]!.result, 'Ok');
  });
}

test('Where records cannot be set aside the whole buffer is asked for again', async () => {
  const observer = noting();
  const handler = transformHandler({ ...transformPorts(SITE), aside: { put: () => Promise.reject(new Error('no room')) }, observer });
  const sent = Array.from({ length: 4 }, () => envelope(worst(100, 50, false)));
  await assert.rejects(handler(firehoseEvent(sent), contextOf()), /no room/);
});
