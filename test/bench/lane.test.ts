// The load generator's connections and lanes, against servers that answer in pieces, wrongly, late, or not at all.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { Connection } from '../../bench/connection.ts';
import { Lane, type LaneOptions, type LaneResult } from '../../bench/lane.ts';

const NO_CONTENT = 'HTTP/1.1 204 No Content\r\nDate: today\r\n\r\n';
const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

/** A server on a free port; `talk` says what each of its connections does with each request. */
async function serverOf(t: TestContext, talk: (socket: Socket, nth: number) => void): Promise<number> {
  let requests = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk) => {
      text += String(chunk);
      while (text.includes('\r\n\r\n')) {
        text = text.slice(text.indexOf('\r\n\r\n') + 4);
        talk(socket, requests++);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Resolves when it is so; bounded by the test's own time. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((soon) => { setTimeout(soon, 1); });
}

/** Sends one request over a connection of its own; resolves to what became of it. */
async function outcomeOf(port: number): Promise<string> {
  return new Promise((told, failed) => {
    Connection.open(port, {
      answered: (connection, status) => {
        connection.close();
        told(String(status));
      },
      closed: (_, waiting, reason) => { told(`${waiting ? 'no answer' : 'closed'}: ${reason}`); },
    }).then((connection) => { connection.send(connection.request.write(REQUEST)); }, failed);
  });
}

/** Runs a lane until so many requests are sent and all of them have ended. */
async function resultOf(port: number, options: Partial<LaneOptions>, requests: number): Promise<LaneResult> {
  let sent = 0;
  const lane: Lane = new Lane(port, { name: 'test', connections: 3, ...options }, (into) => {
    if (++sent === requests) lane.end();
    return into.write(REQUEST);
  });
  await lane.open();
  lane.begin(performance.now());
  await until(() => {
    lane.pump(performance.now());
    return lane.isOver;
  });
  lane.close();
  return lane.result(1);
}

test('An answer ends where its length says, however it is cut', async (t) => {
  const whole = 'HTTP/1.1 200 OK\r\ncontent-length: 12\r\nX-Y: z\r\n\r\n{"a":"\r\n\r\n"}';
  for (let cut = 1; cut < whole.length; cut++) {
    const port = await serverOf(t, (socket) => {
      socket.setNoDelay(true).write(whole.slice(0, cut));
      setImmediate(() => { setTimeout(() => socket.write(whole.slice(cut)), 2); });
    });
    assert.equal(await outcomeOf(port), '200', `cut at ${cut}`);
  }
});

test('A body longer than what is read at once is waited for', async (t) => {
  const body = 'x'.repeat(300_000);
  const port = await serverOf(t, (socket) => { socket.write(`HTTP/1.1 404 Not Found\r\nContent-Length: ${body.length}\r\n\r\n${body}`); });
  const result = await resultOf(port, { connections: 1 }, 3);
  assert.deepEqual([result.sent, result.good, result.bad, result.lost, result.reasons], [3, 0, 3, 0, { 404: 3 }]);
});

test('An answer whose end cannot be known is none', async (t) => {
  const port = await serverOf(t, (socket) => { socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'); });
  assert.match(await outcomeOf(port), /^no answer: an answer that begins with "HTTP\/1.1 200 OK.*accepts a final status and a Content-Length$/);
});

test('A request whose connection breaks counts as not answered, and others go on over a new one', async (t) => {
  const port = await serverOf(t, (socket, nth) => {
    if (nth % 4 === 3) socket.destroy();
    else socket.write(NO_CONTENT);
  });
  const result = await resultOf(port, {}, 40);
  assert.deepEqual([result.sent, result.good, result.bad, result.lost], [40, 30, 0, 10]);
  assert.equal(Object.values(result.reasons).reduce((sum, count) => sum + count, 0), 10);
});

test('A connection that is closed while nothing waits is opened anew, and costs no request', async (t) => {
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    accepted.push(socket);
    socket.on('data', () => socket.write(NO_CONTENT));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const lane = new Lane((server.address() as AddressInfo).port, { name: 'test', connections: 1, perSecond: 1 }, (into) => into.write(REQUEST));
  t.after(() => {
    lane.close();
    server.close();
  });
  await lane.open();
  const began = performance.now();
  lane.begin(began);
  await until(() => lane.result(1).good === 1);
  accepted[0]!.destroy();
  await until(() => accepted.length === 2);
  await until(() => {
    lane.pump(began + 1000);
    return lane.result(1).good === 2 || Object.keys(lane.result(1).reasons).length > 0;
  });
  assert.deepEqual([lane.result(1).sent, lane.result(1).good, lane.result(1).reasons], [2, 2, {}]);
});

test('A lane is over when its server is gone, with what was sent told apart from what was answered', async (t) => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('data', () => {
      if (sockets.size < 3) return;
      server.close();
      for (const one of sockets) one.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const lane = new Lane((server.address() as AddressInfo).port, { name: 'test', connections: 3 }, (into) => into.write(REQUEST));
  await lane.open();
  await until(() => sockets.size === 3);
  lane.begin(performance.now());
  await until(() => lane.isOver);
  const { sent, good, bad, lost, reasons } = lane.result(1);
  assert.deepEqual([sent, good, bad, lost], [3, 0, 0, 3]);
  assert.equal(reasons.ECONNREFUSED, 3);
});

test('Where nothing listens, a lane does not open', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  await assert.rejects(new Lane(port, { name: 'test', connections: 1 }, () => 0).open(), { code: 'ECONNREFUSED' });
});

test('Requests are sent when they are due, and waiting for a free connection counts', async (t) => {
  const waiting: Socket[] = [];
  const port = await serverOf(t, (socket) => { waiting.push(socket); });
  const lane = new Lane(port, { name: 'test', connections: 2, perSecond: 10 }, (into) => into.write(REQUEST));
  await lane.open();
  // The lane's own times, handed in: the first request is due at once, and every 100 ms one more.
  const began = performance.now() - 10_000;
  lane.begin(began);
  lane.pump(began + 99);
  assert.equal(lane.result(1).sent, 1);
  lane.pump(began + 100);
  lane.pump(began + 950);
  assert.equal(lane.result(1).sent, 2, 'both connections wait for their answers');
  await until(() => waiting.length === 2);
  // Both are answered about ten seconds after they were due; what has become due meanwhile is sent then.
  for (const socket of waiting.splice(0)) socket.write(NO_CONTENT);
  await until(() => lane.result(1).good === 2);
  lane.end();
  const { due, sent, p50, max } = lane.result(1);
  assert.equal(due, 10);
  assert.equal(sent, 4);
  assert.ok(p50 >= 9_800 && max >= 10_000, `p50 ${p50}, max ${max}`);
  lane.close();
});
