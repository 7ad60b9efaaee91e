// Opening LMDB, with the one promise everything relies on: what `durably` resolved is on disk.
import { open, type RootDatabase } from 'lmdb';

/**
 * Opens (or creates) an LMDB environment in a folder.
 * Commits overlap with syncing to disk, which is what makes thousands of durable requests a second possible;
 * `durably` waits for the sync. Writes are committed in the order in which they were called.
 * @param readOnly what another process writes can be read only: this LMDB keeps its list of free pages in memory, and two
 * processes that write end each other's. It must have been created, with its databases.
 */
export function openEnvironment(folder: string, readOnly = false): RootDatabase {
  return open({
    path: folder,
    noSubdir: false,
    maxDbs: 8,
    readOnly,
    // With it, a commit that fails (a full disk) also rejects a promise that nobody can reach, which ends the process.
    eventTurnBatching: false,
  });
}

/** Resolves when the writes have been committed and are on disk; rejects with what the disk said when they were not. */
export async function durably(environment: RootDatabase, writes: readonly Promise<unknown>[]): Promise<void> {
  const outcomes = await Promise.allSettled(writes);
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as Error & { commitError?: Promise<never> }] : []));
  // What the disk said stands in a rejected promise for each commit; one left alone would end the process.
  const [said] = await Promise.allSettled(failures.map(({ commitError }) => commitError ?? Promise.resolve()));
  if (said) throw said.status === 'rejected' ? said.reason : failures[0]!;
  await environment.flushed;
}
