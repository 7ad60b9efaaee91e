// The reading function: stats, timeseries, breakdown, funnel, health. before: the rollup's items; next: the merchant
import { csvOf } from '../core/csv.ts';
import type { MetricName } from '../core/metrics.ts';
import type { Clock, Store } from '../core/ports.ts';
import { notCounted, readHealth, readProgress, type Health } from '../core/progress.ts';
import { breakdownQuery, funnelQuery, statsQuery, timeseriesQuery, type Parameters, type Range, type RangeQuery } from '../core/query.ts';
import { breakdown, funnel, someOf, stats, timeseries, type Answer } from '../core/serve.ts';
import type { Site } from '../core/sites.ts';
import { wired } from './function.ts';
import { httpHandler, observedHttp, parametersOf, siteOf, type Action, type Answered, type Handler, type Request } from './http.ts';

export interface ServePorts {
  registry: Store;
  metrics: Store;
  clock: Clock;
  health: () => Promise<Health>;
  onError: (error: unknown) => void;
}

/** Which of its two forms an answer has. */
const VARIES = { vary: 'accept' };

export function serveHandler({ registry, metrics, clock, health, onError }: ServePorts): Handler {
  /** A read: the parameters made a query, the query answered. */
  function read<Q extends RangeQuery & { comparison?: Range }>(
    resolve: (parameters: Parameters, site: Site, now: number) => Q,
    respond: (metrics: Store, query: Q, completeThrough: number | undefined) => Promise<Answer<Q, object>>,
  ): Action {
    return async (request) => {
      const [site, progress] = await Promise.all([siteOf(request, registry), readProgress(registry)]);
      const body = await respond(metrics, resolve(parametersOf(request), site, clock()), progress.completeThrough);
      const { comparison, ...range } = body.query;
      const missing = [...notCounted(range, progress), ...(comparison ? notCounted({ ...range, ...comparison }, progress) : [])];
      if (missing.length > 0) {
        body.warnings.push({ code: 'not_counted', message: `Not all events of ${someOf(missing)} could be counted yet (hours of UTC, and days).` });
      }
      return wantsCsv(request) ? csvAnswer(request, body) : { body, headers: VARIES };
    };
  }

  return httpHandler<'serve'>({
    'GET /v1/sites/{site}/stats': read(statsQuery, stats),
    'GET /v1/sites/{site}/timeseries': read(timeseriesQuery, timeseries),
    'GET /v1/sites/{site}/breakdown': read(breakdownQuery, breakdown),
    'GET /v1/sites/{site}/funnel': read(funnelQuery, funnel),
    'GET /v1/health': async () => {
      const [state, { completeThrough }] = await Promise.all([health(), readProgress(registry)]);
      return { body: { status: 'ok', ...state, complete_through: completeThrough === undefined ? null : new Date(completeThrough).toISOString() } };
    },
  }, { registry, onError });
}

/** Whether the client asks for CSV by name; whoever takes anything gets JSON. */
function wantsCsv({ headers }: Request): boolean {
  return (headers.accept ?? '').split(',').some((range) => /^\s*text\/csv\s*(;(?!\s*q=0(\.0*)?\s*$).*)?$/i.test(range));
}

/** The results alone: a table has no room for what is said of them, so that stands in headers. */
function csvAnswer({ routeKey }: Request, answer: Answer<RangeQuery & { metrics?: MetricName[] }, object>): Answered {
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
    registry, onError, clock: Date.now,
    metrics: dynamoStore(client, METRICS_TABLE, { consistent: false }),
    health: () => readHealth(registry, Date.now()),
  }));
});
