// The made-up traffic: requests that the doors take as they are, of visitors who go on with their visits, to shops of which
// few have the most of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Traffic, siteId, zipf, type TrafficOptions } from '../../bench/traffic.ts';
import { checkEvent, Refused } from '../../core/event.ts';
import { randomFrom } from '../../local/demo-shop.ts';

const OPTIONS: TrafficOptions = { seed: 7, sites: 500, visitors: 2000, events: 1, name: 'test' };
const into = Buffer.alloc(80_000);

interface Request { line: string; headers: Record<string, string>; body: string; site: string; events: { name: string; referrer?: string; age: number; transaction_id?: string }[] }

/** A request as a server would take it: by its Content-Length, and nothing behind that. */
function requestOf(text: string): Request {
  const end = text.indexOf('\r\n\r\n');
  const [line, ...lines] = text.slice(0, end).split('\r\n');
  const headers = Object.fromEntries(lines.map((header) => [header.slice(0, header.indexOf(':')).toLowerCase(), header.slice(header.indexOf(':') + 1).trim()]));
  const body = text.slice(end + 4);
  assert.equal(Number(headers['content-length'] ?? 0), Buffer.byteLength(body));
  return { line: line!, headers, body, ...(body === '' ? { site: '', events: [] } : JSON.parse(body) as Pick<Request, 'site' | 'events'>) };
}

function beacons(traffic: Traffic, count: number): Request[] {
  return Array.from({ length: count }, () => requestOf(into.toString('latin1', 0, traffic.beacon(into))));
}

test('Every event of a beacon is one that the door accepts, of a page of its own shop', () => {
  for (const events of [1, 10]) {
    for (const { line, headers, site, events: sent } of beacons(new Traffic({ ...OPTIONS, events }), 3000)) {
      assert.equal(line, 'POST /e HTTP/1.1');
      assert.match(site, /^shop-00\d{3}$/);
      assert.equal(headers.origin, `https://${site}.example`);
      assert.match(headers['x-forwarded-for']!, /^\d{1,3}(\.\d{1,3}){3}$/);
      assert.equal(sent.length, events);
      for (const raw of sent) {
        const event = checkEvent(raw, 'beacon', 0);
        if (event instanceof Refused) assert.fail(event.message);
        assert.equal(new URL(event.url!).hostname, `${site}.example`);
      }
    }
  }
});

test('A pixel names a site and a page of it', () => {
  const traffic = new Traffic(OPTIONS);
  for (let i = 0; i < 1000; i++) {
    const { line, body } = requestOf(into.toString('latin1', 0, traffic.pixel(into)));
    const query = new URLSearchParams(/^GET \/p\.gif\?(\S+) HTTP\/1\.1$/.exec(line)![1]);
    assert.equal(new URL(query.get('url')!).hostname, `${query.get('site')}.example`);
    assert.equal(body, '');
  }
});

test('A visit is some five events of one address and browser, and begins with a page view from elsewhere', () => {
  const visits = new Map<string, Request[]>();
  for (const request of beacons(new Traffic({ ...OPTIONS, visitors: 300 }), 20_000)) {
    const who = `${request.site} ${request.headers['x-forwarded-for']} ${request.headers['user-agent']}`;
    visits.set(who, [...visits.get(who) ?? [], request]);
  }
  assert.ok(20_000 / visits.size > 4.5 && 20_000 / visits.size < 5.5, `${visits.size} visits of 20,000 events`);
  const isFromElsewhere = ({ events: [event] }: Request) => event!.referrer === undefined || !event!.referrer.includes('shop-');
  const begun = [...visits.values()].filter(([first]) => isFromElsewhere(first!));
  // Of the 300 who were there at first, some had begun before.
  assert.ok(visits.size - begun.length <= 300, `${visits.size - begun.length} visits that begin in the midst`);
  for (const [first, ...later] of begun) {
    assert.equal(first!.events[0]!.name, 'page_view');
    for (const { site, events: [event] } of later) assert.ok(event!.referrer!.startsWith(`https://${site}.example/`));
  }
});

test('No two purchases of traffics of different names are the same', () => {
  const ids = ['a', 'b'].flatMap((name) => beacons(new Traffic({ ...OPTIONS, name }), 5000).flatMap(({ events }) => events.flatMap(({ transaction_id }) => transaction_id ?? [])));
  assert.ok(ids.length > 100, `${ids.length} purchases`);
  assert.equal(new Set(ids).size, ids.length);
});

test('Ages are mostly below two seconds, and minutes now and then', () => {
  const ages = beacons(new Traffic(OPTIONS), 20_000).map(({ events: [event] }) => event!.age);
  const share = (is: (age: number) => boolean) => ages.filter(is).length / ages.length;
  assert.ok(share((age) => age < 2000) > 0.85);
  assert.ok(share((age) => age > 60_000) > 0.005 && share((age) => age > 60_000) < 0.015);
});

test('The k-th site has a k-th of the first one\'s visitors', () => {
  const random = randomFrom(3);
  const draw = zipf(20_000);
  const counts = new Map<number, number>();
  const draws = 400_000;
  for (let i = 0; i < draws; i++) {
    const site = draw(random);
    counts.set(site, (counts.get(site) ?? 0) + 1);
  }
  // The harmonic number of 20,000 is 10.48, so the first has 9.54 %.
  assert.ok(Math.abs(counts.get(0)! / draws - 0.0954) < 0.002, `${counts.get(0)! / draws}`);
  for (const k of [2, 5, 10]) assert.ok(Math.abs((counts.get(k - 1)! * k) / counts.get(0)! - 1) < 0.05, `${k}: ${counts.get(k - 1)}`);
  assert.ok(Math.max(...counts.keys()) < 20_000);
});

test('The same options make the same requests, and ids are all equally long', () => {
  const [one, other] = [beacons(new Traffic(OPTIONS), 50), beacons(new Traffic(OPTIONS), 50)];
  assert.deepEqual(one, other);
  assert.deepEqual([siteId(0), siteId(99_999)], ['shop-00000', 'shop-99999']);
});
