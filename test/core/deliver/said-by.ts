// What a step says of an event: the columns it fills, or its refusal.
import type { Context, Draft, Step } from '../../../core/deliver/draft.ts';
import type { Refused } from '../../../core/event.ts';

/** Runs one step on a draft. A column counts as filled where the step writes it, whatever was there before. */
export function saidBy(step: Step, draft: Draft, context: Context): Partial<Draft> | Refused {
  const filled: Record<string, unknown> = {};
  const watched = new Proxy(draft, {
    set(target, name, value) {
      filled[String(name)] = value;
      return Reflect.set(target, name, value);
    },
  });
  return step(watched, context) ?? filled;
}
