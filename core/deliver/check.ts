// Are the event's fields what DESIGN §3 accepts?
import { Refused, checkEvent } from '../event.ts';
import type { Step } from './draft.ts';

export const check: Step = (draft) => {
  const event = checkEvent(draft.raw, draft.envelope.via, draft.envelope.at);
  if (event instanceof Refused) return event;
  draft.event = event;
  draft.name = event.name;
  return undefined;
};
