// The visitor's register in a HyperLogLog, so that plain `max … group by` counts unique visitors in any SQL engine.
import { registerOf } from '../sketch.ts';
import type { Step } from './draft.ts';

export const sketch: Step = (draft) => {
  if (draft.visitor === undefined) return undefined;
  const { bucket, rank } = registerOf(draft.visitor);
  draft.sketch_bucket = bucket;
  draft.sketch_rank = rank;
  return undefined;
};
