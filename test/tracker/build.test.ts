import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { TRACKER_BYTES, buildTracker } from '../../tracker/build.ts';

test('The script has at most 2,048 bytes with gzip', async () => {
  const script = await buildTracker();
  assert.equal(TRACKER_BYTES, 2_048);
  assert.ok(gzipSync(script, { level: 9 }).length <= 2_048);
});

test('A script that is too large is refused, with its size', async () => {
  const bytes = gzipSync(await buildTracker(), { level: 9 }).length;
  await assert.rejects(buildTracker({ accepted: bytes - 1 }), { message: `tracker/t.ts: ${bytes} bytes with gzip: accepts at most ${bytes - 1}` });
});

test('A script for doors that are elsewhere has their address, and is no larger than it may be', async () => {
  const script = await buildTracker({ collect: 'https://collect.invalid/' });
  assert.equal(script.split('"https://collect.invalid/e"').length, 2);
  assert.doesNotMatch(await buildTracker(), /https:/);
});

test('The script leaves no name on the page but its own, and needs no eval', async () => {
  const script = await buildTracker();
  assert.match(script, /^\(\(\)=>\{/);
  assert.match(script, /\}\)\(\);\n$/);
  assert.doesNotMatch(script, /\beval\b|new Function|document\.cookie|import\s*\(/);
});
