// Processes of their own: whatever is measured shares neither memory nor event loop with what measures it.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const STOP_MS = 20_000;
/** Of every Linux that Node runs on. */
const TICKS_A_SECOND = 100;

/** Starts a file of the project as a child. `output` receives what it prints; without it, it prints to our output. */
export function startChild(path: string, { args = [], env = {}, output }: {
  args?: readonly string[]; env?: Readonly<Record<string, string>>; output?: (text: string) => void;
} = {}): ChildProcess {
  const child = fork(join(import.meta.dirname, '..', path), args, { env: { ...process.env, ...env }, silent: output !== undefined });
  if (output) for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', output);
  return child;
}

/** The child's next message. Rejects when it ends instead, or says nothing for so many ms. */
export async function answerOf<T>(child: ChildProcess, timeoutMs: number): Promise<T> {
  const done = new AbortController();
  const signal = AbortSignal.any([done.signal, AbortSignal.timeout(timeoutMs)]);
  try {
    return await Promise.race([
      once(child, 'message', { signal }).then(([message]) => message as T),
      once(child, 'exit', { signal }).then(([code, by]) => { throw new Error(`a child of the measurement ended with ${code ?? by}`); }),
    ]);
  } finally {
    done.abort();
  }
}

/** Ends the child: asks first, unless it is to be killed at once, and kills when it does not listen. */
export async function stopChild(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await ended;
  clearTimeout(timer);
}

/** A child ends with its parent, however that one ended. */
export function endWithParent(): void {
  process.on('disconnect', () => process.exit());
}

/** What a process holds in memory, MiB: the most it ever did, and what of it now is no file's; null where the system does not tell (it is Linux that does). */
export async function memoryOf(pid: number): Promise<{ peak: number; own: number } | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const [peak, own] = ['VmHWM', 'RssAnon'].map((name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024);
  return Number.isNaN(peak) ? null : { peak: peak!, own: own! };
}

/** Processor time a process has taken so far, with all its threads, seconds; null where the system does not tell. */
export async function processorOf(pid: number): Promise<number | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // Behind the program's name, which may hold anything, the 12th and 13th words are its time and the system's for it.
  const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return stat === '' ? null : (Number(words[11]) + Number(words[12])) / TICKS_A_SECOND;
}
