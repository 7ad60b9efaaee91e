// The other half of what test/oracle.test.ts tries, in a process of its own: here hours are rolled up after each delivery, by
// difference.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPipeline } from './pipeline.ts';
import { whateverHappens } from './scenario.ts';

test('The pipeline and the oracle agree on whatever else happens, also by difference', async (t) => {
  const pipeline = await openPipeline(t, '2012-01-01T00:00:00Z', { from: 0, added: 1 });
  const unload = pipeline.lake.unload.bind(pipeline.lake);
  let differences = 0;
  pipeline.lake.unload = (query, prefix) => {
    if (query.statement === 'grown') differences++;
    return unload(query, prefix);
  };
  const deliver = pipeline.deliver.bind(pipeline);
  pipeline.deliver = async () => {
    await deliver();
    await pipeline.rollup();
  };
  let runs = 0;
  await whateverHappens(t, pipeline, 1, () => runs++);
  t.diagnostic(`${differences} times by difference`);
  assert.ok(differences > runs, `only ${differences} times by difference in ${runs} runs`);
});
