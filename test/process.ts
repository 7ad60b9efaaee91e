// The real process, as a newcomer starts it, on a free port and a folder of its own.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { TestContext } from 'node:test';
import './answers.ts';

export const ROOT = join(import.meta.dirname, '..');
/** A browser of a person: what Node's own fetch says of itself counts as a bot. */
export const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0';
export const ADMIN_KEY = `ff_admin_${'T'.repeat(43)}`;

/** A folder that is gone when the test file has ended, and with it whatever had the folder open. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'footfall-test-'));
  folders.push(folder);
  return folder;
}

const folders: string[] = [];
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

export interface Ended { code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }

export interface Process {
  url: string;
  child: ChildProcess;
  output: () => string;
  /** Ends the process; resolves when it has ended. */
  end: (signal?: NodeJS.Signals) => Promise<void>;
}

function environmentOf(data: string, more: Record<string, string>): NodeJS.ProcessEnv {
  return {
    ...process.env, FOOTFALL_DATA: data, PORT: '0', FOOTFALL_ADMIN_KEY: ADMIN_KEY,
    FOOTFALL_DELIVER_SECONDS: '0.1', FOOTFALL_ROLLUP_SECONDS: '0.1', FOOTFALL_ROLLUP_SHARE: '1', ...more,
  };
}

/** Runs a program of the project to its end; ended by force after 60 seconds. */
export async function runToEnd(t: TestContext, script: string, args: string[], environment: NodeJS.ProcessEnv): Promise<Ended> {
  const child = spawn(process.execPath, ['--import', 'tsx', script, ...args], { cwd: ROOT, env: environment });
  t.after(() => { child.kill('SIGKILL'); });
  const limit = setTimeout(() => child.kill('SIGKILL'), 60_000);
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  clearTimeout(limit);
  return { code, signal, stdout: stdout(), stderr: stderr() };
}

/** Runs `npm start` where it is expected to give up. */
export function runToRefusal(t: TestContext, data: string, more: Record<string, string> = {}): Promise<Ended> {
  return runToEnd(t, 'local/start.ts', [], environmentOf(data, more));
}

/** Starts the pipeline on the data folder; resolves when it says that it is ready. */
export async function startProcess(t: TestContext, data: string, more: Record<string, string> = {}, command: string[] = [process.execPath]): Promise<Process> {
  const child = spawn(command[0]!, [...command.slice(1), '--import', 'tsx', 'local/start.ts'], { cwd: ROOT, env: environmentOf(data, more) });
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  const output = () => stdout() + stderr();
  const ended = once(child, 'close');
  const end = async (signal: NodeJS.Signals = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await ended;
  };
  t.after(() => end('SIGKILL'));
  const url = await until(() => {
    if (child.exitCode !== null) throw new Error(`the process ended: ${output()}`);
    return /Footfall is ready on (\S+)/.exec(stdout())?.[1];
  }, 'the process to be ready');
  return { url, child, output, end };
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => { text += chunk; });
  return () => text;
}

/** Asks again until there is an answer; fails after 60 seconds. */
export async function until<T>(ask: () => T | undefined | Promise<T | undefined>, what: string): Promise<T> {
  for (let i = 0; i < 1200; i++) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await pause(50);
  }
  throw new Error(`waited 60 seconds for ${what}`);
}

/** Resolves when everything sent before now is in the numbers. */
export async function countedUntilNow(url: string): Promise<void> {
  const now = Date.now();
  await until(async () => {
    const { complete_through } = await (await fetch(`${url}/v1/health`)).json() as { complete_through: string | null };
    return complete_through !== null && Date.parse(complete_through) > now ? true : undefined;
  }, 'the rollup');
}

/** Asks the API with the admin key (or another); fails on any status but a good one. */
export async function api<T>(url: string, method: string, path: string, body?: unknown, key = ADMIN_KEY): Promise<T> {
  const response = await fetch(url + path, {
    method, headers: { authorization: `Bearer ${key}` }, ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

/** Events of a site in the numbers of a range, such as `range=today`. */
export async function eventsOf(url: string, site: string, range: string): Promise<number> {
  const { results } = await api<{ results: { metrics: { events: number } }[] }>(url, 'GET', `/v1/sites/${site}/stats?${range}&metrics=events`);
  return results[0]!.metrics.events;
}

/** Makes a site and a key for its server door. */
export async function makeSite(url: string, id: string, settings: Record<string, unknown> = {}): Promise<string> {
  await api(url, 'PUT', `/v1/sites/${id}`, { name: id, timezone: 'UTC', currency: 'EUR', ...settings });
  return (await api<{ key: string }>(url, 'POST', `/v1/sites/${id}/keys`, { scope: 'write', label: 'test' })).key;
}

/** Sends events through the beacon, as a browser does. */
export function beacon(url: string, site: string, events: unknown[], userAgent = BROWSER): Promise<Response> {
  return fetch(`${url}/e`, { method: 'POST', headers: { 'content-type': 'text/plain', 'user-agent': userAgent }, body: JSON.stringify({ site, events }) });
}
