// The machine the numbers are of; without it they mean nothing.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { version as duckdb } from '@duckdb/node-api';

export interface Machine {
  cpu: string;
  cores: number;
  /** GiB. */
  memory: number;
  platform: string;
  node: string;
  duckdb: string;
  lmdb: string;
  /** ISO time. */
  date: string;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memory: Math.round(totalmem() / 2 ** 30),
    platform: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    duckdb: duckdb(),
    lmdb: lmdbVersion(),
    date: new Date().toISOString(),
  };
}

/** LMDB does not export its package.json, which lies beside the folder of its entry point. */
function lmdbVersion(): string {
  const entry = createRequire(import.meta.url).resolve('lmdb');
  const text = readFileSync(join(dirname(entry), '..', 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** As two lines for the head of the report. */
export function describe(of: Machine): string {
  return `${of.date} · ${of.cpu}, ${of.cores} cores, ${of.memory} GiB · ${of.platform}\n` +
    `Node ${of.node} · DuckDB ${of.duckdb} · LMDB (lmdb) ${of.lmdb}\n`;
}
