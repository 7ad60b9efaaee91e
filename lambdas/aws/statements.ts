// The statements of `sql/`, which lie in a folder beside a function's bundle. next: lambdas/aws/lake.ts
import { readFile, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Statement } from '../../core/ports.ts';

/** The statements' texts by name. */
export async function readStatements(folder: string): Promise<ReadonlyMap<Statement, string>> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql'));
  return new Map(await Promise.all(files.map(async (file) => [basename(file, '.sql') as Statement, await readFile(join(folder, file), 'utf8')] as const)));
}
