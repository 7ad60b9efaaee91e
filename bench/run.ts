// `npm run bench`: measures the stages against their targets (DESIGN §8) and against what this machine could do
// at best. Measurements, not tests: a missed target is printed, and is no failure.
import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { answerOf, startChild, stopChild } from './child.ts';
import { describe, machine } from './machine.ts';
import { met, secondsSince, table, type BenchOptions, type Measurement } from './report.ts';
import { STAGES, type Stage } from './stage.ts';

const STAGE_MS = 60 * 60_000;

/** Measures a stage in a process of its own, so that no stage measures another's garbage. */
async function measured(stage: Stage, options: BenchOptions): Promise<Measurement[]> {
  const child = startChild('bench/stage.ts', { args: [stage, JSON.stringify(options)] });
  try {
    return await answerOf<Measurement[]>(child, STAGE_MS);
  } finally {
    await stopChild(child);
  }
}

const names = Object.keys(STAGES) as Stage[];
const program = new Command('npm run bench --')
  .description('Measures collect, deliver, rollup, serve and reprocessing on this machine.')
  .option('--quick', 'smaller data and shorter loads: five minutes for everything', false)
  .addOption(new Option('--only <stage>', `measure this stage alone (${names.join(', ')}); can be given several times`)
    .argParser<Stage[] | undefined>((value, before = []) => {
      if (!names.includes(value as Stage)) throw new InvalidArgumentError(`It accepts ${names.join(', ')}.`);
      return [...before, value as Stage];
    }))
  .option('--json <file>', 'also write the results to this file')
  .parse();
const { quick, only, json } = program.opts<{ quick: boolean; only?: Stage[]; json?: string }>();

const on = machine();
process.stdout.write(`Footfall, measured${quick ? ' quickly' : ''}: ${describe(on)}\n`);
const results: Partial<Record<Stage, { seconds: number; limit: string; measurements: (Measurement & { met?: boolean })[] }>> = {};
for (const stage of names.filter((name) => only === undefined || only.includes(name))) {
  const began = performance.now();
  try {
    const measurements = await measured(stage, { quick });
    const seconds = secondsSince(began);
    process.stdout.write(`${table(stage, STAGES[stage], measurements)}  measured in ${seconds.toFixed(0)} s\n\n`);
    results[stage] = { seconds, limit: STAGES[stage], measurements: measurements.map((one) => ({ ...one, ...(one.target && { met: met(one)! }) })) };
  } catch (error) {
    process.stdout.write(`${stage} could not be measured: ${(error as Error).message}\n\n`);
    process.exitCode = 1;
  }
}
if (json !== undefined) await writeFile(json, `${JSON.stringify({ machine: on, quick, results }, null, 2)}\n`);
