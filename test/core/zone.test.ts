import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isDay } from '../../core/hour.ts';
import { dayAfter, daysBetween, isTimeZone, localDayAt, localHourAt, offsetAt, startOfLocalDay } from '../../core/zone.ts';

const HOUR = 3_600_000;
const SEED = 20261120;

const STARTS: [zone: string, day: string, start: string, hours: number, why: string][] = [
  ['UTC', '2026-11-20', '2026-11-20T00:00Z', 24, 'plain'],
  ['Asia/Kolkata', '2026-11-20', '2026-11-19T18:30Z', 24, 'half an hour'],
  ['Asia/Kathmandu', '2026-11-20', '2026-11-19T18:15Z', 24, 'three quarters'],
  ['Pacific/Kiritimati', '2026-11-20', '2026-11-19T10:00Z', 24, 'the first to begin'],
  ['Etc/GMT+12', '2026-11-20', '2026-11-20T12:00Z', 24, 'the last to begin'],
  ['Europe/Berlin', '2026-03-29', '2026-03-28T23:00Z', 23, 'summer time begins at 02:00'],
  ['Europe/Berlin', '2026-10-25', '2026-10-24T22:00Z', 25, 'summer time ends at 03:00'],
  ['America/New_York', '2026-03-08', '2026-03-08T05:00Z', 23, 'summer time begins at 02:00'],
  ['America/New_York', '2026-11-01', '2026-11-01T04:00Z', 25, 'summer time ends at 02:00'],
  ['America/Havana', '2026-03-08', '2026-03-08T05:00Z', 23, 'summer time begins at 00:00, there is no midnight'],
  ['America/Havana', '2026-11-01', '2026-11-01T04:00Z', 25, 'summer time ends at 01:00, midnight comes twice'],
  ['America/Sao_Paulo', '2018-11-04', '2018-11-04T03:00Z', 23, 'summer time began at 00:00, there was no midnight'],
  ['America/Sao_Paulo', '2018-02-17', '2018-02-17T02:00Z', 25, 'summer time ended at 24:00, 23:00 came twice'],
  ['Africa/Cairo', '2026-04-24', '2026-04-23T22:00Z', 23, 'summer time begins at 00:00'],
  ['Africa/Cairo', '2026-10-29', '2026-10-28T21:00Z', 25, 'summer time ends at 24:00'],
  ['Australia/Lord_Howe', '2026-04-05', '2026-04-04T13:00Z', 24.5, 'summer time of half an hour ends'],
  ['Australia/Lord_Howe', '2026-10-04', '2026-10-03T13:30Z', 23.5, 'summer time of half an hour begins'],
  ['Pacific/Apia', '2011-12-29', '2011-12-29T10:00Z', 24, 'the last day on the old side of the date line'],
  ['Pacific/Apia', '2011-12-30', '2011-12-30T10:00Z', 0, 'the date was skipped'],
  ['Pacific/Apia', '2011-12-31', '2011-12-30T10:00Z', 24, 'the first day on the new side'],
  ['Asia/Pyongyang', '2018-05-05', '2018-05-04T15:00Z', 24, 'the clocks went half an hour forward at the end of the day before'],
  ['Asia/Pyongyang', '2018-05-04', '2018-05-03T15:30Z', 23.5, 'and that day was shorter'],
];
for (const [zone, day, start, hours, why] of STARTS) {
  test(`${zone}: ${day} begins at ${start} and has ${hours} hours (${why})`, () => {
    const begins = startOfLocalDay(zone, day);
    assert.equal(new Date(begins).toISOString(), new Date(start).toISOString());
    assert.equal((startOfLocalDay(zone, dayAfter(day)) - begins) / HOUR, hours);
  });
}

const LOCAL: [zone: string, at: string, day: string, hour: string][] = [
  ['UTC', '2026-11-20T10:17:30.250Z', '2026-11-20', '2026-11-20T10:00:00+00:00'],
  ['Asia/Kolkata', '2026-11-20T10:29:59.999Z', '2026-11-20', '2026-11-20T15:00:00+05:30'],
  ['Asia/Kolkata', '2026-11-20T10:30Z', '2026-11-20', '2026-11-20T16:00:00+05:30'],
  ['Asia/Kathmandu', '2026-11-20T18:15Z', '2026-11-21', '2026-11-21T00:00:00+05:45'],
  ['America/St_Johns', '2026-11-20T03:29Z', '2026-11-19', '2026-11-19T23:00:00-03:30'],
  ['America/New_York', '2026-11-01T05:30Z', '2026-11-01', '2026-11-01T01:00:00-04:00'],
  ['America/New_York', '2026-11-01T06:30Z', '2026-11-01', '2026-11-01T01:00:00-05:00'],
  ['Pacific/Apia', '2011-12-30T09:59Z', '2011-12-29', '2011-12-29T23:00:00-10:00'],
  ['Pacific/Apia', '2011-12-30T10:00Z', '2011-12-31', '2011-12-31T00:00:00+14:00'],
  ['Pacific/Marquesas', '2026-11-20T10:17Z', '2026-11-20', '2026-11-20T00:00:00-09:30'],
];
for (const [zone, at, day, hour] of LOCAL) {
  test(`${zone}: ${at} is in ${hour}`, () => {
    assert.equal(localDayAt(zone, Date.parse(at)), day);
    assert.equal(localHourAt(zone, Date.parse(at)), hour);
  });
}

/** The names of a day's local hours, in order. */
function hoursOf(zone: string, day: string): string[] {
  const names = new Set<string>();
  for (let ms = startOfLocalDay(zone, day); ms < startOfLocalDay(zone, dayAfter(day)); ms += 900_000) names.add(localHourAt(zone, ms));
  return [...names];
}

test('a day of 25 hours has 25, of which two have the same clock and another offset', () => {
  const hours = hoursOf('Europe/Berlin', '2026-10-25');
  assert.equal(hours.length, 25);
  assert.deepEqual(hours.slice(1, 5), ['2026-10-25T01:00:00+02:00', '2026-10-25T02:00:00+02:00', '2026-10-25T02:00:00+01:00', '2026-10-25T03:00:00+01:00']);
});

test('a day of 23 hours has 23, without the one that was skipped', () => {
  const hours = hoursOf('Europe/Berlin', '2026-03-29');
  assert.equal(hours.length, 23);
  assert.deepEqual(hours.slice(1, 3), ['2026-03-29T01:00:00+01:00', '2026-03-29T03:00:00+02:00']);
});

test('a day without midnight begins at one o\'clock', () => {
  assert.deepEqual(hoursOf('America/Havana', '2026-03-08').slice(0, 2), ['2026-03-08T01:00:00-04:00', '2026-03-08T02:00:00-04:00']);
});

test('a zone of half an hour has 24 whole hours of its own', () => {
  const hours = hoursOf('Asia/Kolkata', '2026-11-20');
  assert.equal(hours.length, 24);
  assert.equal(hours[0], '2026-11-20T00:00:00+05:30');
});

/** Date and time on the zone's clocks as the runtime writes them. */
const formats = new Map<string, Intl.DateTimeFormat>();
function clockOf(zone: string, ms: number): string {
  let format = formats.get(zone);
  if (!format) formats.set(zone, format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' }));
  return format.format(ms);
}

test(`dates and hours are those that Intl writes, in every zone (seed ${SEED})`, () => {
  const zone = fc.constantFrom(...Intl.supportedValuesOf('timeZone'));
  const moment = fc.integer({ min: Date.UTC(2012, 0, 1), max: Date.UTC(2035, 0, 1) });
  fc.assert(fc.property(zone, moment, (timeZone, ms) => {
    const clock = clockOf(timeZone, ms);
    assert.equal(localDayAt(timeZone, ms), clock.slice(0, 10));
    assert.equal(localHourAt(timeZone, ms).slice(0, 13), clock.slice(0, 13).replace(' ', 'T'));
    assert.equal(new Date(ms + offsetAt(timeZone, ms)).toISOString().slice(0, 19).replace('T', ' '), clock);
  }), { seed: SEED, numRuns: 2000 });
});

test(`a local day begins where Intl's date changes (seed ${SEED})`, () => {
  const zone = fc.constantFrom(...Intl.supportedValuesOf('timeZone'));
  fc.assert(fc.property(zone, fc.integer({ min: 0, max: 8400 }), (timeZone, n) => {
    const day = dayAfter('2012-01-01', n);
    const start = startOfLocalDay(timeZone, day);
    assert.ok(clockOf(timeZone, start).slice(0, 10) >= day);
    assert.ok(clockOf(timeZone, start - 1).slice(0, 10) < day);
  }), { seed: SEED, numRuns: 1000 });
});

test('every zone has been on a quarter of an hour since 2010', () => {
  for (const zone of Intl.supportedValuesOf('timeZone')) {
    for (let year = 2010; year <= 2030; year += 4) {
      for (const month of [0, 6]) assert.equal(Math.abs(offsetAt(zone, Date.UTC(year, month, 1)) % 900_000), 0, `${zone} ${year}`);
    }
  }
});

for (const zone of ['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Etc/GMT+12', 'Asia/Kathmandu', 'America/Port-au-Prince']) {
  test(`${zone} is a time zone`, () => { assert.ok(isTimeZone(zone)); });
}
for (const zone of ['', ' ', 'Mars/Phobos', 'Europe/Berlin ', ' Europe/Berlin', 'Europe/Berlin\n', 'Europe\\Berlin', '+05:30', '5', 'UTC+1', '../../etc/passwd', '__proto__', 'constructor', 'Europe/', 'x'.repeat(100_000)]) {
  test(`${JSON.stringify(zone.slice(0, 30))} is none`, () => { assert.ok(!isTimeZone(zone)); });
}

for (const [day, n, expected] of [['2026-11-20', 1, '2026-11-21'], ['2026-12-31', 1, '2027-01-01'], ['2028-02-28', 1, '2028-02-29'], ['2026-03-01', -1, '2026-02-28'], ['2026-11-20', 0, '2026-11-20'], ['2026-11-20', -365, '2025-11-20']] as const) {
  test(`${n} days after ${day} is ${expected}`, () => { assert.equal(dayAfter(day, n), expected); });
}

test('days between two dates, both included', () => {
  assert.deepEqual(daysBetween('2026-02-27', '2026-03-02'), ['2026-02-27', '2026-02-28', '2026-03-01', '2026-03-02']);
  assert.deepEqual(daysBetween('2026-02-27', '2026-02-27'), ['2026-02-27']);
  assert.deepEqual(daysBetween('2026-02-28', '2026-02-27'), []);
});

for (const day of ['2026-11-20', '2024-02-29', '2010-01-01']) test(`${day} is a date`, () => { assert.ok(isDay(day)); });
for (const day of ['', '2026-11', '2026-11-31', '2026-02-29', '2026-02-30', '2026-13-01', '2026-00-10', '2026-1-1', '20261120', '2026-11-20T00', '2026-11-20\n', '٢٠٢٦-١١-٢٠', '+02026-11-20']) {
  test(`${JSON.stringify(day)} is none`, () => { assert.ok(!isDay(day)); });
}
