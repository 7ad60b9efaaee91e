// `npm run bench`: measures the stages against their targets (DESIGN §8) and against what this machine could do
// at best. Measurements, not tests: a missed target is printed, and is no failure.
import { readFile, writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { answerOf, startChild, stopChild } from './child.ts';
import { ROWS as GROWTH_ROWS } from './growth.ts';
import { describe, machine } from './machine.ts';
import { ROWS as PIPELINE_ROWS } from './pipeline.ts';
import { met, secondsSince, table, type BenchOptions, type Measurement, type Row } from './report.ts';
import { STAGES, type Stage } from './stage.ts';

const STAGE_MS = 60 * 60_000;

/** Measures a stage in a process of its own, so that no stage measures another's garbage. */
async function measured(stage: Stage, options: BenchOptions, mostMs: number): Promise<Measurement[]> {
  const child = startChild('bench/stage.ts', { args: [stage, JSON.stringify(options)] });
  try {
    return await answerOf<Measurement[]>(child, mostMs);
  } finally {
    await stopChild(child);
  }
}

/** Reads one more of an option's values. */
function oneMore<T extends string>(accepted: readonly T[]): (value: string, before?: T[]) => T[] {
  return (value, before = []) => {
    if (!(accepted as readonly string[]).includes(value)) throw new InvalidArgumentError(`It accepts ${accepted.join(', ')}.`);
    return [...before, value as T];
  };
}

function positive(value: string): number {
  const number = Number(value);
  if (!(number > 0 && number <= 1_000_000)) throw new InvalidArgumentError('It accepts a number above 0 and up to 1,000,000.');
  return number;
}

const names = Object.keys(STAGES) as Stage[];
const program = new Command('npm run bench --')
  .description('Measures the stages on this machine, each alone and all together: about three quarters of an hour.')
  .option('--quick', 'smaller data and shorter loads: at most two minutes for everything', false)
  .addOption(new Option('--only <stage>', `measure this stage alone (${names.join(', ')}); can be given several times`)
    .argParser(oneMore(names)))
  .addOption(new Option('--seconds <n>', 'how long each load of the pipeline goes on').argParser(positive))
  .addOption(new Option('--rate <n>', 'events a second of the loads of the pipeline').argParser(positive))
  .addOption(new Option('--row <row>', `of the pipeline (${PIPELINE_ROWS.join(', ')}) or of growth (${GROWTH_ROWS.join(', ')}; full only so), measure this row alone; can be given several times`)
    .argParser(oneMore<Row>([...PIPELINE_ROWS, ...GROWTH_ROWS])))
  .option('--json <file>', 'also write the results to this file')
  .option('--compare <file>', 'set the ratios beside those of an earlier run, of which this is the --json file')
  .parse();
const { only, json, compare, row: rows, ...options } = program.opts<{ only?: Stage[]; json?: string; compare?: string; row?: Row[] } & Omit<BenchOptions, 'rows'>>();
const { quick, seconds: loaded = 0 } = options;

const on = machine();
process.stdout.write(`Footfall, measured${quick ? ' quickly' : ''}: ${describe(on)}\n`);
type Results = Partial<Record<Stage, { seconds: number; limit: string; measurements: (Measurement & { met?: boolean })[] }>>;
const results: Results = {};
const earlier: Results = compare === undefined ? {} : (JSON.parse(await readFile(compare, 'utf8')) as { results: Results }).results;
for (const stage of names.filter((name) => only === undefined || only.includes(name))) {
  const began = performance.now();
  try {
    const measurements = await measured(stage, { ...options, ...(rows && { rows }) }, STAGE_MS + 4000 * loaded);
    const seconds = secondsSince(began);
    process.stdout.write(`${table(stage, STAGES[stage], measurements, earlier[stage]?.measurements)}  measured in ${seconds.toFixed(0)} s\n\n`);
    results[stage] = { seconds, limit: STAGES[stage], measurements: measurements.map((one) => ({ ...one, ...(one.target && { met: met(one)! }) })) };
  } catch (error) {
    process.stdout.write(`${stage} could not be measured: ${(error as Error).message}\n\n`);
    process.exitCode = 1;
  }
}
if (json !== undefined) await writeFile(json, `${JSON.stringify({ machine: on, quick, results }, null, 2)}\n`);
