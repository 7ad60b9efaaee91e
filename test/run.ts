// Runs every test file (or those whose path contains one of the arguments) with Node's own test runner.
// A file list, not a glob: Node 20's runner has no globs, and Windows' shell expands none.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const wanted = process.argv.slice(2);
const files = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => join(import.meta.dirname, file))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort();

if (files.length === 0) throw new Error(`no test file's path contains ${wanted.join(' or ')}`);
const events = run({ files, concurrency: 2, timeout: 300_000 });
events.on('test:fail', () => { process.exitCode = 1; });
events.pipe(new spec()).pipe(process.stdout);
