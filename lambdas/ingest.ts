// The server door, POST /v1/events. before: a merchant's server or the importer; next: the stream, core/deliver.ts
import { packBatch } from '../core/collect.ts';
import { StreamUnavailable, type Clock, type Stream } from '../core/ports.ts';
import { Problem } from '../core/problem.ts';
import { wired } from './function.ts';
import { REMEMBERED_MS, bodyOf, httpHandler, httpPorts, observedHttp, siteOf, type Handler, type HttpPorts } from './http.ts';

export interface IngestPorts extends HttpPorts {
  stream: Stream;
  clock: Clock;
}

/** Seconds after which a caller may try again when the stream takes nothing. */
const RETRY_AFTER_S = '5';

export function ingestHandler({ stream, clock, ...http }: IngestPorts): Handler {
  return httpHandler<'ingest'>({
    'POST /v1/events': async (request) => {
      const site = await siteOf(request, http.sites);
      const { envelopes, receipt } = packBatch(site, bodyOf(request), { id: request.requestContext.requestId, at: clock() });
      try {
        await stream.put(envelopes.map((envelope) => JSON.stringify(envelope)));
      } catch (error) {
        if (!(error instanceof StreamUnavailable)) throw error;
        throw new Problem(503, 'Nothing was stored; send the same batch again.', { 'retry-after': RETRY_AFTER_S });
      }
      return { status: 202, body: receipt };
    },
  }, http);
}

export const handler = wired('ingest', async ({ REGISTRY_TABLE, STREAM }, observer) => {
  const [{ dynamo, dynamoStore }, { kinesis, kinesisStream }] = await Promise.all([import('./aws/store.ts'), import('./aws/stream.ts')]);
  const registry = dynamoStore(dynamo(), REGISTRY_TABLE, { consistent: false });
  return observedHttp(observer, (onError) => ingestHandler({
    clock: Date.now, ...httpPorts(registry, Date.now, REMEMBERED_MS, onError),
    stream: kinesisStream(kinesis(), STREAM),
  }));
});
