import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openEnvironment } from '../../local/lmdb.ts';
import { start } from '../../local/start.ts';
import { lmdbStore } from '../../local/store.ts';
import { temporaryFolder } from '../process.ts';

const options = (dataFolder: string) => ({ dataFolder, port: 0, host: '127.0.0.1', report: () => undefined });

test('A data folder is opened again by the version that wrote it', async () => {
  const folder = temporaryFolder();
  for (let i = 0; i < 2; i++) await (await start(options(folder))).stop();
});

for (const [whose, item] of [
  ['of before formats were noted', { pk: 'hours', sk: '2026-01-01T00', run: 'r' }],
  ['of a version to come', { pk: 'status', sk: 'format', version: 99 }],
] as const) {
  test(`A data folder ${whose} is refused with a sentence, and left as it is`, async () => {
    const folder = temporaryFolder();
    const change = async <T>(work: (registry: ReturnType<typeof lmdbStore>) => Promise<T>) => {
      const environment = openEnvironment(join(folder, 'store'));
      try {
        return await work(lmdbStore(environment, 'registry'));
      } finally {
        await environment.close();
      }
    };
    await change((registry) => registry.put([item]));
    await assert.rejects(start(options(folder)), (error: Error) => error.name === 'CannotStart' && /^The data folder .* has format (1|99), this Footfall reads 2: set FOOTFALL_DATA/.test(error.message));
    assert.equal((await change((registry) => registry.get(item.pk, item.sk)))?.version, 'version' in item ? 99 : undefined);
  });
}
