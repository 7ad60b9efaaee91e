// The reading function: stats, timeseries, breakdown, funnel, health, and what it all means. before: the rollup's items;
// next: the merchant
import { csvOf } from '../core/csv.ts';
import type { Key } from '../core/keys.ts';
import type { MetricName } from '../core/metrics.ts';
import { openApi } from '../core/openapi.ts';
import type { Clock, Store } from '../core/ports.ts';
import { notCounted, readHealth, readProgress, type Health } from '../core/progress.ts';
import { beforeBuckets, breakdownQuery, funnelQuery, statsQuery, timeseriesQuery, type Parameters, type Range, type RangeQuery, type TimeseriesQuery } from '../core/query.ts';
import { rateLimiter } from '../core/rate-limit.ts';
import { breakdown, funnel, isFinished, someOf, stats, timeseries, type Answer } from '../core/serve.ts';
import type { Site } from '../core/sites.ts';
import { etagOf, preferredType, type Answered } from './answer.ts';
import { wired } from './function.ts';
import { REMEMBERED_MS, httpHandler, httpPorts, observedHttp, siteOf, type Action, type Handler, type HttpPorts, type Request } from './http.ts';

export interface ServePorts extends HttpPorts {
  registry: Store;
  metrics: Store;
  clock: Clock;
  health: () => Promise<Health>;
}

/** Which of its two forms an answer has. */
const VARIES = { vary: 'accept' };
/** How long a browser may take an answer from its own cache where all of the range has been counted, seconds; late events may still change it. */
const FINISHED_S = 300;
const DOCUMENT_S = 3600;

export function serveHandler({ registry, metrics, clock, health, ...http }: ServePorts): Handler {
  /** A read: the parameters made a query, the query answered. */
  function read<Q extends RangeQuery & Partial<TimeseriesQuery>>(
    resolve: (parameters: Parameters, site: Site, now: number) => Q,
    respond: (metrics: Store, query: Q, completeThrough: number | undefined) => Promise<Answer<Q, object>>,
  ): Action {
    return async (request) => {
      const [site, progress] = await Promise.all([siteOf(request, http.sites), readProgress(registry)]);
      const answer = await respond(metrics, resolve(request.parameters, site, clock()), progress.completeThrough);
      const query: RangeQuery = answer.query;
      const missing = [...new Set(rangesOf(answer.query).flatMap((range) => notCounted({ ...query, ...range }, progress)))];
      if (missing.length > 0) {
        answer.warnings.push({ code: 'not_counted', message: `Not all events of ${someOf(missing)} could be counted yet (hours of UTC, and days).` });
      }
      const { text, body, headers } = wantsCsv(request) ? csvAnswer(request, answer) : { text: undefined, body: answer, headers: VARIES };
      const finished = missing.length === 0 && isFinished(query, progress.completeThrough);
      return { ...(text === undefined ? { body } : { text }), headers: { ...headers, ...cached(request, answer, finished) } };
    };
  }

  return httpHandler<'serve'>({
    'GET /v1/sites/{site}/stats': read(statsQuery, stats),
    'GET /v1/sites/{site}/timeseries': read(timeseriesQuery, timeseries),
    'GET /v1/sites/{site}/breakdown': read(breakdownQuery, breakdown),
    'GET /v1/sites/{site}/funnel': read(funnelQuery, funnel),
    'GET /v1/key': async ({ key, site }) => ({ body: shownKey(key!, site) }),
    'GET /v1/health': async () => {
      const [state, { completeThrough }] = await Promise.all([health(), readProgress(registry)]);
      return { body: { status: 'ok', ...state, complete_through: completeThrough === undefined ? null : new Date(completeThrough).toISOString() } };
    },
    'GET /openapi.json': async () => ({ body: openApi(), headers: { 'cache-control': `public, max-age=${DOCUMENT_S}` } }),
  }, http, rateLimiter(clock));
}

/** The ranges that an answer is made of: its own, with what smoothing looks back on, and what it is compared with. */
function rangesOf({ from, to, comparison, interval = 'day', smooth = 1 }: RangeQuery & Partial<TimeseriesQuery>): Range[] {
  return [{ from, to }, ...(comparison ? [comparison] : [])].map((range) => ({ ...range, from: beforeBuckets(range.from, interval, smooth - 1) }));
}

/** What a key's holder may know of it. */
function shownKey({ id, scope, label, prefix = null, created_at }: Omit<Key, 'prefix'> & { prefix?: string | null }, site: Site | undefined): object {
  return { id, scope, label, prefix, created_at, site: site ? { id: site.id, name: site.name, timezone: site.timezone, currency: site.currency } : null };
}

/**
 * How long an answer may be kept: one of dates that are over some minutes, any other only as long as it is still the
 * same. How far everything is complete goes on changing after a range is, and does not make another answer of it.
 */
function cached({ parameters }: Request, { complete_through, ...rest }: Answer<RangeQuery, object>, finished: boolean): Record<string, string> {
  const etag = etagOf(JSON.stringify(finished ? rest : { complete_through, ...rest }));
  return { etag, 'cache-control': finished && parameters.has('from') ? `private, max-age=${FINISHED_S}` : 'private, no-cache' };
}

/** Whether the client would rather have CSV; whoever takes anything gets JSON. */
function wantsCsv({ headers }: Request): boolean {
  return preferredType(headers.accept, ['application/json', 'text/csv', 'text/csv;charset=utf-8'])?.startsWith('text/csv') ?? false;
}

/** The results alone: a table has no room for what is said of them, so that stands in headers. */
function csvAnswer({ routeKey }: Request, answer: Answer<RangeQuery & { metrics?: MetricName[] }, object>): Pick<Answered, 'text' | 'body' | 'headers'> {
  const { query: { site, from, to }, complete_through, warnings } = answer;
  const read = routeKey.slice(routeKey.lastIndexOf('/') + 1);
  return {
    text: csvOf(answer),
    headers: {
      ...VARIES,
      'content-type': 'text/csv; charset=utf-8',
      'content-disposition': `attachment; filename="${site}-${read}-${from}-${to}.csv"`,
      ...(complete_through !== null && { 'x-complete-through': complete_through }),
      ...(warnings.length > 0 && { 'x-warnings': warnings.map(({ code }) => code).join(', ') }),
    },
  };
}

export const handler = wired('serve', async ({ REGISTRY_TABLE, METRICS_TABLE }, observer) => {
  const { dynamo, dynamoStore } = await import('./aws/store.ts');
  const client = dynamo();
  const registry = dynamoStore(client, REGISTRY_TABLE, { consistent: false });
  return observedHttp(observer, (onError) => serveHandler({
    registry, clock: Date.now, ...httpPorts(registry, Date.now, REMEMBERED_MS, onError),
    metrics: dynamoStore(client, METRICS_TABLE, { consistent: false }),
    health: () => readHealth(registry, Date.now()),
  }));
});
