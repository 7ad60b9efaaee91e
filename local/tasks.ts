// The Tasks on one machine: announced hours and waiting tasks in LMDB. One worker takes them, one after the other, so
// no two tasks of an hour or a day ever run at the same time.
import type { Database, RootDatabase } from 'lmdb';
import type { Hour } from '../core/hour.ts';
import type { Clock, Task, Tasks } from '../core/ports.ts';
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
  announced(): Hour[];
  /** Forgets announcements, unless the hour was announced again since they were read. */
  taken(hours: readonly Hour[]): Promise<void>;
  /** The next task that may be tried: hours before days, older before newer. */
  next(): Waiting | undefined;
  done(waiting: Waiting): Promise<void>;
  /** Puts the task back for a later attempt, or parks it. */
  failed(waiting: Waiting, error: unknown): Promise<void>;
  all(): Waiting[];
}

/** Attempts before a task is parked. */
export const MAX_ATTEMPTS = 5;
const FIRST_BACK_OFF_MS = 5_000;

function keyOf(task: Task): string {
  return task.kind === 'hour' ? `hour#${task.hour}` : `day#${task.day}`;
}

export function lmdbTasks(environment: RootDatabase, clock: Clock): TaskQueue {
  const announcements: Database<number, string> = environment.openDB({ name: 'announced', encoding: 'msgpack' });
  const queue: Database<Omit<Waiting, 'key'>, string> = environment.openDB({ name: 'tasks', encoding: 'msgpack' });
  const read = new Map<Hour, number>();
  let counter = clock();

  const all = () => [...queue.getRange().map(({ key, value }) => ({ ...value, key }))];

  return {
    async announce(hours) {
      if (hours.length === 0) return;
      await durably(environment, Promise.all(hours.map((hour) => announcements.put(hour, ++counter))));
    },
    announced() {
      for (const { key, value } of announcements.getRange()) read.set(key, value);
      return [...read.keys()];
    },
    async taken(hours) {
      await durably(environment, environment.transaction(() => {
        for (const hour of hours) {
          if (announcements.get(hour) === read.get(hour)) void announcements.remove(hour);
          read.delete(hour);
        }
      }));
    },
    async send(tasks) {
      if (tasks.length === 0) return;
      await durably(environment, environment.transaction(() => {
        for (const task of tasks) {
          const waiting = queue.get(keyOf(task));
          const merged: Task = task.kind === 'day' && waiting?.task.kind === 'day'
            ? { ...task, runs: [...new Set([...waiting.task.runs, ...task.runs])] }
            : task;
          void queue.put(keyOf(task), { task: merged, attempts: 0, notBefore: 0, sent: ++counter });
        }
      }));
    },
    next() {
      const ready = all().filter(({ parked, notBefore }) => !parked && notBefore <= clock());
      return ready.find(({ task }) => task.kind === 'hour') ?? ready[0];
    },
    async done({ key, sent }) {
      await durably(environment, environment.transaction(() => {
        if (queue.get(key)?.sent === sent) void queue.remove(key);
      }));
    },
    async failed({ key, sent, attempts }, error) {
      await durably(environment, environment.transaction(() => {
        const now = queue.get(key);
        // Sent again while it ran: the new task starts its own attempts.
        if (now?.sent !== sent) return;
        const tried = attempts + 1;
        const message = error instanceof Error ? error.message : String(error);
        void queue.put(key, {
          ...now, attempts: tried, error: message, parked: tried >= MAX_ATTEMPTS, notBefore: clock() + FIRST_BACK_OFF_MS * 2 ** (tried - 1),
        });
      }));
    },
    all,
  };
}
