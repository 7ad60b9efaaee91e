import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openEnvironment } from '../../local/lmdb.ts';
import { lmdbLog } from '../../local/stream.ts';
import { temporaryFolder } from '../process.ts';

function folderOf() {
  const folder = join(temporaryFolder(), 'stream');
  return async <T>(work: (log: ReturnType<typeof lmdbLog>) => Promise<T>): Promise<T> => {
    const environment = openEnvironment(folder);
    try {
      return await work(lmdbLog(environment, Date.now, () => undefined));
    } finally {
      await environment.close();
    }
  };
}

test('Records up to the checkpoint are not read again, also by the next process', async () => {
  const opened = folderOf();
  await opened(async (log) => {
    await log.put(['a', 'b', 'c']);
    const [, second] = log.read(10, 100);
    await log.checkpoint(second!.position);
    assert.deepEqual(log.read(10, 100).map(({ data }) => data), ['c']);
  });
  await opened(async (log) => {
    assert.deepEqual(log.read(10, 100).map(({ data }) => data), ['c']);
    await log.put(['d']);
    assert.deepEqual(log.read(10, 100).map(({ data }) => data), ['c', 'd']);
  });
});

test('A log that was read to its end takes new records behind its checkpoint', async () => {
  const opened = folderOf();
  await opened(async (log) => {
    await log.put(['a', 'b']);
    await log.checkpoint(log.read(10, 100)[1]!.position);
    assert.equal(log.oldest(), undefined);
  });
  await opened(async (log) => {
    await log.put(['c']);
    assert.equal(log.oldest()?.data, 'c');
  });
});

test('A read ends at its limit of records, and at the record that reaches its limit of characters', async () => {
  await folderOf()(async (log) => {
    await log.put(['aaaa', 'bbbb', 'cccc']);
    assert.equal(log.read(2, 100).length, 2);
    assert.equal(log.read(10, 5).length, 2);
    assert.equal(log.read(10, 1).length, 1);
  });
});

test('What is on its way to the disk is not delivered either, and counts from when it was put', async () => {
  await folderOf()(async (log) => {
    assert.equal(log.undeliveredSince(), undefined);
    const before = Date.now();
    const first = log.put(['a']);
    const since = log.undeliveredSince()!;
    assert.ok(since >= before && since <= Date.now());
    assert.equal(log.oldest(), undefined, 'it is not there yet');
    const second = log.put(['b']);
    await Promise.all([first, second]);
    assert.equal(log.undeliveredSince(), since);
    await log.checkpoint(log.read(10, 100)[1]!.position);
    assert.equal(log.undeliveredSince(), undefined);
  });
});
