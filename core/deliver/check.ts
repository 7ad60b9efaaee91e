// Are the event's fields what DESIGN §3 accepts?
import { Refused, checkEvent } from '../event.ts';
import type { Step } from './draft.ts';

export const check: Step = ({ raw, envelope }) => {
  const event = checkEvent(raw, envelope.via, envelope.at);
  return event instanceof Refused ? event : { event, name: event.name };
};
