// Processes of their own: whatever is measured shares neither memory nor event loop with what measures it.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { start: string } };
/** The flags with which `npm start` runs Node. */
export const START_FLAGS: readonly string[] = /^node (.+) local\/start\.ts$/.exec(scripts.start)![1]!.split(' ');

const STOP_MS = 20_000;
/** Of every Linux that Node runs on. */
const TICKS_A_SECOND = 100;

/**
 * Starts a file of the project as a child. `output` receives what it prints; without it, it prints to our output.
 * @param flags of Node, instead of those of this process
 */
export function startChild(path: string, { args = [], env = {}, flags = process.execArgv, output }: {
  args?: readonly string[]; env?: Readonly<Record<string, string>>; flags?: readonly string[]; output?: (text: string) => void;
} = {}): ChildProcess {
  const child = fork(join(ROOT, path), args, { env: { ...process.env, ...env }, execArgv: [...flags], silent: output !== undefined });
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

/** A process and those it started that run now, as Linux tells it. */
async function familyOf(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return [pid, ...(await Promise.all(children.split(' ').filter((word) => word !== '').map((child) => familyOf(Number(child))))).flat()];
}

async function sumOver(pid: number, of: (pid: number) => Promise<number | null>): Promise<number | null> {
  const values = await Promise.all((await familyOf(pid)).map(of));
  return values.reduce((sum, value) => (sum === null || value === null ? null : sum + value), 0);
}

/**
 * What a process and those it started hold in memory now, MiB: all of it, where what several of them hold counts once, and
 * what of it is no file's. Null where the system does not tell (it is Linux that does).
 */
export async function memoryOf(pid: number): Promise<{ all: number; own: number } | null> {
  const of = (name: string) => sumOver(pid, async (one) => {
    const rollup = await readFile(`/proc/${one}/smaps_rollup`, 'utf8').catch(() => '');
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(rollup);
    return found && Number(found[1]) / 1024;
  });
  const [all, own] = [await of('Pss'), await of('Pss_Anon')];
  return all === null || own === null ? null : { all, own };
}

/** Processor time that a process and those it started have taken so far, with all their threads, seconds; null where the system does not tell. */
export function processorOf(pid: number): Promise<number | null> {
  return sumOver(pid, async (one) => {
    const stat = await readFile(`/proc/${one}/stat`, 'utf8').catch(() => '');
    // Behind the program's name, which may hold anything, the 12th and 13th words are its time and the system's for it.
    const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return stat === '' ? null : (Number(words[11]) + Number(words[12])) / TICKS_A_SECOND;
  });
}
