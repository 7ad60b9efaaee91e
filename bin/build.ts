// `npm run build`: the functions' code, with the size of each beside what it may have.
import { bundle } from '../lib/bundle.ts';

const kB = (bytes: number) => `${Math.round(bytes / 1000)} KB`;
for (const { name, bytes, limit } of bundle()) process.stdout.write(`${name.padEnd(10)} ${kB(bytes).padStart(7)} of ${kB(limit).padStart(8)}\n`);
