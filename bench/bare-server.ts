// The limit of collect: an HTTP server that puts each request's body on the same durable log, and nothing else.
// before: bench/load.ts; next: local/stream.ts
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openEnvironment } from '../local/lmdb.ts';
import { lmdbLog } from '../local/stream.ts';
import { endWithParent } from './child.ts';

const log = lmdbLog(openEnvironment(process.argv[2]!), Date.now, () => undefined);
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    // A pixel has no body; its address is what there is to store.
    log.put([chunks.length === 0 ? request.url! : Buffer.concat(chunks).toString()]).then(
      () => response.writeHead(204).end(),
      () => response.writeHead(503).end(),
    );
  });
});
endWithParent();
server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port));
