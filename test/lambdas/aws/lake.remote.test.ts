// The S3 part of the lake against an S3 that is there: REMOTE=1 AWS_ENDPOINT_URL=http://127.0.0.1:… and any credentials.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { CreateBucketCommand, DeleteBucketCommand, DeleteObjectsCommand, PutObjectCommand, S3Client, paginateListObjectsV2 } from '@aws-sdk/client-s3';
import { s3Lake } from '../../../lambdas/aws/lake.ts';

const { REMOTE, AWS_ENDPOINT_URL } = process.env;
const SKIP = REMOTE === '1' && AWS_ENDPOINT_URL ? false : 'it needs an S3: set REMOTE=1 and AWS_ENDPOINT_URL, with AWS_REGION and credentials';

test('An S3 lists, gives and removes objects as the lake takes it to', { skip: SKIP }, async (t) => {
  const s3 = new S3Client({ forcePathStyle: true });
  const bucket = `footfall-test-${randomBytes(6).toString('hex')}`;
  const keysOf = async (prefix: string) => {
    const keys: string[] = [];
    for await (const { Contents = [] } of paginateListObjectsV2({ client: s3 }, { Bucket: bucket, Prefix: prefix })) keys.push(...Contents.map(({ Key }) => Key!));
    return keys;
  };
  await s3.send(new CreateBucketCommand({ Bucket: bucket }));
  t.after(async () => {
    for (let keys = await keysOf(''); keys.length > 0; keys = keys.slice(1000)) {
      await s3.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects: keys.slice(0, 1000).map((Key) => ({ Key })) } }));
    }
    await s3.send(new DeleteBucketCommand({ Bucket: bucket }));
  });
  const put = (key: string, content: Uint8Array | string) => s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: content }));
  const lake = s3Lake(s3, bucket);
  const all = async <T>(values: AsyncIterable<T>) => {
    const found: T[] = [];
    for await (const value of values) found.push(value);
    return found;
  };

  // About a megabyte unpacked, so that it comes in many chunks, none of which ends where a line does.
  const rows = Array.from({ length: 5000 }, (_, n) => ({ n, text: '€\u2028😀'.repeat(20) }));
  const lines = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  await put('items/run=a/1', lines);
  await put('items/run=a/2.gz', gzipSync(lines));
  await put('items/run=a/3', gzipSync(lines));
  for (const part of ['1', '2.gz', '3']) assert.deepEqual(await all(lake.rows(`items/run=a/${part}`)), rows, part);
  for await (const { n } of lake.rows('items/run=a/1')) {
    assert.equal(n, 0);
    break;
  }
  await assert.rejects(all(lake.rows('items/run=a/none')), /^Error: items\/run=a\/none cannot be read: /);

  await put('raw/dt=2026-11-20/hr=05/b.gz', gzipSync('third\n'));
  await put('raw/dt=2026-11-20/hr=05/a.gz', Buffer.concat([gzipSync('first\n'), gzipSync('second\n')]));
  const parts = await lake.rawParts('2026-11-20T05');
  assert.deepEqual(parts.map(({ name }) => name), ['raw/dt=2026-11-20/hr=05/a.gz', 'raw/dt=2026-11-20/hr=05/b.gz']);
  assert.equal(parts[1]!.bytes, gzipSync('third\n').length);
  assert.deepEqual((await Promise.all(parts.map(({ name }) => all(lake.records(name))))).flat(), ['first', 'second', 'third']);

  // More than a list or a removal holds.
  const names = Array.from({ length: 1100 }, (_, i) => `events/dt=2026-11-20/hr=05/${i}`);
  for (let i = 0; i < names.length; i += 50) await Promise.all(names.slice(i, i + 50).map((name) => put(name, 'row')));
  assert.equal(await lake.sizeOf({ dt: '2026-11-20', hr: '05' }), 3300);
  assert.equal(await lake.sizeOf({ dt: '2026-11-20', hr: '06' }), 0);
  for (let i = 0; i < 1100; i += 50) await Promise.all(names.slice(i, i + 50).map((_, j) => put(`hours/run=a/${i + j}`, 'row')));
  await put('hours/run=ab/1', 'row');
  await lake.remove('hours/run=a');
  assert.deepEqual(await keysOf('hours/'), ['hours/run=ab/1']);
  await lake.remove('hours/run=none');
});
