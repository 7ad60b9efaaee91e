// What every adapter of a port promises. The suites take the adapter as a parameter, so that each deployment's passes
// the same ones.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Store, Stream, Tasks } from '../core/ports.ts';
import { openEnvironment } from '../local/lmdb.ts';
import { lmdbStore } from '../local/store.ts';
import { lmdbLog } from '../local/stream.ts';
import { lmdbTasks } from '../local/tasks.ts';
import { temporaryFolder } from './process.ts';

/** Opens an adapter, and opens it again as a new process would. */
type Open<T> = (t: TestContext) => { open: () => T; close: () => Promise<void> };

function lmdb<T>(make: (environment: ReturnType<typeof openEnvironment>) => T): Open<T> {
  return (t) => {
    const folder = join(temporaryFolder(), 'lmdb');
    let environment: ReturnType<typeof openEnvironment> | undefined;
    const close = async () => { await environment?.close(); environment = undefined; };
    t.after(close);
    return { open: () => make(environment = openEnvironment(folder)), close };
  };
}

function storeContract(name: string, opening: Open<Store>): void {
  test(`${name}: an item comes back as it was put, with every kind of attribute`, async (t) => {
    const store = opening(t).open();
    const item = { pk: 'a', sk: 'H#1', text: 'ü\u0000"', number: 1.5, flag: false, nothing: null, list: [1, [2]], map: { x: { y: 1 } }, bytes: new Uint8Array([0, 255]) };
    await store.put([item]);
    const { bytes, ...rest } = (await store.get('a', 'H#1'))!;
    assert.deepEqual(Uint8Array.from(bytes as Uint8Array), item.bytes);
    assert.deepEqual({ ...rest, bytes: item.bytes }, item);
    assert.equal(await store.get('a', 'H#2'), undefined);
  });

  test(`${name}: a range has the items between two sort keys, both included, in their order`, async (t) => {
    const store = opening(t).open();
    await store.put(['D#3', 'D#1', 'E#1', 'D#2', 'D#10'].map((sk) => ({ pk: 'site', sk, n: sk })));
    await store.put([{ pk: 'site2', sk: 'D#1' }, { pk: 'sit', sk: 'D#2' }]);
    assert.deepEqual((await store.range('site', 'D#1', 'D#3')).map(({ sk }) => sk), ['D#1', 'D#10', 'D#2', 'D#3']);
    assert.deepEqual((await store.range('site', 'D#1', 'D#3', 2)).map(({ sk }) => sk), ['D#1', 'D#10']);
    assert.deepEqual(await store.range('site', 'F', 'G'), []);
  });

  test(`${name}: a put replaces the whole item`, async (t) => {
    const store = opening(t).open();
    await store.put([{ pk: 'a', sk: 'b', old: 1 }]);
    await store.put([{ pk: 'a', sk: 'b', now: 2 }]);
    assert.deepEqual(await store.get('a', 'b'), { pk: 'a', sk: 'b', now: 2 });
  });

  test(`${name}: of several that create the same item one succeeds, and its item stays`, async (t) => {
    const store = opening(t).open();
    const outcomes = await Promise.all([1, 2, 3].map((by) => store.create({ pk: 'salts', sk: 'day', by })));
    assert.equal(outcomes.filter(Boolean).length, 1);
    assert.equal((await store.get('salts', 'day'))!.by, outcomes.indexOf(true) + 1);
    assert.equal(await store.create({ pk: 'salts', sk: 'day', by: 9 }), false);
  });

  test(`${name}: what was removed is gone, and what was not there can be removed`, async (t) => {
    const store = opening(t).open();
    await store.put([{ pk: 'a', sk: 'b' }, { pk: 'a', sk: 'c' }]);
    await store.remove([{ pk: 'a', sk: 'b' }, { pk: 'x', sk: 'y' }]);
    assert.deepEqual(await store.range('a', '', '~'), [{ pk: 'a', sk: 'c' }]);
  });

  test(`${name}: a thousand items at once are all there for the next process`, async (t) => {
    const { open, close } = opening(t);
    await open().put(Array.from({ length: 1000 }, (_, i) => ({ pk: 'many', sk: String(i).padStart(4, '0'), i })));
    await close();
    assert.deepEqual((await open().range('many', '', '~')).map(({ i }) => i), Array.from({ length: 1000 }, (_, i) => i));
  });
}

function streamContract(name: string, opening: Open<Stream & { read: (limit: number, maxChars: number) => { data: string }[] }>): void {
  test(`${name}: what was put is there for the next process, in order`, async (t) => {
    const { open, close } = opening(t);
    const stream = open();
    await stream.put([]);
    await stream.put(['a', 'b']);
    await stream.put(['{"c":"ü\\u0000"}']);
    await close();
    assert.deepEqual(open().read(10, 1e6).map(({ data }) => data), ['a', 'b', '{"c":"ü\\u0000"}']);
  });
}

function tasksContract(name: string, opening: Open<Tasks>): void {
  test(`${name}: sending nothing is no error`, async (t) => {
    const tasks = opening(t).open();
    await tasks.send([]);
    assert.deepEqual(await tasks.parked(), []);
  });
}

storeContract('LMDB store', lmdb((environment) => lmdbStore(environment, 'store')));
streamContract('LMDB log', lmdb((environment) => lmdbLog(environment, Date.now, () => undefined)));
tasksContract('LMDB tasks', lmdb((environment) => lmdbTasks(environment, () => 0)));
