// The HTTP server of one machine. The browser doors answer here, at the speed of the log; the API's routes are the
// functions that AWS runs, called with API Gateway's events.
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import { PIXEL, beaconEnvelope, pixelEnvelope, type RequestFacts } from '../core/collect.ts';
import { LIMITS, quote, type Envelope } from '../core/event.ts';
import { StreamUnavailable, type Clock, type Stream } from '../core/ports.ts';
import { Problem } from '../core/problem.ts';
import { ROUTES, routeKey, type HandlerName, type Route } from '../core/routes.ts';
import type { Handler } from '../lambdas/http.ts';

export interface HttpPorts {
  stream: Stream;
  handlers: Readonly<Record<HandlerName, Handler>>;
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
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large'
    : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? '408 Request Timeout' : '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
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
  if (!door) return callRoute(request, response, ports, path, query);
  const collect = Object.hasOwn(door.methods, method) ? door.methods[method] : undefined;
  if (!collect) throw methodNotAllowed(method, path, Object.keys(door.methods));
  return collect(request, response, ports, query);
}

async function collectPixel(request: IncomingMessage, response: ServerResponse, ports: HttpPorts, query: string): Promise<void> {
  await store(pixelEnvelope(factsOf(request, ports), new URLSearchParams(query)), ports);
  response.writeHead(200, { ...CORS, 'Content-Type': 'image/gif', 'Content-Length': PIXEL.length, 'Cache-Control': 'no-store' }).end(PIXEL);
}

async function collectBeacon(request: IncomingMessage, response: ServerResponse, ports: HttpPorts): Promise<void> {
  const body = await bodyOf(request, LIMITS.beacon.bytes);
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

/** Reads a body of at most `limit` bytes. Throws 413 on more, and whatever the socket says when the client goes away. */
async function bodyOf(request: IncomingMessage, limit: number): Promise<string> {
  let chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= limit) chunks.push(chunk);
    else chunks = [];
    if (bytes > DRAIN_BYTES) break;
  }
  if (bytes > limit) throw new Problem(413, `the body: accepts at most ${limit} bytes`, { ...CORS, connection: 'close' });
  return Buffer.concat(chunks).toString('utf8');
}

function methodNotAllowed(method: string, path: string, allowed: readonly string[]): Problem {
  return new Problem(405, `${method} ${quote(path)}: accepts ${allowed.join(' and ')}`, { allow: allowed.join(', ') });
}

/** A route as matched against a path. */
interface Matched { route: Route; pathParameters: Record<string, string> }

const PATTERNS = ROUTES.map((route) => ({ route, pattern: new RegExp(`^${route.path.replaceAll(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`) }));

function matches(path: string): Matched[] {
  return PATTERNS.flatMap(({ route, pattern }) => {
    const match = pattern.exec(path);
    return match ? [{ route, pathParameters: decoded({ ...match.groups }, path) }] : [];
  });
}

function decoded(parameters: Record<string, string>, path: string): Record<string, string> {
  try {
    return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, decodeURIComponent(value)]));
  } catch {
    throw new Problem(400, `path ${quote(path)}: accepts percent-encoded UTF-8`);
  }
}

async function callRoute(request: IncomingMessage, response: ServerResponse, { handlers, clock }: HttpPorts, path: string, query: string): Promise<void> {
  const found = matches(path);
  if (found.length === 0) throw new Problem(404, `${quote(path)}: there is nothing here`);
  const { method = 'GET', headers } = request;
  const match = found.find(({ route }) => route.method === method);
  if (!match) throw methodNotAllowed(method, path, found.map(({ route }) => route.method));
  const body = await bodyOf(request, match.route.bodyLimit);
  const requestId = randomUUID();
  const now = clock();
  const event: APIGatewayProxyEventV2 = {
    version: '2.0',
    routeKey: routeKey(match.route),
    rawPath: path,
    rawQueryString: query,
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])),
    pathParameters: match.pathParameters,
    requestContext: {
      accountId: '', apiId: '', domainName: headers.host ?? '', domainPrefix: '', requestId, routeKey: routeKey(match.route), stage: '$default',
      time: new Date(now).toISOString(), timeEpoch: now,
      http: { method, path, protocol: `HTTP/${request.httpVersion}`, sourceIp: request.socket.remoteAddress ?? '', userAgent: headers['user-agent'] ?? '' },
    },
    isBase64Encoded: false,
    ...(body !== '' && { body }),
  };
  send(response, await handlers[match.route.handler](event, { awsRequestId: requestId } as Context));
}

function send(response: ServerResponse, { statusCode = 200, headers = {}, body = '' }: APIGatewayProxyStructuredResultV2): void {
  const lines = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
  response.writeHead(statusCode, { ...lines, ...(statusCode !== 204 && { 'content-length': Buffer.byteLength(body) }) }).end(body);
}

function sendProblem(response: ServerResponse, problem: Problem): void {
  if (response.headersSent) response.destroy();
  else send(response, problem.response());
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
