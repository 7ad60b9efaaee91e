// The HTTP server of one machine. The browser doors answer here, at the speed of the log; the API's routes are the
// functions that AWS runs, called with API Gateway's events.
import { randomUUID } from 'node:crypto';
import { STATUS_CODES, createServer, maxHeaderSize, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import { PIXEL, beaconEnvelope, pixelEnvelope, type RequestFacts } from '../core/collect.ts';
import { LIMITS, quote, type Envelope } from '../core/event.ts';
import { StreamUnavailable, type Clock, type Stream } from '../core/ports.ts';
import { Problem } from '../core/problem.ts';
import { NO_ROUTE, routesAt, type HandlerName } from '../core/routes.ts';
import type { Handler } from '../lambdas/http.ts';
import type { Pages } from './pages.ts';

export interface HttpPorts {
  stream: Stream;
  handlers: Readonly<Record<HandlerName, Handler>>;
  /** What people see; nothing where they are not built. */
  pages?: Pages;
  clock: Clock;
  /** Take the visitor's address from the last entry of X-Forwarded-For: right only behind a proxy of one's own. */
  trustProxy: boolean;
  onError: (error: unknown) => void;
}

/** How long a client may take over its headers, and over the whole request. */
const HEADERS_MS = 10_000;
const REQUEST_MS = 30_000;
const RETRY_AFTER_S = '5';

/** The server, not yet listening. */
export function httpServer(ports: HttpPorts): Server {
  const server = createServer({ headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS, connectionsCheckingInterval: 5_000 }, (request, response) => {
    answer(request, response, ports).catch((error: unknown) => {
      if (error instanceof Problem) sendProblem(response, error);
      else if (request.destroyed && !request.complete) response.destroy(); // The client went away half-way; there is nobody to tell.
      else {
        ports.onError(error);
        sendProblem(response, new Problem(500, 'Something went wrong on our side.'));
      }
    });
  });
  server.on('clientError', refuseSocket);
  return server;
}

/** What is no HTTP at all, or too large or too slow, gets its status on the bare socket. */
function refuseSocket(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const problem = error.code === 'HPE_HEADER_OVERFLOW' ? new Problem(431, `the address and headers: accept at most ${maxHeaderSize} bytes`)
    : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? new Problem(408, `the request: accepts at most ${REQUEST_MS / 1000} s until its end`) : new Problem(400, 'the request: accepts HTTP/1.1');
  const { statusCode, headers, body } = problem.response();
  const lines = Object.entries({ ...headers, connection: 'close', 'content-length': Buffer.byteLength(body) }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode] ?? ''}\r\n${lines.join('')}\r\n${body}`);
}

const CORS = { 'Access-Control-Allow-Origin': '*' };

interface Door {
  methods: Record<string, (request: IncomingMessage, response: ServerResponse, ports: HttpPorts, query: string) => Promise<void>>;
}

/** The browser doors; they answer as soon as the request is on disk. */
const DOORS: Record<string, Door> = {
  '/p.gif': { methods: { GET: collectPixel } },
  '/e': { methods: { POST: collectBeacon, OPTIONS: preflight } },
};

async function answer(request: IncomingMessage, response: ServerResponse, ports: HttpPorts): Promise<void> {
  const [path, query] = splitOnce(request.url ?? '/', '?');
  const method = request.method ?? 'GET';
  const door = Object.hasOwn(DOORS, path) ? DOORS[path] : undefined;
  if (!door) return showPage(request, response, ports, path) ? undefined : callRoute(request, response, ports, path, query);
  const collect = Object.hasOwn(door.methods, method) ? door.methods[method] : undefined;
  if (!collect) throw methodNotAllowed(method, path, Object.keys(door.methods));
  return collect(request, response, ports, query);
}

/** Answers with a page, where there is one; says whether it did. */
function showPage({ method, headers }: IncomingMessage, response: ServerResponse, { pages }: HttpPorts, path: string): boolean {
  const page = method === 'GET' || method === 'HEAD' ? pages?.get(path, headers) : undefined;
  if (page) response.writeHead(page.status, { ...page.headers, ...(page.status === 200 && { 'content-length': page.body.length }) }).end(method === 'HEAD' ? '' : page.body);
  return page !== undefined;
}

async function collectPixel(request: IncomingMessage, response: ServerResponse, ports: HttpPorts, query: string): Promise<void> {
  await store(pixelEnvelope(factsOf(request, ports), new URLSearchParams(query)), ports);
  response.writeHead(200, { ...CORS, 'Content-Type': 'image/gif', 'Content-Length': PIXEL.length, 'Cache-Control': 'no-store' }).end(PIXEL);
}

async function collectBeacon(request: IncomingMessage, response: ServerResponse, ports: HttpPorts): Promise<void> {
  const body = await bodyOf(request, LIMITS.beacon.bytes, CORS);
  await store(beaconEnvelope(factsOf(request, ports), body), ports);
  response.writeHead(204, CORS).end();
}

/** A page that sends `application/json` asks first. */
async function preflight(_: IncomingMessage, response: ServerResponse): Promise<void> {
  response.writeHead(204, { ...CORS, 'Access-Control-Allow-Methods': 'POST', 'Access-Control-Allow-Headers': 'content-type', 'Access-Control-Max-Age': '86400' }).end();
}

/** Never a silent success: what the log does not take is answered with 503, and a good client sends it again. */
async function store(envelope: Envelope, { stream }: HttpPorts): Promise<void> {
  try {
    await stream.put([JSON.stringify(envelope)]);
  } catch (error) {
    if (!(error instanceof StreamUnavailable)) throw error;
    throw new Problem(503, 'The event was not stored; send it again.', { 'retry-after': RETRY_AFTER_S, ...CORS });
  }
}

function factsOf(request: IncomingMessage, { clock, trustProxy }: HttpPorts): RequestFacts {
  const { headers } = request;
  const forwarded = trustProxy ? String(headers['x-forwarded-for'] ?? '').split(',').at(-1)!.trim() : '';
  const purpose = headers['sec-purpose'] ?? headers.purpose ?? headers['x-moz'];
  return {
    id: randomUUID(),
    at: clock(),
    ip: (forwarded || (request.socket.remoteAddress ?? '')).replace(/^::ffff:/, ''),
    userAgent: headers['user-agent'],
    referer: headers.referer,
    language: headers['accept-language'],
    purpose: typeof purpose === 'string' ? purpose : undefined,
  };
}

/** Of a body over its limit so much is still read (and dropped): a client that is writing hears no answer before its end. */
const DRAIN_BYTES = 32 * 1024 * 1024;

/**
 * Reads a body of at most `limit` bytes. Rejects with 413 on more, and with whatever the socket says when the client goes
 * away. By events: an iterator over each body is a tenth of what a beacon costs.
 */
function bodyOf(request: IncomingMessage, limit: number, headers: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = [];
    let bytes = 0;
    const refuse = () => { reject(new Problem(413, `the body: accepts at most ${limit} bytes`, { ...headers, connection: 'close' })); };
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= limit) chunks.push(chunk);
      else chunks = [];
      if (bytes <= DRAIN_BYTES) return;
      request.pause();
      refuse();
    });
    request.once('end', () => {
      if (bytes > limit) refuse();
      else resolve(chunks.length === 1 ? chunks[0]!.toString() : Buffer.concat(chunks).toString());
    });
    request.once('error', reject);
    request.once('close', () => {
      if (!request.complete) reject(new Error('the client went away before the end of its request'));
    });
  });
}

function methodNotAllowed(method: string, path: string, allowed: readonly string[]): Problem {
  return new Problem(405, `${method} ${quote(path)}: accepts ${allowed.join(' and ')}`, { allow: allowed.join(', ') });
}

function decoded(parameters: Record<string, string>, path: string): Record<string, string> {
  try {
    return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, decodeURIComponent(value)]));
  } catch {
    throw new Problem(400, `path ${quote(path)}: accepts percent-encoded UTF-8`);
  }
}

/** Calls the function of the route, as API Gateway would; what has no route goes to the reading function, which says so. */
async function callRoute(request: IncomingMessage, response: ServerResponse, { handlers, clock }: HttpPorts, path: string, query: string): Promise<void> {
  const { method = 'GET', headers } = request;
  const found = routesAt(path).find(({ route }) => route.method === (method === 'HEAD' ? 'GET' : method));
  const name = found ? `${method} ${found.route.path}` : NO_ROUTE;
  const body = found ? await bodyOf(request, found.route.bodyLimit) : '';
  const requestId = randomUUID();
  const now = clock();
  const event: APIGatewayProxyEventV2 = {
    version: '2.0',
    routeKey: name,
    rawPath: path,
    rawQueryString: query,
    headers: Object.fromEntries(Object.entries(headers).map(([header, value]) => [header, String(value)])),
    ...(found && { pathParameters: decoded(found.pathParameters, path) }),
    requestContext: {
      accountId: '', apiId: '', domainName: headers.host ?? '', domainPrefix: '', requestId, routeKey: name, stage: '$default',
      time: new Date(now).toISOString(), timeEpoch: now,
      http: { method, path, protocol: `HTTP/${request.httpVersion}`, sourceIp: request.socket.remoteAddress ?? '', userAgent: headers['user-agent'] ?? '' },
    },
    isBase64Encoded: false,
    ...(body !== '' && { body }),
  };
  send(response, await handlers[found?.route.handler ?? 'serve'](event, { awsRequestId: requestId } as Context));
}

/** Statuses whose answers have no body, and say nothing of its length. */
const BODILESS = [204, 304];

function send(response: ServerResponse, { statusCode = 200, headers = {}, body = '', isBase64Encoded = false }: APIGatewayProxyStructuredResultV2): void {
  const lines = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
  const bytes = Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8');
  const isBodiless = BODILESS.includes(statusCode) || response.req.method === 'HEAD';
  response.writeHead(statusCode, { ...lines, ...(!isBodiless && { 'content-length': bytes.length }) }).end(bytes);
}

function sendProblem(response: ServerResponse, problem: Problem): void {
  if (response.headersSent) response.destroy();
  else send(response, problem.response());
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
