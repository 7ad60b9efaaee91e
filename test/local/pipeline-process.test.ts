import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { api, beacon, countedUntilNow, eventsOf, makeSite, startProcess, temporaryFolder, until, type Process } from '../process.ts';

const TODAY = 'range=today';
const onLinux = { skip: process.platform !== 'linux' && 'the process behind the log is found by /proc' };

/** The process behind the log, once there is one. */
function behindTheLog({ child }: Process): Promise<number> {
  return until(() => Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim()) || undefined, 'the process behind the log');
}

test('What is behind the log is started again when it is killed, and until then beacons are taken and numbers are read', onLinux, async (t) => {
  const footfall = await startProcess(t, temporaryFolder());
  const { url } = footfall;
  await makeSite(url, 'shop');
  const send = async () => { assert.equal((await beacon(url, 'shop', [{ name: 'page_view' }])).status, 204); };
  await send();
  await countedUntilNow(url);

  const killed = await behindTheLog(footfall);
  process.kill(killed, 'SIGKILL');
  await until(() => footfall.output().includes('(SIGKILL) and is started again in 1 s') || undefined, 'the report');
  await send();
  assert.equal(await eventsOf(url, 'shop', TODAY), 1);
  assert.equal((await api<{ oldest_undelivered_seconds: number | null }>(url, 'GET', '/v1/health')).oldest_undelivered_seconds, 0);

  await countedUntilNow(url);
  assert.equal(await eventsOf(url, 'shop', TODAY), 2);
  assert.notEqual(await behindTheLog(footfall), killed);
  await footfall.end();
  assert.equal(footfall.child.exitCode, 0);
});

test('A process that is stopped while it waits to start what is behind the log again ends, and loses nothing', onLinux, async (t) => {
  const folder = temporaryFolder();
  const first = await startProcess(t, folder);
  await makeSite(first.url, 'shop');
  process.kill(await behindTheLog(first), 'SIGKILL');
  await until(() => first.output().includes('is started again') || undefined, 'the report');
  assert.equal((await beacon(first.url, 'shop', [{ name: 'page_view' }])).status, 204);
  await first.end();
  assert.equal(first.child.exitCode, 0);

  const second = await startProcess(t, folder);
  await countedUntilNow(second.url);
  assert.equal(await eventsOf(second.url, 'shop', TODAY), 1);
});

test('What is behind the log has less of the processor than the doors, with all its threads', onLinux, async (t) => {
  const footfall = await startProcess(t, temporaryFolder());
  await makeSite(footfall.url, 'shop');
  assert.equal((await beacon(footfall.url, 'shop', [{ name: 'page_view' }])).status, 204);
  await countedUntilNow(footfall.url);
  const niceOf = (pid: number, thread: number) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
  };
  const behind = await behindTheLog(footfall);
  const threads = readdirSync(`/proc/${behind}/task`).map(Number);
  assert.ok(threads.length > 4);
  assert.deepEqual(threads.filter((thread) => niceOf(behind, thread) <= niceOf(footfall.child.pid!, footfall.child.pid!)), []);
});
