// Whether a file is the program or only imported: the commands of this folder and of bin/ are libraries, too.
import { realpathSync } from 'node:fs';

/** @param filename `import.meta.filename` of the file that asks */
export function isMain(filename: string): boolean {
  return process.argv[1] !== undefined && filename === realpathSync(process.argv[1]);
}
