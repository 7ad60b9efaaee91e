// The command `npm run import -- access.log --site shop`: its arguments, its progress and its summary.
// next: local/import-log.ts
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { SingleBar } from 'cli-progress';
import { Command } from 'commander';
import { quote } from '../core/event.ts';
import { localDayAt } from '../core/zone.ts';
import { givenKey } from './client.ts';
import { ImportError, importLog, numberText, total, type ImportSummary } from './import-log.ts';
import { isMain } from './main.ts';

const PROGRESS_LINE_MS = 3000;
const SHOWN_REASONS = 8;

async function main(): Promise<void> {
  const command = new Command('import')
    .usage('-- <file> --site <id> [options]')
    .description('Sends the page views of an access log (common or combined format) to Footfall.')
    .argument('<file>', 'the log, plain or gzip; - for the standard input')
    .requiredOption('--site <id>', 'the site the page views belong to')
    .option('--key <key>', 'write or admin key (default: FOOTFALL_KEY, then FOOTFALL_ADMIN_KEY of the environment)')
    .option('--url <url>', 'where Footfall answers', 'http://localhost:8787')
    .option('--base-url <url>', "what the log's paths belong to (default: https://<site>.example)")
    .parse();
  const [file = ''] = command.args;
  const { site, key, url, baseUrl } = command.opts<{ site: string; key?: string; url: string; baseUrl?: string }>();

  const interruption = new AbortController();
  process.once('SIGINT', () => { interruption.abort(); });
  process.once('SIGTERM', () => { interruption.abort(); });
  const started = performance.now();
  try {
    const found = givenKey(key);
    if (!found) throw new ImportError('no key: pass --key, or set FOOTFALL_KEY or FOOTFALL_ADMIN_KEY');
    const { input, size } = await openInput(file);
    const { report, update, end } = progressOf(size);
    const summary = await importLog({
      input, site, key: found, url, ...(baseUrl !== undefined && { baseUrl }), report, progress: update, signal: interruption.signal,
    }).finally(end);
    process.stdout.write(`${summaryLines(summary, (performance.now() - started) / 1000).join('\n')}\n`);
  } catch (error) {
    if (!(error instanceof ImportError)) throw error;
    process.stderr.write(`import: ${error.message}\n`);
    process.exitCode = 1;
  }
}

/** The log to read, and its size in bytes where that is known. */
async function openInput(file: string): Promise<{ input: Readable; size?: number }> {
  if (file === '-') return { input: process.stdin };
  try {
    const handle = await open(file);
    const stat = await handle.stat();
    if (stat.isDirectory()) {
      await handle.close();
      throw new ImportError(`${quote(file)} is a folder: accepts a log file, or - for the standard input`);
    }
    return { input: handle.createReadStream(), ...(stat.isFile() && { size: stat.size }) };
  } catch (error) {
    throw error instanceof ImportError ? error : new ImportError(`${quote(file)} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

interface Progress { report: (line: string) => void; update: (summary: ImportSummary) => void; end: () => void }

/** A bar where stderr is a terminal and the size is known, else a plain line every few seconds. */
function progressOf(size: number | undefined): Progress {
  const write = (line: string) => { process.stderr.write(`${line}\n`); };
  if (!process.stderr.isTTY || size === undefined) {
    let last = Date.now();
    return {
      report: write,
      update: ({ bytes, lines, accepted }) => {
        if (Date.now() - last < PROGRESS_LINE_MS) return;
        last = Date.now();
        const read = size === undefined ? `${numberText(bytes)} bytes` : `${Math.floor((bytes / size) * 100)} %`;
        write(`${read} read, ${numberText(lines)} lines, ${numberText(accepted)} page views accepted`);
      },
      end: () => undefined,
    };
  }
  const format = '{bar} {percentage} % | {lines} lines | {accepted} page views accepted | {eta_formatted} left';
  const bar = new SingleBar({ format, forceRedraw: true, gracefulExit: false, hideCursor: true });
  bar.start(size, 0, { lines: '0', accepted: '0' });
  return {
    // The bar stands on the last line: clear it, write, and let the bar draw itself below.
    report: (line) => { write(`\r\u001b[K${line}`); },
    update: ({ bytes, lines, accepted }) => { bar.update(bytes, { lines: numberText(lines), accepted: numberText(accepted) }); },
    end: () => { bar.stop(); },
  };
}

/**
 * The summary as lines of text, ending with the command that shows the imported numbers.
 * @param seconds how long the import took
 */
export function summaryLines(summary: ImportSummary, seconds: number): string[] {
  const { site, url, timeZone, earliest, latest } = summary;
  const lines = [
    `lines: ${numberText(summary.lines)}`,
    `page views sent: ${numberText(summary.sent)}`,
    `accepted: ${numberText(summary.accepted)}`,
    `rejected: ${countsText(summary.rejected)}`,
    `not a page view: ${countsText(summary.notPageViews)}`,
    `malformed: ${numberText(summary.malformed)}`,
    `seconds: ${seconds.toFixed(1)}`,
  ];
  if (earliest === undefined || latest === undefined) return lines;
  const range = `from=${localDayAt(timeZone, earliest)}&to=${localDayAt(timeZone, latest)}`;
  return [
    ...lines,
    'The numbers, in about a minute, with a read or admin key in FOOTFALL_KEY:',
    `  curl -H "Authorization: Bearer $FOOTFALL_KEY" "${url}/v1/sites/${site}/stats?${range}"`,
  ];
}

/** `3,412 (other file 3,000 · status 404 213)`: the sum, then the most frequent reasons. */
function countsText(counts: Map<string, number>): string {
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  const shown = sorted.slice(0, SHOWN_REASONS).map(([reason, n]) => `${reason} ${numberText(n)}`);
  const rest = sorted.slice(SHOWN_REASONS);
  if (rest.length > 0) shown.push(`${rest.length} other reasons ${numberText(total(rest))}`);
  return shown.length === 0 ? '0' : `${numberText(total(sorted))} (${shown.join(' · ')})`;
}

if (isMain(import.meta.filename)) await main();
