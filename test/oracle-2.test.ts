// The other half of what test/oracle.test.ts tries, in a process of its own.
import { test } from 'node:test';
import { openPipeline } from './pipeline.ts';
import { whateverHappens } from './scenario.ts';

test('The pipeline and the oracle agree on whatever else happens', async (t) => {
  const pipeline = await openPipeline(t, '2012-01-01T00:00:00Z');
  let runs = 0;
  await whateverHappens(t, pipeline, 1, () => runs++);
});
