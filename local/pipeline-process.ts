// The pipeline in a process of its own, at a lower priority: beside the doors a slice of the transform, a batch of items or
// a query of the engine made browsers wait. Where it ends by itself it is started again, and what comes in waits in the log.
// What the processes say to each other is calls and their answers. before: local/start.ts; next: local/pipeline.ts
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { setPriority } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import type { Store, StoreItem } from '../core/ports.ts';
import { Problem } from '../core/problem.ts';
import { isMain } from './main.ts';
import { CannotStart, openPipeline, type Outside, type Pipeline, type PipelineOptions } from './pipeline.ts';
import type { StoreWrites } from './store.ts';

/** One end of the channel between the processes. */
type Port = Pick<ChildProcess, 'on' | 'send' | 'connected'>;
type Methods = Readonly<Record<string, (argument: never) => Promise<unknown>>>;
type Message =
  | { call: number; method: string; argument: unknown }
  /** The answer to a call; with an error where it was rejected. */
  | { answer: number; result?: unknown; error?: { name: string; message: string } };

/** What a call is rejected with when the other side ends. */
class Gone extends Error {
  constructor() { super('the other process has ended'); }
}

/** Calls a method of the other side; resolves to what that resolves to. */
type Call = (method: string, argument?: unknown) => Promise<unknown>;

/** Lets the other side call these methods, and gives what calls those of the other side. */
function calls(port: Port, methods: Methods): Call {
  const waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  let count = 0;
  const send = (message: Message) => {
    // What cannot be sent is told where somebody waits for it: the channel closes.
    if (port.connected) port.send(message, () => undefined);
  };
  const answer = async (call: number, work: () => Promise<unknown>) => {
    try {
      send({ answer: call, result: await work() });
    } catch (error) {
      const { name, message } = error as Error;
      send({ answer: call, error: { name, message } });
    }
  };
  port.on('message', (message: Message) => {
    if ('call' in message) {
      void answer(message.call, () => methods[message.method]!(message.argument as never));
      return;
    }
    const { resolve, reject } = waiting.get(message.answer)!;
    waiting.delete(message.answer);
    if (!message.error) resolve(message.result);
    else reject(message.error.name === 'CannotStart' ? new CannotStart(message.error.message) : new Error(message.error.message));
  });
  port.on('disconnect', () => {
    for (const { reject } of waiting.values()) reject(new Gone());
    waiting.clear();
  });
  return (method, argument) => new Promise((resolve, reject) => {
    if (!port.connected) {
      reject(new Gone());
      return;
    }
    waiting.set(++count, { resolve, reject });
    send({ call: count, method, argument });
  });
}

/** Threads of the process for queries, compression and commits: each of the loops may wait for one. */
const POOL = '8';
/** Pauses before the process is started again, ms: the first, and the longest, to which each that ends too soon doubles it. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** For a change that came while there was no process to write it. */
const RETRY_AFTER_S = '2';

interface Started { child: ChildProcess; call: Call; exit: Promise<[code: number | null, signal: NodeJS.Signals | null]> }

function startProcess(options: PipelineOptions, { log, report }: Outside): Started {
  const child = fork(import.meta.filename, [JSON.stringify(options)], {
    env: { UV_THREADPOOL_SIZE: POOL, ...process.env },
    // Threads that help the garbage collector would have the lower priority, and the thread that waits for them with it.
    // (What `npm start` says of the place for new objects holds here, too: nearly all are garbage within a moment, and in a
    // larger place fewer of them are copied before they are; 3 to 5 µs an event.)
    execArgv: [...process.execArgv, '--single-threaded-gc'],
    serialization: 'advanced',
  });
  const call = calls(child, {
    report: async (line: string) => { report(line); },
    put: (records: string[]) => log.put(records),
    checkpoint: (position: number) => log.checkpoint(position),
    firstUnderWay: log.firstUnderWay,
  });
  return { child, call, exit: once(child, 'exit') as Started['exit'] };
}

/** As `openPipeline`, in a process of its own. */
export async function openPipelineProcess(options: PipelineOptions, outside: Outside): Promise<Pipeline> {
  const { report } = outside;
  const stopping = new AbortController();
  let current = startProcess(options, outside);
  try {
    await current.call('open');
  } catch (error) {
    current.child.kill('SIGKILL');
    throw error;
  }

  /** Until it is stopped: waits for the process to end, and starts another one. */
  async function superviseUntilStopped(): Promise<void> {
    for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(2 * wait, LONGEST_PAUSE_MS)) {
      const began = performance.now();
      const [code, signal] = await current.exit;
      if (stopping.signal.aborted) return;
      if (performance.now() - began > LONGEST_PAUSE_MS) wait = FIRST_PAUSE_MS;
      report(`What is behind the log ended (${signal ?? `exit code ${code}`}) and is started again in ${wait / 1000} s; what comes in meanwhile waits in the log.`);
      await pause(wait, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      current = startProcess(options, outside);
      const { child, call } = current;
      await call('open').then(() => call('begin')).catch((error: unknown) => {
        report(`What is behind the log does not start: ${(error as Error).message}`);
        child.kill('SIGKILL');
      });
    }
  }

  const write = async (method: keyof StoreWrites, items: readonly unknown[]) => {
    try {
      return await current.call(method, items);
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      throw new Problem(503, 'Nothing can be changed for a moment; try again.', { 'retry-after': RETRY_AFTER_S });
    }
  };
  let supervision: Promise<void> | undefined;
  return {
    registry: {
      put: async (items) => { await write('put', items); },
      create: async (item) => (await write('create', [item])) as boolean,
      remove: async (keys) => { await write('remove', keys); },
    },
    async begin() {
      await current.call('begin');
      supervision = superviseUntilStopped();
    },
    async stop() {
      stopping.abort();
      const { child, call, exit } = current;
      // Where it has ended by itself there is nothing to let finish.
      await call('stop').catch(() => undefined);
      child.kill('SIGKILL');
      await exit;
      await supervision;
    },
  };
}

/**
 * Below the doors, and whoever else waits for an answer: delivery, which has this thread; and below delivery the engine and
 * what else is done in threads. Queries take all they get, and the log would grow meanwhile.
 */
const PRIORITY = { delivery: 5, threads: 15 };

/** On Linux each thread has a priority of its own, which those that it starts inherit; elsewhere the process has one. */
function lowerPriority(): void {
  setPriority(PRIORITY.delivery);
  if (process.platform !== 'linux') return;
  for (const thread of readdirSync('/proc/self/task').map(Number)) if (thread !== process.pid) setPriority(thread, PRIORITY.threads);
}

/** The process's side. */
function runProcess(port: Port, options: PipelineOptions): void {
  lowerPriority();
  // eslint-disable-next-line no-console -- not ours: LMDB prints a stack for each commit the disk refuses, and whoever asked for the commit reports it.
  console.error = () => undefined;
  // A terminal and a service manager tell all processes; this one goes on until the other one has had it stopped.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
  // It holds the data folder, so it does not outlive the other one, however that ended. What is on disk is right at any moment.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  let opened: Promise<Pipeline>;
  const call = calls(port, {
    open: async () => {
      opened = openPipeline(options, {
        log: {
          put: async (records) => { await call('put', records); },
          checkpoint: async (position) => { await call('checkpoint', position); },
          firstUnderWay: async () => (await call('firstUnderWay')) as number | undefined,
        },
        report: (line) => { void call('report', line); },
      });
      await opened;
    },
    // The first call is `open`; what comes before that is done waits for it.
    begin: async () => (await opened).begin(),
    stop: async () => (await opened).stop(),
    put: async (items: StoreItem[]) => (await opened).registry.put(items),
    create: async ([item]: [StoreItem]) => (await opened).registry.create(item),
    remove: async (keys: Parameters<Store['remove']>[0]) => (await opened).registry.remove(keys),
  });
}

if (process.send && isMain(import.meta.filename)) runProcess(process as unknown as Port, JSON.parse(process.argv[2]!) as PipelineOptions);
