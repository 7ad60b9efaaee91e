import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check } from '../../../core/deliver/check.ts';
import { Refused } from '../../../core/event.ts';
import { NOW, contextOf, draftOf, envelopeOf } from '../../memory.ts';
import { saidBy } from './said-by.ts';

test('an accepted event goes on, its name a column', () => {
  const said = saidBy(check, draftOf({ raw: { name: 'signup', colour: 'red' } }), contextOf());
  assert.deepEqual(said, { event: { name: 'signup' }, name: 'signup' });
});

test('an event that is not accepted is refused with its reason', () => {
  const said = saidBy(check, draftOf({ raw: { name: 'Sign up' } }), contextOf());
  assert.ok(said instanceof Refused);
  assert.equal(said.reason, 'bad_name');
});

test('the door decides what is heard', () => {
  const raw = { name: 'signup', country: 'DE' };
  assert.deepEqual(saidBy(check, draftOf({ raw, envelope: envelopeOf({ via: 'api' }) }), contextOf()), { event: { name: 'signup', country: 'DE' }, name: 'signup' });
  assert.deepEqual(saidBy(check, draftOf({ raw, envelope: envelopeOf({ via: 'beacon' }) }), contextOf()), { event: { name: 'signup' }, name: 'signup' });
});

test('time is measured against the time of receipt', () => {
  const raw = { name: 'signup', time: NOW + 600_000 };
  assert.ok(!(saidBy(check, draftOf({ raw, envelope: envelopeOf({ via: 'api' }) }), contextOf()) instanceof Refused));
  assert.ok(saidBy(check, draftOf({ raw, envelope: envelopeOf({ via: 'api', at: NOW - 1 }) }), contextOf()) instanceof Refused);
});
