import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { overlapping } from '../../core/overlap.ts';

test('A piece goes on while the next is prepared, and no two at once', async () => {
  const seen: string[] = [];
  await overlapping(async (begin) => {
    for (const name of ['a', 'b', 'c']) {
      seen.push(`prepare ${name}`);
      await begin(async () => {
        seen.push(`begin ${name}`);
        await turn();
        seen.push(`end ${name}`);
      });
    }
  });
  assert.deepEqual(seen, ['prepare a', 'begin a', 'prepare b', 'end a', 'begin b', 'prepare c', 'end b', 'begin c', 'end c']);
});

test('A piece that fails is told, be it the last one, and none begins behind it', async () => {
  for (const failing of [0, 1, 2]) {
    const begun: number[] = [];
    await assert.rejects(overlapping(async (begin) => {
      for (const i of [0, 1, 2]) {
        await begin(async () => {
          begun.push(i);
          await turn();
          if (i === failing) throw new Error('full disk');
        });
      }
    }), /^Error: full disk$/);
    assert.deepEqual(begun, [0, 1, 2].slice(0, failing + 1));
  }
});

test('What fails in the preparing is told when the piece under way has ended, and goes before what that one says', async () => {
  for (const piece of [async () => undefined, async () => { throw new Error('of the piece'); }]) {
    let ended = false;
    await assert.rejects(overlapping(async (begin) => {
      await begin(async () => {
        await turn();
        ended = true;
        await piece();
      });
      throw new Error('of the preparing');
    }), /^Error: of the preparing$/);
    assert.ok(ended);
  }
});
