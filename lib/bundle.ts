// The code of all functions, put together by one call of esbuild: dist/functions/<name>/index.mjs and the files it reads.
// before: lambdas/; next: lib/functions.ts, which uploads each folder
import { copyFileSync, cpSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { ENVIRONMENT, type FunctionName } from '../lambdas/environment.ts';

const ROOT = join(import.meta.dirname, '..');
export const DIST = join(ROOT, 'dist', 'functions');
const NAMES = Object.keys(ENVIRONMENT) as FunctionName[];

/** Most bytes of a function's code: what is larger starts slower, and the transform starts most often. */
export function limitOf(name: FunctionName): number {
  return 1000 * ({ transform: 600, serve: 500 }[name as string] ?? 1000);
}

/** Files that a function reads at run time, beside its code. */
const FILES: { [F in FunctionName]?: (folder: string) => void } = {
  transform: (folder) => {
    const country = createRequire(import.meta.url).resolve('@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb');
    copyFileSync(country, join(folder, 'country.mmdb'));
  },
  rollup: (folder) => { cpSync(join(ROOT, 'sql'), join(folder, 'sql'), { recursive: true }); },
};

export interface Bundle {
  name: FunctionName;
  bytes: number;
  limit: number;
  /** What went into it, as paths from the project's root. */
  inputs: string[];
}

/** Bundles the functions into `folder`, in place of what is there. Throws where one is larger than it may be. */
export function bundle(folder: string = DIST, names: readonly FunctionName[] = NAMES): Bundle[] {
  rmSync(folder, { recursive: true, force: true });
  const { metafile } = buildSync({
    absWorkingDir: ROOT,
    entryPoints: names.map((name) => ({ in: `lambdas/${name}.ts`, out: `${name}/index` })),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    // A package's modern form can be cut down to what is used of it.
    mainFields: ['module', 'main'],
    // The chain of places where a person has credentials; a function has them in its environment.
    alias: { '@aws-sdk/credential-provider-node': join(ROOT, 'lambdas', 'aws', 'credentials.ts') },
    minify: true,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    // For packages that still call `require`; under a name of its own, since modules may import it too.
    banner: { js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);" },
  });
  const bundles = names.map((name) => {
    const [, output] = Object.entries(metafile.outputs).find(([path]) => path.endsWith(`${name}/index.mjs`))!;
    return { name, bytes: output.bytes, limit: limitOf(name), inputs: Object.keys(output.inputs) };
  });
  const tooLarge = bundles.filter(({ bytes, limit }) => bytes > limit);
  if (tooLarge.length > 0) throw new Error(tooLarge.map(({ name, bytes, limit }) => `lambdas/${name}.ts: ${bytes} bytes bundled: accepts at most ${limit}`).join('; '));
  for (const name of names) {
    mkdirSync(join(folder, name), { recursive: true });
    FILES[name]?.(join(folder, name));
  }
  return bundles;
}
