// The load generator against the real doors: what it says it sent is what arrived.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { load, type Order } from '../../bench/load.ts';
import { Traffic } from '../../bench/traffic.ts';
import { StreamUnavailable } from '../../core/ports.ts';
import type { Envelope } from '../../core/event.ts';
import { httpServer } from '../../local/http.ts';

const traffic = new Traffic({ seed: 5, sites: 50, visitors: 200, events: 3, name: 'test' });
const LANES: Order['lanes'] = [{ name: 'beacon', connections: 4 }, { name: 'pixel', connections: 2, perSecond: 200 }, { name: 'read', connections: 2, perSecond: 100 }];

test('All that is sent arrives, of the visitors it is sent for, and reads are of sites that exist', async (t) => {
  let puts = 0;
  const envelopes: Envelope[] = [];
  const reads: { path: string; key: string }[] = [];
  const notHere = async () => { throw new Error('no such route here'); };
  const server = httpServer({
    stream: {
      put: async ([record]) => {
        if (puts++ % 10 === 9) throw new StreamUnavailable('the disk is full');
        envelopes.push(JSON.parse(record!) as Envelope);
      },
    },
    clock: Date.now, trustProxy: true, onError: (error) => { assert.fail(String(error)); },
    handlers: {
      ingest: notHere, admin: notHere,
      serve: async ({ rawPath, headers }) => {
        reads.push({ path: rawPath, key: headers.authorization! });
        return { statusCode: 200, body: '{}' };
      },
    },
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });

  const { port } = server.address() as AddressInfo;
  const { lanes: { beacon, pixel, read } } = await load({ port, seconds: 0.3, lanes: LANES, keys: ['first', 'admin'] }, traffic);
  for (const lane of [beacon!, pixel!, read!]) {
    assert.deepEqual([lane.good + lane.bad, lane.lost], [lane.sent, 0]);
  }
  // One in ten was not taken.
  assert.equal(beacon!.bad + pixel!.bad, Math.floor(puts / 10));
  assert.deepEqual([beacon!.reasons[503] ?? 0, pixel!.reasons[503] ?? 0], [beacon!.bad, pixel!.bad]);
  const via = (door: Envelope['via']) => envelopes.filter((envelope) => envelope.via === door);
  assert.deepEqual([via('beacon').length, via('pixel').length], [beacon!.good, pixel!.good]);
  assert.equal(pixel!.due, 60);
  assert.ok(envelopes.every(({ ip }) => ip !== '127.0.0.1' && /^\d+\.\d+\.\d+\.\d+$/.test(ip!)));
  for (const { body } of via('beacon')) assert.equal((JSON.parse(body!) as { events: unknown[] }).events.length, 3);

  assert.equal(reads.length, read!.good);
  for (const { path, key } of reads) {
    const site = /^\/v1\/sites\/shop-000([0-4]\d)\/(timeseries|breakdown)$/.exec(path)?.[1];
    assert.equal(key, site === '00' ? 'Bearer first' : 'Bearer admin', path);
    assert.ok(site !== undefined, path);
  }
});
