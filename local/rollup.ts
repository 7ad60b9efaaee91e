// One round of rollups on one machine: announced hours become tasks, and the tasks are carried out one by one.
// before: local/deliver.ts; next: core/serve.ts
import { readCompleteThrough, writeCompleteThrough } from '../core/progress.ts';
import { runTask, tasksFor, type RollupPorts } from '../core/rollup.ts';
import type { TaskQueue } from './tasks.ts';

export interface RollupRoundPorts extends RollupPorts {
  tasks: TaskQueue;
  /** Everything received before this moment (epoch ms) is in the lake, and its hours have been announced. */
  deliveredThrough: () => number;
}

/**
 * Runs all tasks that are due. A task that fails is put back or parked, and holds up no other.
 * Resolves to the number of tasks carried out.
 */
export async function rollupRound(ports: RollupRoundPorts): Promise<number> {
  const { tasks, registry, deliveredThrough, report } = ports;
  const through = deliveredThrough();
  const announced = tasks.announced();
  await tasks.send(await tasksFor(announced, registry));
  await tasks.taken(announced);
  let carriedOut = 0;
  for (let waiting = tasks.next(); waiting; waiting = tasks.next()) {
    try {
      await runTask(waiting.task, ports);
      await tasks.done(waiting);
      carriedOut++;
    } catch (error) {
      await tasks.failed(waiting, error);
      report(`${waiting.key} failed (attempt ${waiting.attempts + 1}): ${(error as Error).message}`);
    }
  }
  // A task that waits for its next attempt keeps the numbers where they were.
  const waits = tasks.all().some(({ parked }) => !parked);
  if (!waits && through > ((await readCompleteThrough(registry)) ?? 0)) await writeCompleteThrough(registry, through);
  return carriedOut;
}
