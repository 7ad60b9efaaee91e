// The command `npm run admin-key -- --table <name>`: makes an admin key with the credentials of whoever deployed, in the
// registry table that the deployment names (docs/deploy.md). The key is shown once; the table holds its hash.
import { Command } from 'commander';
import { listKeys, newKey, storeKey } from '../core/keys.ts';
import type { Store } from '../core/ports.ts';
import { isMain } from '../local/main.ts';
import { dynamo, dynamoStore } from '../lambdas/aws/store.ts';

/**
 * Makes an admin key. Throws where there is one already, unless another is wanted.
 * @param now ISO time
 */
export async function makeAdminKey(registry: Store, { label, another }: { label: string; another: boolean }, now: string): Promise<string> {
  const keys = await listKeys(registry);
  if (keys.length > 0 && !another) {
    const known = keys.map((key) => `${key.label || key.id}, made ${key.created_at}`).join('; ');
    throw new Error(`there is an admin key already (${known}): pass --another for one more`);
  }
  const key = newKey('admin');
  await storeKey(registry, key, { scope: 'admin', label }, now);
  return key;
}

async function main(): Promise<void> {
  const command = new Command('admin-key')
    .usage('-- --table <name> [options]')
    .description('Makes an admin key of an installation on AWS, with the credentials of the environment.')
    .requiredOption('--table <name>', 'the registry table, which the deployment prints as RegistryTable')
    .option('--label <text>', 'what the key is called in the list of keys', 'made by the deployer')
    .option('--another', 'also where there is one already', false)
    .parse();
  const { table, label, another } = command.opts<{ table: string; label: string; another: boolean }>();
  try {
    const key = await makeAdminKey(dynamoStore(dynamo(), table, { consistent: true }), { label, another }, new Date().toISOString());
    process.stderr.write('Admin key (shown only this once):\n');
    process.stdout.write(`${key}\n`);
  } catch (error) {
    process.stderr.write(`admin-key: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}

if (isMain(import.meta.filename)) await main();
