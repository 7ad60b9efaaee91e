// Firehose's transform: a buffer of stream records becomes rows of the partitions of their hours.
// before: the stream (lib/templates, lambdas/ingest.ts); next: the lake, and lambdas/schedule.ts
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FirehoseTransformationEvent, FirehoseTransformationEventRecord, FirehoseTransformationResult, FirehoseTransformationResultRecord } from 'aws-lambda';
import { asReplay } from '../core/collect.ts';
import { transform, type Delivered, type TransformPorts } from '../core/deliver.ts';
import { countryTable } from '../core/deliver/place.ts';
import type { Stream } from '../core/ports.ts';
import { storedSalts } from '../core/salts.ts';
import { cachedSites } from '../core/sites.ts';
import { dynamo, dynamoStore } from './aws/store.ts';
import { firehose, firehoseStream } from './aws/stream.ts';
import { SIGNALS, daysInMs } from './environment.ts';
import { wired, type Handle, type Observer } from './function.ts';

export interface TransformFunctionPorts extends TransformPorts {
  /** Takes the records whose rows do not fit into one answer; they come again in another. */
  aside: Stream;
  observer: Observer;
}

/**
 * Bytes of rows in one answer, in base64. A Lambda answers at most 6 MB (6,291,456 bytes); what is left is for the
 * names around the rows. One envelope's rows, of 64 KB of baskets, are about 3 MB at the worst.
 */
const ANSWER_BYTES = 5_500_000;
/** About what stands around the rows of one record. */
const AROUND_BYTES = 250;

export function transformHandler({ aside, observer, ...ports }: TransformFunctionPorts): Handle<FirehoseTransformationEvent, FirehoseTransformationResult> {
  return async ({ records }) => {
    const texts = records.map(({ data }) => Buffer.from(data, 'base64').toString().trimEnd());
    const delivered = await transform(texts, ports);
    const setAside: string[] = [];
    let bytes = 0;
    const answers = records.map((record, i): Answer => {
      let answer = answerOf(record, delivered[i]!);
      // Alone it would not fit the next time either.
      if (AROUND_BYTES + answer.data.length > ANSWER_BYTES) answer = failed(record);
      const size = AROUND_BYTES + answer.data.length;
      if (bytes + size > ANSWER_BYTES) {
        setAside.push(asReplay(texts[i]!));
        return dropped(record);
      }
      bytes += size;
      return answer;
    });
    // Before the answer: whatever happens now, Firehose asks again for all of them.
    await aside.put(setAside);
    tell(observer, delivered, setAside.length);
    return { records: answers };
  };
}

type Answer = FirehoseTransformationResultRecord & { data: string };

function answerOf(record: FirehoseTransformationEventRecord, delivered: Delivered): Answer {
  if (delivered.kind === 'failed') return failed(record);
  const { rows, partition: { dt, hr } } = delivered;
  if (rows.length === 0) return dropped(record);
  // One behind the other, with nothing between: what Firehose converts is a record of one or more JSON objects.
  return { recordId: record.recordId, result: 'Ok', data: Buffer.from(rows.join('')).toString('base64'), metadata: { partitionKeys: { dt, hr } } };
}

/** It goes, whole, to `failed/`. */
function failed({ recordId, data }: FirehoseTransformationEventRecord): Answer {
  return { recordId, result: 'ProcessingFailed', data };
}

/** There is nothing of it to deliver here. */
function dropped({ recordId }: FirehoseTransformationEventRecord): Answer {
  return { recordId, result: 'Dropped', data: '' };
}

function tell({ count, note }: Observer, delivered: readonly Delivered[], setAside: number): void {
  let [events, rejected, failed] = [0, 0, 0];
  for (const one of delivered) {
    if (one.kind === 'failed') failed++;
    else {
      events += one.events;
      rejected += one.rejected;
    }
  }
  count(SIGNALS.events, events);
  count(SIGNALS.rejected, rejected);
  count(SIGNALS.undeliverable, failed);
  count(SIGNALS.setAside, setAside);
  note({ records: delivered.length, events, rejected, failed, set_aside: setAside });
}

const SITE_CACHE_MS = 60_000;

export const handler = wired('transform', async ({ REGISTRY_TABLE, REPLAY_STREAM, RAW_DAYS }, observer) => {
  // Consistent: of a salt that another one has just made, the reader must not miss it.
  const registry = dynamoStore(dynamo(), REGISTRY_TABLE, { consistent: true });
  return transformHandler({
    sites: cachedSites(registry, Date.now, SITE_CACHE_MS),
    salts: storedSalts(registry, Date.now, daysInMs(RAW_DAYS)),
    countryOf: countryTable(await readFile(join(import.meta.dirname, 'country.mmdb'))),
    clock: Date.now,
    aside: firehoseStream(firehose(), REPLAY_STREAM),
    observer,
  });
});
