// How far the numbers are complete. Written by whoever runs the rollups, read by the API.
import type { Store } from './ports.ts';

/** Everything received before this moment (epoch ms) is in the numbers; undefined before the first rollup. */
export async function readCompleteThrough(registry: Store): Promise<number | undefined> {
  const item = await registry.get('status', 'complete_through');
  return item === undefined ? undefined : Number(item.at);
}

export async function writeCompleteThrough(registry: Store, at: number): Promise<void> {
  await registry.put([{ pk: 'status', sk: 'complete_through', at }]);
}
