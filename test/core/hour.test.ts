import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hourAfter, hourOf, hoursOfLocalDay, partitionOf, startOf } from '../../core/hour.ts';
import { dayAfter, startOfLocalDay } from '../../core/zone.ts';

for (const [at, hour] of [
  ['2026-11-20T10:00:00.000Z', '2026-11-20T10'], ['2026-11-20T10:59:59.999Z', '2026-11-20T10'], ['2026-11-20T11:00:00.000Z', '2026-11-20T11'],
  ['1970-01-01T00:00:00.000Z', '1970-01-01T00'], ['2024-02-29T23:30:00.000Z', '2024-02-29T23'],
] as const) test(`${at} is in the hour ${hour}`, () => { assert.equal(hourOf(Date.parse(at)), hour); });

test('an hour starts where its name says', () => {
  assert.equal(startOf('2026-11-20T10'), Date.UTC(2026, 10, 20, 10));
});

for (const text of ['', '2026-11-20', '2026-11-20T', '2026-11-20T1', '2026-11-20T10:00', '2026-11-20T24', '2026-11-20T25', '2026-02-30T00', '2026-13-01T00', '2026-11-20T10Z', '2026-11-20T10\n', 'now', '__proto__']) {
  test(`${JSON.stringify(text)} is no hour`, () => { assert.throws(() => startOf(text), /accepts YYYY-MM-DDTHH/); });
}

for (const [hour, n, expected] of [
  ['2026-11-20T10', 1, '2026-11-20T11'], ['2026-11-20T23', 1, '2026-11-21T00'], ['2026-11-20T00', -1, '2026-11-19T23'],
  ['2026-12-31T23', 1, '2027-01-01T00'], ['2024-02-29T12', 24, '2024-03-01T12'], ['2026-11-20T10', 0, '2026-11-20T10'],
] as const) test(`${n} hours after ${hour} is ${expected}`, () => { assert.equal(hourAfter(hour, n), expected); });

test('without a number it is the next hour', () => { assert.equal(hourAfter('2026-11-20T23'), '2026-11-21T00'); });

test('an hour\'s rows lie under its date and hour', () => {
  assert.deepEqual(partitionOf('2026-11-20T05'), { dt: '2026-11-20', hr: '05' });
});

test('the hours of a local day begin where it begins first and end an hour after where it ends last', () => {
  assert.deepEqual(hoursOfLocalDay('2026-11-20'), { from: '2026-11-19T10', to: '2026-11-21T12' });
});

test('every zone\'s local day lies within them', () => {
  for (const day of ['2026-03-29', '2026-11-01', '2011-12-30', '2026-11-20']) {
    const { from, to } = hoursOfLocalDay(day);
    for (const zone of Intl.supportedValuesOf('timeZone')) {
      assert.ok(startOfLocalDay(zone, day) >= startOf(from), `${zone} ${day}`);
      assert.ok(startOfLocalDay(zone, dayAfter(day)) <= startOf(to) + 3_600_000, `${zone} ${day}`);
    }
  }
});

test('a word is no day', () => { assert.throws(() => hoursOfLocalDay('today'), /accepts a date that exists, YYYY-MM-DD/); });
