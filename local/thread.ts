// The pipeline in a thread of its own: beside the doors a slice of the transform, or a batch of items, made browsers wait.
// What the threads say to each other is calls and their answers. before: local/start.ts; next: local/pipeline.ts
import { Worker, isMainThread, parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { CannotStart, openPipeline, type Outside, type Pipeline, type PipelineOptions } from './pipeline.ts';

type Call = (method: string, argument?: unknown) => Promise<void>;
type Message =
  | { call: number; method: string; argument: unknown }
  /** The answer to a call; with an error where it was rejected. */
  | { answer: number; error?: { name: string; message: string } };

/** Lets the other side call these methods, and gives what calls those of the other side. */
function calls(port: MessagePort | Worker, methods: Readonly<Record<string, (argument: never) => Promise<void> | void>>): Call {
  const waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  let count = 0;
  const answer = async (call: number, work: () => Promise<void> | void) => {
    try {
      await work();
      port.postMessage({ answer: call } satisfies Message);
    } catch (error) {
      const { name, message } = error as Error;
      port.postMessage({ answer: call, error: { name, message } } satisfies Message);
    }
  };
  port.on('message', (message: Message) => {
    if ('call' in message) {
      void answer(message.call, () => methods[message.method]!(message.argument as never));
      return;
    }
    const { resolve, reject } = waiting.get(message.answer)!;
    waiting.delete(message.answer);
    if (!message.error) resolve();
    else reject(message.error.name === 'CannotStart' ? new CannotStart(message.error.message) : new Error(message.error.message));
  });
  return (method, argument) => new Promise((resolve, reject) => {
    waiting.set(++count, { resolve, reject });
    port.postMessage({ call: count, method, argument } satisfies Message);
  });
}

/** This file as a thread begins: on Node 20 the `--import tsx` of the process does not reach its threads. */
const ENTRY = `import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))}).then(({ register }) => {
  register();
  return import(${JSON.stringify(import.meta.url)});
});`;

/** As `openPipeline`, in a thread of its own. What breaks that thread ends the process, as it would without it. */
export async function openPipelineThread(options: PipelineOptions, { stream, report }: Outside): Promise<Pipeline> {
  const worker = new Worker(ENTRY, { eval: true, workerData: { pipeline: options } });
  const broken = new Promise<never>((_, reject) => worker.once('error', reject));
  const call = calls(worker, { report, put: (records: string[]) => stream.put(records) });
  try {
    await Promise.race([call('open'), broken]);
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  broken.catch((error: unknown) => { throw error; });
  return {
    begin: () => call('begin'),
    async stop() {
      await call('stop');
      await worker.terminate();
    },
  };
}

/** The thread's side. */
function runThread(port: MessagePort, options: PipelineOptions): void {
  // eslint-disable-next-line no-console -- not ours: LMDB prints a stack for each commit the disk refuses, and whoever asked for the commit reports it.
  console.error = () => undefined;
  let pipeline: Pipeline | undefined;
  const call = calls(port, {
    open: async () => {
      pipeline = await openPipeline(options, { stream: { put: (records) => call('put', records) }, report: (line) => { void call('report', line); } });
    },
    begin: () => pipeline!.begin(),
    stop: () => pipeline!.stop(),
  });
}

const given = workerData as { pipeline?: PipelineOptions } | null;
if (!isMainThread && parentPort && given?.pipeline) runThread(parentPort, given.pipeline);
