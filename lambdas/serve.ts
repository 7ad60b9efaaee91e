// The reading function: stats, timeseries, breakdown, health. before: the rollup's items; next: the merchant
import type { Clock, Store } from '../core/ports.ts';
import { readCompleteThrough } from '../core/progress.ts';
import { breakdownQuery, statsQuery, timeseriesQuery, type Parameters } from '../core/query.ts';
import { breakdown, stats, timeseries } from '../core/serve.ts';
import type { Site } from '../core/sites.ts';
import { httpHandler, parametersOf, siteOf, type Action, type Handler } from './http.ts';

/** What the pipeline says of itself. */
export interface Health {
  /** Age of the oldest event that is not in the lake yet, seconds; null when all are. */
  oldest_undelivered_seconds: number | null;
  /** Rollup tasks that wait, and those that failed too often and were put aside. */
  waiting_tasks: number;
  parked_tasks: number;
}

export interface ServePorts {
  registry: Store;
  metrics: Store;
  clock: Clock;
  health: () => Promise<Health>;
  onError: (error: unknown) => void;
}

export function serveHandler({ registry, metrics, clock, health, onError }: ServePorts): Handler {
  /** A read: the parameters made a query, the query answered. */
  function read<Q>(
    resolve: (parameters: Parameters, site: Site, now: number) => Q,
    respond: (metrics: Store, query: Q, completeThrough: number | undefined) => Promise<unknown>,
  ): Action {
    return async (request) => {
      const [site, completeThrough] = await Promise.all([siteOf(request, registry), readCompleteThrough(registry)]);
      return { body: await respond(metrics, resolve(parametersOf(request), site, clock()), completeThrough) };
    };
  }

  return httpHandler<'serve'>({
    'GET /v1/sites/{site}/stats': read(statsQuery, stats),
    'GET /v1/sites/{site}/timeseries': read(timeseriesQuery, timeseries),
    'GET /v1/sites/{site}/breakdown': read(breakdownQuery, breakdown),
    'GET /v1/health': async () => {
      const [state, completeThrough] = await Promise.all([health(), readCompleteThrough(registry)]);
      return { body: { status: 'ok', ...state, complete_through: completeThrough === undefined ? null : new Date(completeThrough).toISOString() } };
    },
  }, { registry, onError });
}
