import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beaconEnvelope } from '../../core/collect.ts';
import { beginReprocess, listJobs, type ReprocessPorts } from '../../core/reprocess.ts';
import type { Task } from '../../core/ports.ts';
import { reprocessHandler } from '../../lambdas/reprocess.ts';
import { HOUR, MemoryStore, NOW, PACE } from '../memory.ts';
import { contextOf, noting } from './aws-events.ts';

const hour = '2026-11-20T10';

function open(records: string[]) {
  const registry = new MemoryStore();
  const time = { now: NOW, delivered: 0 };
  const sent: Task[] = [];
  const replayed: string[] = [];
  const ports: ReprocessPorts = {
    registry, clock: () => time.now, deliveredThrough: async () => time.delivered, rawKeptMs: 30 * 86_400_000, pace: { ...PACE, records: 2, waits: false },
    lake: {
      sizeOf: async () => 10,
      rawParts: async (arrived) => (arrived === hour ? records.map((_, i) => ({ name: `raw/${i}`, bytes: 1 })) : []),
      records: async function* (part) { yield records[Number(part.slice('raw/'.length))]!; },
    },
    stream: { put: async (more) => { replayed.push(...more); } },
    tasks: { send: async (tasks) => { sent.push(...tasks); }, parked: async () => [] },
  };
  const pauses: number[] = [];
  const observer = noting();
  const handler = reprocessHandler({ ...ports, observer, pause: async (ms) => { pauses.push(ms); time.now += ms; } });
  return { registry, time, sent, replayed, pauses, observer, ports, invoke: () => handler({}, contextOf()) };
}

const records = Array.from({ length: 7 }, (_, i) => JSON.stringify(beaconEnvelope({ id: String(i), at: HOUR + i }, '{"site":"shop","events":[{"name":"page_view"}]}')));

test('Where nothing is to be done an invocation ends at once', async () => {
  const { invoke, pauses } = open([]);
  await invoke();
  assert.deepEqual(pauses, []);
});

test('Replays go out without waiting for one another, and the hours follow only when the last one is in the lake', async () => {
  const { registry, time, sent, replayed, pauses, observer, invoke, ports } = open(records);
  await beginReprocess({ from: hour, to: hour, replay: true }, ports);
  await invoke();
  assert.equal(replayed.length, 7);
  assert.equal(sent.length, 0);
  assert.deepEqual([observer.notes.state, observer.notes.records_replayed], ['replaying', 7]);
  // It looked on for the better part of a minute, and not all the time.
  assert.deepEqual(pauses, Array.from({ length: 8 }, () => 5000));
  time.delivered = time.now + 1;
  await invoke();
  assert.equal(replayed.length, 7);
  assert.deepEqual(sent.map((task) => task.kind === 'hour' && task.hour), [hour]);
  const [job] = await listJobs(registry);
  assert.deepEqual([job!.state, job!.records_replayed], ['rolling', 7]);
});
