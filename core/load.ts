// The last part of a rollup: rows of a run's result become serving items. A part of a result is loaded on its own, so
// that many can be loaded at once. before: core/rollup.ts; next: the metrics store (core/serve.ts)
import type { Hour } from './hour.ts';
import { dayItems, hourItem, isSame } from './items.ts';
import { overlapping } from './overlap.ts';
import type { Lake, ResultRow, Store, StoreItem } from './ports.ts';
import type { LocalDay } from './zone.ts';

/** A part of the result of `sql/hour_items.sql` or `sql/days.sql`, and what its items are called. */
export interface Load {
  part: string;
  run: string;
  of: { hour: Hour } | { day: LocalDay };
  /** Leave out items that are in the store as they are, but for the run they name. */
  sparing: boolean;
}

/** Loads parts, in any order; resolves to how many items it wrote when all of them are in the store. */
export type Loader = (loads: readonly Load[]) => Promise<number>;

export interface LoadPorts { lake: Pick<Lake, 'rows'>; metrics: Pick<Store, 'get' | 'put'> }

/** Items on their way to the store at once; as many more are being made. */
const BATCH = 500;

/** Writes the items of every row of a part; resolves to how many it wrote. Loading twice is the same as once. */
export async function loadPart({ part, run, of, sparing }: Load, { lake, metrics }: LoadPorts): Promise<number> {
  const itemsOf = (row: ResultRow): StoreItem[] => ('hour' in of ? [hourItem(of.hour, run, row)] : dayItems(of.day, run, row));
  let written = 0;
  const write = async (items: readonly StoreItem[]) => {
    const wanted = sparing ? await differing(items, metrics) : items;
    if (wanted.length > 0) await metrics.put(wanted);
    written += wanted.length;
  };
  // A batch is on its way to the store while the next one is made.
  await overlapping(async (begin) => {
    let batch: StoreItem[] = [];
    for await (const row of lake.rows(part)) {
      batch.push(...itemsOf(row));
      if (batch.length < BATCH) continue;
      const full = batch;
      batch = [];
      await begin(() => write(full));
    }
    await begin(() => write(batch));
  });
  return written;
}

async function differing(items: readonly StoreItem[], metrics: LoadPorts['metrics']): Promise<StoreItem[]> {
  const stored = await Promise.all(items.map(({ pk, sk }) => metrics.get(pk, sk)));
  return items.filter((item, i) => !isSame(item, stored[i]));
}

/** Loads one part after the other, in this process. */
export function loaderOf(ports: LoadPorts): Loader {
  return async (loads) => {
    let written = 0;
    for (const load of loads) written += await loadPart(load, ports);
    return written;
  };
}
