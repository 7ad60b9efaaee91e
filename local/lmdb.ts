// Opening LMDB, with the one promise everything relies on: what `durably` resolved is on disk.
import { open, type RootDatabase } from 'lmdb';

/**
 * Opens (or creates) an LMDB environment in a folder.
 * Commits overlap with syncing to disk, which is what makes thousands of durable requests a second possible;
 * `durably` waits for the sync.
 */
export function openEnvironment(folder: string): RootDatabase {
  return open({ path: folder, noSubdir: false, maxDbs: 8 });
}

/** Resolves when the write has been committed and is on disk; rejects when it was not. */
export async function durably(environment: RootDatabase, write: Promise<unknown>): Promise<void> {
  await write;
  await environment.flushed;
}
