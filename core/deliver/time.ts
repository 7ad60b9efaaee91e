// When did it happen? A browser's clock is not trusted, the age of its event is; a server's time is.
import { Refused, type Envelope } from '../event.ts';
import { HOUR_MS, QUARTER_MS, hourStart } from '../hour.ts';
import { localDayAt } from '../zone.ts';
import type { Step } from './draft.ts';

/** Start (epoch ms) of the one hour an envelope belongs to. */
export function hourOfEnvelope(envelope: Envelope, firstTime: number | undefined): number {
  return hourStart(envelope.via === 'api' ? (firstTime ?? envelope.at) : envelope.at);
}

export const time: Step = (draft) => {
  const { envelope, event, site } = draft;
  // Until here `ts` is the start of the envelope's hour.
  const start = draft.ts!;
  const happened = envelope.via === 'api' ? (event.time ?? envelope.at) : Math.max(Math.floor(envelope.at - (event.age ?? 0)), start);
  if (happened < start || happened >= start + HOUR_MS) {
    return new Refused('bad_time', `time ${new Date(happened).toISOString()}: accepts a time in the hour of the envelope's other events`);
  }
  draft.ts = happened;
  draft.quarter = Math.floor(happened / QUARTER_MS);
  draft.local_day = localDayAt(site.timezone, happened);
  return undefined;
};
