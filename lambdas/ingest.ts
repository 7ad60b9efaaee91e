// The server door, POST /v1/events. before: a merchant's server or the importer; next: the stream, core/deliver.ts
import { packBatch } from '../core/collect.ts';
import { StreamUnavailable, type Clock, type Store, type Stream } from '../core/ports.ts';
import { Problem } from '../core/problem.ts';
import { cachedSites, type Sites } from '../core/sites.ts';
import { wired } from './function.ts';
import { bodyOf, httpHandler, noSuchSite, observedHttp, type Handler } from './http.ts';

export interface IngestPorts {
  stream: Stream;
  registry: Store;
  sites: Sites;
  clock: Clock;
  onError: (error: unknown) => void;
}

/** Seconds after which a caller may try again when the stream takes nothing. */
const RETRY_AFTER_S = '5';

export function ingestHandler({ stream, registry, sites, clock, onError }: IngestPorts): Handler {
  return httpHandler<'ingest'>({
    'POST /v1/events': async (request) => {
      const id = request.key!.site!;
      const site = (await sites.read([id])).get(id);
      if (!site) throw noSuchSite(id);
      const { envelopes, receipt } = packBatch(site, bodyOf(request), { id: request.requestContext.requestId, at: clock() });
      try {
        await stream.put(envelopes.map((envelope) => JSON.stringify(envelope)));
      } catch (error) {
        if (!(error instanceof StreamUnavailable)) throw error;
        throw new Problem(503, 'Nothing was stored; send the same batch again.', { 'retry-after': RETRY_AFTER_S });
      }
      return { status: 202, body: receipt };
    },
  }, { registry, onError });
}

const SITE_CACHE_MS = 60_000;

export const handler = wired('ingest', async ({ REGISTRY_TABLE, STREAM }, observer) => {
  const [{ dynamo, dynamoStore }, { kinesis, kinesisStream }] = await Promise.all([import('./aws/store.ts'), import('./aws/stream.ts')]);
  const registry = dynamoStore(dynamo(), REGISTRY_TABLE, { consistent: false });
  return observedHttp(observer, (onError) => ingestHandler({
    registry, onError, clock: Date.now,
    stream: kinesisStream(kinesis(), STREAM),
    sites: cachedSites(registry, Date.now, SITE_CACHE_MS),
  }));
});
