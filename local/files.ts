// Files that are either whole and in place, or not there: written aside, synced, renamed.
import { open, mkdir, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Brings a file's or folder's content to the disk. */
export async function sync(path: string): Promise<void> {
  let handle;
  try {
    handle = await open(path, 'r');
    await handle.sync();
  } catch (error) {
    // Windows can neither open nor sync a folder; there a rename is durable by itself.
    if (process.platform !== 'win32') throw error;
  } finally {
    await handle?.close();
  }
}

/** Puts a complete file or folder in its place; when it resolves, it survives a crash. */
export async function moveIntoPlace(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await sync(from);
  await rename(from, to);
  await sync(dirname(to));
}

/** A file that grows by pieces, and exists from the first one on. */
export class GrowingFile {
  #handle: FileHandle | undefined;
  constructor(readonly path: string) {}

  async append(content: Uint8Array | string): Promise<void> {
    this.#handle ??= await open(this.path, 'w');
    await this.#handle.appendFile(content);
  }

  get exists(): boolean {
    return this.#handle !== undefined;
  }

  /** Nothing can be appended any more; called again, it does nothing. */
  async close(): Promise<void> {
    await this.#handle?.close();
  }
}

/** Paths of what is in a folder with this ending, sorted; none where there is no such folder. */
export async function filesIn(folder: string, ending: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith(ending)).sort().map((name) => join(folder, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

export async function removeAll(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}
