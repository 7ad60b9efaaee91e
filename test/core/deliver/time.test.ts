import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hourOfEnvelope, time } from '../../../core/deliver/time.ts';
import { Refused, type Event, type Via } from '../../../core/event.ts';
import { HOUR, NOW, contextOf, draftOf, envelopeOf, siteOf } from '../../memory.ts';
import { saidBy } from './said-by.ts';

function happened(via: Via, at: number, said: Partial<Event>, timezone = 'UTC') {
  const start = via === 'api' && said.time !== undefined ? HOUR : at - (at % 3_600_000);
  return saidBy(time, draftOf({ envelope: envelopeOf({ via, at }), event: { name: 'x', ...said }, site: siteOf({ timezone }), ts: start }), contextOf());
}

const WHEN: [name: string, via: Via, said: Partial<Event>, expected: number | 'bad_time'][] = [
  ['without an age it happened when it was received', 'beacon', {}, NOW],
  ['the pixel: the same', 'pixel', {}, NOW],
  ['an age is taken off', 'beacon', { age: 30_250 }, Date.UTC(2026, 10, 20, 10, 17)],
  ['the pixel: the same', 'pixel', { age: 30_250 }, Date.UTC(2026, 10, 20, 10, 17)],
  ['an age of a part of a millisecond makes whole ones', 'beacon', { age: 0.5 }, NOW - 1],
  ['an age back to the start of the hour', 'beacon', { age: NOW - HOUR }, HOUR],
  ['an age beyond the start of the hour stops there', 'beacon', { age: NOW - HOUR + 1 }, HOUR],
  ['the greatest age stops there too', 'beacon', { age: 1_800_000 }, HOUR],
  ['the server door: its time counts', 'api', { time: HOUR + 1 }, HOUR + 1],
  ['the server door: the first moment of the hour', 'api', { time: HOUR }, HOUR],
  ['the server door: the last moment of the hour', 'api', { time: HOUR + 3_599_999 }, HOUR + 3_599_999],
  ['the server door: a time after the hour of its envelope', 'api', { time: HOUR + 3_600_000 }, 'bad_time'],
  ['the server door: a time before the hour of its envelope', 'api', { time: HOUR - 1 }, 'bad_time'],
  ['the server door: without time it happened when it was received', 'api', {}, NOW],
];
for (const [name, via, said, expected] of WHEN) {
  test(name, () => {
    const outcome = happened(via, NOW, said);
    if (expected === 'bad_time') assert.equal((outcome as Refused).reason, 'bad_time');
    else assert.deepEqual(outcome, { ts: expected, quarter: Math.trunc(expected / 900_000), local_day: '2026-11-20' });
  });
}

// Each line: a zone, and a moment before which it is the one date and from which on it is the other.
const MIDNIGHTS: [zone: string, midnight: string, before: string, after: string][] = [
  ['UTC', '2026-11-20T00:00Z', '2026-11-19', '2026-11-20'],
  ['Asia/Kolkata', '2026-11-20T18:30Z', '2026-11-20', '2026-11-21'],
  ['Asia/Kathmandu', '2026-11-20T18:15Z', '2026-11-20', '2026-11-21'],
  ['Australia/Eucla', '2026-11-20T15:15Z', '2026-11-20', '2026-11-21'],
  ['Pacific/Chatham', '2026-07-20T11:15Z', '2026-07-20', '2026-07-21'],
  ['Pacific/Chatham', '2026-11-20T10:15Z', '2026-11-20', '2026-11-21'],
  ['Pacific/Kiritimati', '2026-11-20T10:00Z', '2026-11-20', '2026-11-21'],
  ['Etc/GMT+12', '2026-11-20T12:00Z', '2026-11-19', '2026-11-20'],
  ['Europe/Berlin', '2026-03-28T23:00Z', '2026-03-28', '2026-03-29'],
  ['Europe/Berlin', '2026-03-29T22:00Z', '2026-03-29', '2026-03-30'],
  ['Europe/Berlin', '2026-10-24T22:00Z', '2026-10-24', '2026-10-25'],
  ['Europe/Berlin', '2026-10-25T23:00Z', '2026-10-25', '2026-10-26'],
  ['America/New_York', '2026-03-08T05:00Z', '2026-03-07', '2026-03-08'],
  ['America/New_York', '2026-03-09T04:00Z', '2026-03-08', '2026-03-09'],
  ['America/New_York', '2026-11-01T04:00Z', '2026-10-31', '2026-11-01'],
  ['America/New_York', '2026-11-02T05:00Z', '2026-11-01', '2026-11-02'],
  ['Australia/Lord_Howe', '2026-04-04T13:00Z', '2026-04-04', '2026-04-05'],
  ['Australia/Lord_Howe', '2026-04-05T13:30Z', '2026-04-05', '2026-04-06'],
  ['Australia/Lord_Howe', '2026-10-03T13:30Z', '2026-10-03', '2026-10-04'],
  ['Australia/Lord_Howe', '2026-10-04T13:00Z', '2026-10-04', '2026-10-05'],
];
for (const [zone, midnight, before, after] of MIDNIGHTS) {
  test(`in ${zone} ${after} begins at ${midnight}`, () => {
    const at = Date.parse(midnight);
    assert.equal((happened('beacon', at - 1, {}, zone) as { local_day: string }).local_day, before);
    assert.equal((happened('beacon', at, {}, zone) as { local_day: string }).local_day, after);
  });
}

const HOURS: [name: string, via: Via, firstTime: number | undefined, expected: number][] = [
  ['the pixel: the hour of receipt', 'pixel', undefined, HOUR],
  ['the beacon: the hour of receipt, whatever its events say', 'beacon', HOUR - 7_200_000, HOUR],
  ['the server door: the hour of its events', 'api', HOUR - 7_200_000 + 5, HOUR - 7_200_000],
  ['the server door: the hour of receipt where no event has a time', 'api', undefined, HOUR],
];
for (const [name, via, firstTime, expected] of HOURS) {
  test(`an envelope belongs to one hour. ${name}`, () => { assert.equal(hourOfEnvelope(envelopeOf({ via }), firstTime), expected); });
}
