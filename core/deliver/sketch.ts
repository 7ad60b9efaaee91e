// The visitor's register in a HyperLogLog, so that plain `max … group by` counts unique visitors in any SQL engine.
import { registerOf } from '../sketch.ts';
import type { Step } from './draft.ts';

export const sketch: Step = ({ visitor }) => {
  if (visitor === undefined) return {};
  const { bucket, rank } = registerOf(visitor);
  return { sketch_bucket: bucket, sketch_rank: rank };
};
