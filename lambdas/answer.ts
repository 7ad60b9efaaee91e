// An answer as a client gets it: JSON or CSV, not sent where it has it already, compressed where it takes that, without
// a body where it asked for none. before: lambdas/http.ts
import { hash } from 'node:crypto';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import Negotiator from 'negotiator';

export interface Answered {
  status?: number;
  /** Answered as JSON. */
  body?: unknown;
  /** Answered as it is, in place of a body; its type is among the headers. */
  text?: string;
  headers?: Record<string, string>;
}

/** The response of an action. */
export function answered({ status = 200, body, text, headers }: Answered): APIGatewayProxyStructuredResultV2 {
  const answer = text ?? (body === undefined ? undefined : JSON.stringify(body));
  return {
    statusCode: status,
    headers: { 'cache-control': 'no-store', ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(answer !== undefined && { body: answer }),
  };
}

/** The media type a client prefers of these; undefined where it takes none of them. */
export function preferredType(accept: string | undefined, types: readonly string[]): string | undefined {
  return new Negotiator({ headers: { accept } }).mediaType([...types]);
}

type Headers = Record<string, string>;
const COMPRESSORS = {
  br: promisify((text: string, done: (error: Error | null, bytes: Buffer) => void) => { brotliCompress(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }, done); }),
  gzip: promisify((text: string, done: (error: Error | null, bytes: Buffer) => void) => { gzip(text, done); }),
};
/** What is shorter is not worth compressing: it fits into one packet. */
const COMPRESSED_FROM = 1024;

/** A response with what follows from the request: its id, the headers that were found on the way, and the form the client takes. */
export async function completed(
  { headers, requestContext: { requestId, http: { method } }, answerHeaders }: APIGatewayProxyEventV2 & { answerHeaders: Headers },
  response: APIGatewayProxyStructuredResultV2,
): Promise<APIGatewayProxyStructuredResultV2> {
  const { statusCode = 200, body } = response;
  const own = response.headers as Headers;
  const sent: Headers = { ...own, ...answerHeaders, 'x-request-id': requestId };
  const vary = [own.vary, answerHeaders.vary, ...(body === undefined ? [] : ['accept-encoding'])].filter((names) => names !== undefined);
  if (vary.length > 0) sent.vary = vary.join(', ');
  const bare = { statusCode, headers: sent };
  if (body === undefined) return bare;
  if (statusCode === 200 && own['cache-control'] !== 'no-store') {
    sent.etag ??= etagOf(body);
    if (isKnown(headers['if-none-match'], sent.etag)) return { statusCode: 304, headers: without(sent, ['content-type', 'content-disposition']) };
  }
  if (method === 'HEAD') return bare;
  if (body.length < COMPRESSED_FROM) return { ...bare, body };
  const taken = new Negotiator({ headers: { 'accept-encoding': headers['accept-encoding'] } }).encodings(['br', 'gzip']);
  const encoding = taken.includes('br') ? 'br' : taken.includes('gzip') ? 'gzip' : undefined;
  if (encoding === undefined) return { ...bare, body };
  sent['content-encoding'] = encoding;
  return { ...bare, body: (await COMPRESSORS[encoding](body)).toString('base64'), isBase64Encoded: true };
}

/** A weak validator: of the content, whatever its encoding. */
export function etagOf(content: string): string {
  return `W/"${hash('sha256', content, 'base64url').slice(0, 22)}"`;
}

/** Whether one of the validators of `If-None-Match` is this one. They are compared weakly, as RFC 9110 has it for this header. */
function isKnown(ifNoneMatch: string | undefined, etag: string): boolean {
  const opaque = (tag: string) => tag.trim().replace(/^W\//, '');
  return ifNoneMatch !== undefined && ifNoneMatch.split(',').some((tag) => tag.trim() === '*' || opaque(tag) === opaque(etag));
}

function without(headers: Headers, names: readonly string[]): Headers {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name)));
}
