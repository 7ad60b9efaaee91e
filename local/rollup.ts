// One round of rollups on one machine: announced hours become tasks, and the tasks are carried out one by one.
// before: local/deliver.ts; next: core/serve.ts
import { isDeepStrictEqual } from 'node:util';
import type { Pays } from '../core/difference.ts';
import { DAY_MS, HOUR_MS, hourOf, partitionOf } from '../core/hour.ts';
import { loaderOf } from '../core/load.ts';
import type { Store, Task } from '../core/ports.ts';
import { parkedTasks, progressOf, readProgress, writeProgress, type Progress } from '../core/progress.ts';
import { runTask, tasksFor, type RollupPorts, type Slicing } from '../core/rollup.ts';
import type { TaskQueue, Waiting } from './tasks.ts';

export interface RollupRoundPorts extends Omit<RollupPorts, 'load' | 'sitesAtOnce'> {
  metrics: Store;
  tasks: TaskQueue;
  /** Everything received before this moment (epoch ms) is in the lake, and its hours have been announced. */
  deliveredThrough: () => number;
  /**
   * After so long with tasks of the past the round begins no further one; they wait for the next round, behind what is
   * newer by then. What runs now has no budget: a day would wait for ever behind an hour that takes longer.
   */
  budgetMs: number;
  /** News for the operator, a line each. */
  report: (line: string) => void;
}

/** Of a day's query: what it holds of so many sites fits into what the engine may have (local/start.ts). */
export const SITES_AT_ONCE = 10_000;
/** Measured: below it counting whole takes no longer than the more queries of a difference, and with more that was added neither. */
const DIFFERENCE: Pays = { from: 16 * 2 ** 20, added: 0.25 };
/**
 * What the queries of an hour hold of so many rows, of some 28 bytes each, fits into what the engine may have (local/pipeline.ts).
 * Each slice reads past the rows of all others: of 102 million rows, slices of 10 million take a third more processor time.
 */
export const SLICING: Slicing = { from: 384 * 2 ** 20, rows: 15_000_000 };
/** What is counted anew gets so much of a round, so that what comes in meanwhile waits no longer than at other times. */
const RECOMPUTE_BUDGET_MS = 5_000;
/** A round with more tasks than the hour that runs and the one before it, and their days, is told of. */
const EVERYDAY_TASKS = 5;

/** Runs the tasks that are due, newest first. A task that fails is put back or parked, and holds up no other. */
export async function rollupRound(ports: RollupRoundPorts): Promise<void> {
  const { tasks, registry, clock, deliveredThrough, budgetMs, report } = ports;
  const load = loaderOf(ports);
  const through = deliveredThrough();
  let pastMs = 0;
  const announced = tasks.announced();
  await tasks.send(await tasksFor(announced, registry));
  await tasks.taken(announced);
  const done = { hour: 0, day: 0, items: 0 };
  const hasTime = (task: Task) => !isPast(task, clock()) || pastMs <= (task.recompute ? Math.min(RECOMPUTE_BUDGET_MS, budgetMs) : budgetMs);
  for (let waiting = tasks.next(hasTime); waiting; waiting = tasks.next(hasTime)) {
    const { task } = waiting;
    const began = clock();
    try {
      done.items += await runTask(task, { difference: DIFFERENCE, slicing: SLICING, ...ports, load, sitesAtOnce: SITES_AT_ONCE });
      await tasks.done(waiting);
      done[task.kind]++;
    } catch (error) {
      await tasks.failed(waiting, error);
      report(`${waiting.key} failed (attempt ${waiting.attempts + 1}): ${(error as Error).message.split('\n')[0]}`);
    }
    if (isPast(task, began)) pastMs += clock() - began;
  }
  const before = await readProgress(registry);
  const progress = progressAfter(before, tasks.all(), through);
  if (!isDeepStrictEqual(progress, before)) await writeProgress(registry, progress);
  if (done.hour + done.day > EVERYDAY_TASKS) report(`Rolled up ${done.hour} hours and ${done.day} days; ${done.items} items written.`);
}

/** Whether it is of neither the hour that runs nor the one before, nor of their days; or counts anew. */
function isPast(task: Task, now: number): boolean {
  if (task.recompute) return true;
  return task.kind === 'hour' ? task.hour < hourOf(now - HOUR_MS) : task.day < partitionOf(hourOf(now - DAY_MS)).dt;
}

/**
 * As long as a task waits or is parked, what it would count is missing; unless it counts anew what is counted already.
 * What was parked and is tried again stays named until nothing waits: the numbers are complete beyond it already.
 */
function progressAfter(before: Progress, waiting: readonly Waiting[], through: number): Progress {
  const { completeThrough } = before;
  const stillMissing = waiting.some(({ task, parked }) => !task.recompute && !parked);
  const parked = waiting.filter(({ parked }) => parked);
  if (stillMissing) return progressOf(completeThrough, [...parked, ...parkedTasks(before)]);
  return progressOf(through <= (completeThrough ?? 0) ? completeThrough : through, parked);
}
