// The Tasks on one machine: announced hours and waiting tasks in LMDB. One worker takes them, one after the other, so
// no two tasks of an hour or a day ever run at the same time.
import type { Database, RootDatabase } from 'lmdb';
import type { Hour } from '../core/hour.ts';
import type { Clock, Parked, Task, Tasks } from '../core/ports.ts';
import { MAX_ATTEMPTS, taskName, timeOf, type Announced } from '../core/rollup.ts';
import { durably } from './lmdb.ts';

/** A task in the queue. */
export interface Waiting {
  /** `hour#…` or `day#…`. */
  key: string;
  task: Task;
  attempts: number;
  /** Epoch ms before which it is not tried (again). */
  notBefore: number;
  /** What the last attempt said. */
  error?: string;
  /** Failed too often: it waits for an operator, or for its hour to be announced again. */
  parked?: boolean;
  /** Changes whenever the task is sent again, so that work sent while it runs is not lost with it. */
  sent: number;
}

export interface TaskQueue extends Tasks {
  /**
   * Says that the rows of these hours changed; they become tasks at the next round.
   * @param again they were only delivered once more
   */
  announce(hours: readonly Hour[], again?: boolean): Promise<void>;
  announced(): Announced[];
  /** Forgets announcements, unless the hour was announced again since they were read. */
  taken(hours: readonly Announced[]): Promise<void>;
  /**
   * The next task that may be tried. What has not been counted yet goes before what is counted anew; then newest dates
   * first, so that today stays fresh beside much history; hours before their day.
   * @param among which tasks are asked for
   */
  next(among?: (task: Task) => boolean): Waiting | undefined;
  done(waiting: Waiting): Promise<void>;
  /** Puts the task back for a later attempt, or parks it. */
  failed(waiting: Waiting, error: unknown): Promise<void>;
  all(): Waiting[];
}

const FIRST_BACK_OFF_MS = 5_000;

/** Texts whose greatest goes first; as text, each hour of a day is greater than the day itself. */
function urgencyOf(task: Task): string {
  return `${task.recompute ? 0 : 1} ${timeOf(task)}`;
}

/** Of an hour, the last one; whether it and those before it were of rows delivered once more only. */
type Announcement = Pick<Announced, 'recompute'>;

function tasksIn(environment: RootDatabase): Database<Waiting, string> {
  return environment.openDB({ name: 'tasks', encoding: 'msgpack' });
}

/** What waits, for a process that has no queue: it reads what the queue has stored. */
export function storedTasks(environment: RootDatabase): () => Waiting[] {
  const stored = tasksIn(environment);
  return () => [...stored.getRange().map(({ value }) => value)];
}

export function parkedOf(waiting: Iterable<Waiting>): Parked[] {
  return [...waiting].flatMap(({ parked, task, attempts, error = '' }) => (parked ? [{ task, attempts, error }] : []));
}

/** Opens the queue; there is one at a time. */
export function lmdbTasks(environment: RootDatabase, clock: Clock): TaskQueue {
  const storedAnnouncements: Database<Announcement, Hour> = environment.openDB({ name: 'announced', encoding: 'msgpack' });
  const stored = tasksIn(environment);
  // Memory is what decides, LMDB what survives: it gets the same changes in the same order.
  const announcements = new Map(storedAnnouncements.getRange().map(({ key, value }) => [key, value]));
  const queue = new Map(stored.getRange().map(({ key, value }) => [key, value]));
  /** The announcement of each hour as `announced` last told it: a later one is another object. */
  const told = new Map<Hour, Announcement>();
  let counter = clock();

  const keep = (waiting: Waiting) => {
    queue.set(waiting.key, waiting);
    return stored.put(waiting.key, waiting);
  };

  return {
    async announce(hours, again = false) {
      await durably(environment, hours.map((hour) => {
        const announcement = { recompute: again && announcements.get(hour)?.recompute !== false };
        announcements.set(hour, announcement);
        return storedAnnouncements.put(hour, announcement);
      }));
    },
    announced() {
      told.clear();
      for (const [hour, announcement] of announcements) told.set(hour, announcement);
      return [...told].map(([hour, { recompute }]) => ({ hour, recompute }));
    },
    async taken(hours) {
      const unchanged = hours.filter(({ hour }) => announcements.get(hour) === told.get(hour));
      await durably(environment, unchanged.map(({ hour }) => {
        announcements.delete(hour);
        return storedAnnouncements.remove(hour);
      }));
    },
    async send(tasks) {
      await durably(environment, tasks.map((task) => {
        const key = taskName(task);
        const before = queue.get(key)?.task;
        const recompute = task.recompute === true && (!before || before.recompute === true);
        const whole = task.kind === 'hour' && before?.kind === 'hour' && before.whole !== undefined ? { whole: before.whole } : {};
        return keep({ key, task: { ...whole, ...task, recompute }, attempts: 0, notBefore: 0, sent: ++counter });
      }));
    },
    next(among = () => true) {
      let first: Waiting | undefined;
      for (const waiting of queue.values()) {
        if (waiting.parked || waiting.notBefore > clock() || !among(waiting.task)) continue;
        if (!first || urgencyOf(waiting.task) > urgencyOf(first.task)) first = waiting;
      }
      return first;
    },
    async done({ key, sent }) {
      if (queue.get(key)?.sent !== sent) return;
      queue.delete(key);
      await durably(environment, [stored.remove(key)]);
    },
    async failed({ key, sent, attempts }, error) {
      const waiting = queue.get(key);
      // Sent again while it ran: the new task has attempts of its own.
      if (waiting?.sent !== sent) return;
      const tried = attempts + 1;
      await durably(environment, [keep({
        ...waiting,
        attempts: tried,
        error: error instanceof Error ? error.message : String(error),
        parked: tried >= MAX_ATTEMPTS,
        notBefore: clock() + FIRST_BACK_OFF_MS * 2 ** (tried - 1),
      })]);
    },
    all: () => [...queue.values()],
    parked: async () => parkedOf(queue.values()),
  };
}
