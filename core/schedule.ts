// The schedule, where tasks are carried out elsewhere and many at once: announced hours become tasks, and what was due
// is remembered until it has been done, since only then the numbers are complete. before: the notices of the lake;
// next: core/rollup.ts, carried out by whoever takes the tasks
import { gunzipSync, gzipSync } from 'node:zlib';
import { hoursOfLocalDay, isHour, type Hour } from './hour.ts';
import type { Clock, Parked, Store, Task, Tasks } from './ports.ts';
import { progressOf, readProgress, writeProgress, type Progress } from './progress.ts';
import { compact, readCommits, readOwed, tasksFor, timeOf, type Announced } from './rollup.ts';

export interface SchedulePorts { registry: Store; tasks: Tasks; clock: Clock }

export interface Due {
  announced: readonly Announced[];
  /** Whether those are all there were. */
  drained: boolean;
  /** Everything received before this moment (epoch ms) is in the lake, and was announced before these were read. */
  through: number;
}

/** What has to be done until the numbers are complete up to a moment. */
interface Mark {
  /** That moment, epoch ms; 0 as long as announcements were left unread. */
  through: number;
  /** The hours that were due, each with when it was last announced, epoch ms. */
  due: Record<Hour, number>;
  /** When all of them were first seen looked at since, epoch ms: now days may still owe what their runs changed. */
  rolledAt?: number;
}

const NOTHING: Mark = { through: 0, due: {} };

/** Two marks are enough: the one that is waited for, which does not grow any more, and what became due after it. */
interface Marks {
  waiting?: Mark;
  upcoming: Mark;
  /** What the numbers lack though they are complete beyond it, since it was parked: hours with when they were due, days with when they were seen parked, epoch ms. */
  passed?: Record<string, number>;
}

/**
 * Sends the tasks of announced hours, and writes how far the numbers are complete; after that the announcements may be
 * forgotten. Whatever dies before is done again with the same announcements.
 */
export async function schedule({ announced, drained, through }: Due, { registry, tasks, clock }: SchedulePorts): Promise<Progress> {
  const at = clock();
  const [{ completeThrough }, { waiting, upcoming, passed = {} }, parked] = await Promise.all([readProgress(registry), readMarks(registry), tasks.parked()]);
  const due = await tasksFor(announced, registry);
  await tasks.send(due);

  const marks = { upcoming: joined(upcoming, due, at, drained ? through : upcoming.through), ...(waiting && { waiting }) };
  const { complete, ...left } = await settle(marks, new Set(parked.map(({ task }) => timeOf(task))), registry, at);
  const missing = await stillMissing({ ...passed, ...passedNow(parked, { ...marks, passed }, at) }, registry);
  await writeMarks(registry, { ...left, passed: missing });
  const progress = progressOf(Math.max(complete, completeThrough ?? 0) || undefined, Object.keys(missing).map((name) => ({ task: isHour(name) ? { kind: 'hour', hour: name } : { kind: 'day', day: name } })));
  await writeProgress(registry, progress);
  return progress;
}

/** What is parked, and not only to be counted anew, with since when it is missing. */
function passedNow(parked: readonly Parked[], { waiting, upcoming, passed = {} }: Marks, now: number): Record<string, number> {
  return Object.fromEntries(parked.flatMap(({ task }) => {
    const name = timeOf(task);
    const since = passed[name] ?? waiting?.due[name] ?? upcoming.due[name];
    return task.recompute && since === undefined ? [] : [[name, since ?? now]];
  }));
}

/** Those that have not been made good: an hour by a look at its rows and its days, a day by taking up what it owed. */
async function stillMissing(passed: Record<string, number>, registry: Store): Promise<Record<string, number>> {
  const kept = await Promise.all(Object.entries(passed).map(async ([name, since]) => {
    const { from, to } = isHour(name) ? { from: name, to: name } : hoursOfLocalDay(name);
    const [owed, commits] = await Promise.all([readOwed(registry, from, to), readCommits(registry, from, to)]);
    if (isHour(name)) return (commits.get(name)?.checkedAt ?? 0) < since || owed.length > 0;
    return owed.some(({ day, run }) => day === name && run < compact(since));
  }));
  return Object.fromEntries(Object.entries(passed).filter((_, i) => kept[i]));
}

/** What is due, added to what was; what is counted anew is in the numbers already. */
function joined({ due }: Mark, tasks: readonly Task[], at: number, through: number): Mark {
  const missing = tasks.filter(({ recompute }) => !recompute);
  return { through, due: { ...due, ...Object.fromEntries(missing.map((task) => [timeOf(task), at])) } };
}

/** Sees what has been done since; `complete` is the moment up to which all of it has, 0 where nothing more has. */
async function settle({ waiting, upcoming }: Marks, parked: ReadonlySet<string>, registry: Store, now: number): Promise<Marks & { complete: number }> {
  const left = waiting && (await remaining(waiting, parked, registry, now));
  if (left) return { waiting: left, upcoming, complete: 0 };
  const complete = waiting?.through ?? 0;
  // As long as announcements were left unread there is no moment to wait for.
  if (upcoming.through === 0) return { upcoming, complete };
  const next = await remaining(upcoming, parked, registry, now);
  return next ? { waiting: next, upcoming: NOTHING, complete } : { upcoming: NOTHING, complete: upcoming.through };
}

/** The mark, if something of it has yet to be done; what is parked waits for an operator, and is told of elsewhere. */
async function remaining(mark: Mark, parked: ReadonlySet<string>, registry: Store, now: number): Promise<Mark | undefined> {
  const hours = Object.keys(mark.due).sort();
  const [first, last] = [hours[0], hours.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  let { rolledAt } = mark;
  if (rolledAt === undefined) {
    const commits = await readCommits(registry, first, last);
    const isDone = (hour: Hour) => parked.has(hour) || (commits.get(hour)?.checkedAt ?? 0) >= mark.due[hour]!;
    if (!hours.every(isDone)) return mark;
    rolledAt = now;
  }
  // Not what runs begun later owe: that is part of the next mark.
  const begunBefore = compact(rolledAt);
  const owed = (await readOwed(registry, first, last)).filter(({ day, run }) => run < begunBefore && !parked.has(day));
  return owed.length > 0 ? { ...mark, rolledAt } : undefined;
}

// Compressed, since an import of years makes ten thousands of hours due, and an item of a store has its limits.
async function readMarks(registry: Store): Promise<Marks> {
  const item = await registry.get('status', 'marks');
  return item ? (JSON.parse(gunzipSync(item.gzip as Uint8Array).toString()) as Marks) : { upcoming: NOTHING };
}

async function writeMarks(registry: Store, marks: Marks): Promise<void> {
  await registry.put([{ pk: 'status', sk: 'marks', gzip: gzipSync(JSON.stringify(marks)) }]);
}
