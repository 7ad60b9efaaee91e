// What every function does around its work: it reads its environment and makes its clients when it is called first, says
// one line about each invocation, and hands its numbers to CloudWatch in the log (embedded metric format). What only AWS
// needs is imported then, too: one machine imports the same files, for what they export beside `handler`.
import middy, { type MiddlewareObj } from '@middy/core';
import type { Context } from 'aws-lambda';
import { NAMESPACE, environmentOf, type Environment, type FunctionName, type Signal } from './environment.ts';

/** Where a function says what it does. */
export interface Observer {
  /** Adds to a number of this invocation. */
  count: (signal: Signal, value: number) => void;
  /** Adds to the line of this invocation. What clients sent does not belong there. */
  note: (fields: Readonly<Record<string, string | number | boolean | undefined>>) => void;
  /** An error that was dealt with, and that the operator should see all the same. */
  error: (error: unknown) => void;
}

export type Handle<E, R> = (event: E, context: Context) => Promise<R>;

/**
 * A function as AWS calls it. Importing it does nothing; what `make` gives is made at the first invocation and kept.
 * @param make the handler, of the function's own environment
 */
export function wired<F extends FunctionName, E, R>(
  name: F,
  make: (environment: Environment<F>, observer: Observer) => Promise<Handle<E, R>>,
): Handle<E, R> {
  const begin = async () => {
    const environment = environmentOf(name, process.env);
    return observed(name, environment.SERVICE, (observer) => make(environment, observer));
  };
  let made: Promise<Handle<E, R>> | undefined;
  return async (event, context) => {
    made ??= begin().catch((error: unknown) => {
      made = undefined; // The next invocation tries again.
      throw error;
    });
    return (await made)(event, context);
  };
}

async function observed<E, R>(name: FunctionName, service: string, make: (observer: Observer) => Promise<Handle<E, R>>): Promise<Handle<E, R>> {
  const [{ Logger }, { MetricUnit, Metrics }] = await Promise.all([import('@aws-lambda-powertools/logger'), import('@aws-lambda-powertools/metrics')]);
  const logger = new Logger({ serviceName: name });
  // Its own dimension is called `service` (DIMENSION in lambdas/environment.ts).
  const metrics = new Metrics({ namespace: NAMESPACE, serviceName: service });
  let fields: Record<string, unknown> = {};
  const handle = await make({
    count: (signal, value) => { metrics.addMetric(signal, MetricUnit.NoUnit, value); },
    note: (more) => { Object.assign(fields, more); },
    error: (error) => { logger.error('dealt with', error as Error); },
  });

  const oneLine = (): MiddlewareObj<E, R> => {
    let began = 0;
    const end = (say: (line: Record<string, unknown>) => void) => {
      say({ ms: Math.round(performance.now() - began), ...fields });
      fields = {};
      if (metrics.hasStoredMetrics()) metrics.publishStoredMetrics();
    };
    return {
      before: ({ context }) => {
        began = performance.now();
        logger.addContext(context);
      },
      after: () => { end((line) => { logger.info('done', line); }); },
      // The platform gets the error as well: it is what makes the attempt a failed one.
      onError: ({ error }) => { end((line) => { logger.error('failed', { ...line, error: error as Error }); }); },
    };
  };
  return middy<E, R, Error, Context>().use(oneLine()).handler(handle);
}
