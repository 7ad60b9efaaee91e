// Writes the serving items of one part of a rollup's result. before: lambdas/rollup.ts; next: the metrics store
import { loadPart, type Load, type LoadPorts } from '../core/load.ts';
import { s3, s3Lake } from './aws/lake.ts';
import { dynamo, dynamoStore } from './aws/store.ts';
import { SIGNALS } from './environment.ts';
import { wired, type Handle, type Observer } from './function.ts';

/** What the function answers: how many items it wrote. */
export interface Loaded { written: number }

export function loadHandler({ observer, ...ports }: LoadPorts & { observer: Observer }): Handle<Load, Loaded> {
  return async (load) => {
    const written = await loadPart(load, ports);
    observer.count(SIGNALS.itemsWritten, written);
    observer.note({ run: load.run, part: load.part, written });
    return { written };
  };
}

export const handler = wired('load', async ({ METRICS_TABLE, BUCKET }, observer) => {
  return loadHandler({ lake: s3Lake(s3(), BUCKET), metrics: dynamoStore(dynamo(), METRICS_TABLE, { consistent: true }), observer });
});
