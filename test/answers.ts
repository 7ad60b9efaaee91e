// Is every answer as the API's document says? Whatever a test file fetches is checked where it imports this one (as
// test/process.ts does); of handlers that a test calls itself, `checked` does.
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import type { ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import ajvFormats from 'ajv-formats';
import { openApi } from '../core/openapi.ts';
import { NO_ROUTE, routeOf, type HandlerName } from '../core/routes.ts';
import type { Handler } from '../lambdas/http.ts';

interface Referable { $ref?: string }
export interface Parameter extends Referable { name?: string; in?: string; required?: boolean; schema?: object }
interface Header extends Referable { required?: boolean; schema?: { type?: string } }
interface Response extends Referable { headers?: Record<string, Header>; content?: Record<string, { schema?: object }> }
export interface Operation {
  operationId: string;
  security: Record<string, string[]>[];
  parameters?: Parameter[];
  requestBody?: { content: Record<string, { schema: object }> };
  responses: Record<string, Response>;
}

/** What a test looks at of an OpenAPI document. */
export interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object>; [kind: string]: Record<string, object> };
}

/** The document that the API answers with. */
export function theDocument(): Document {
  return openApi() as Document;
}

/** An answer; its path is a request's or the document's, its body as it was before it was compressed. */
export interface Received { method: string; path: string; status: number; headers: Record<string, string>; body: Buffer }

/** Headers that say nothing of the API: those of every server, and who may read or keep an answer. */
const COMMON = /^(access-control-[\w-]+|allow|cache-control|connection|content-encoding|content-length|content-type|date|keep-alive|transfer-encoding|vary)$/;
const PROBLEM: Response = { content: { 'application/problem+json': {} }, headers: { 'X-Request-Id': {} } };

/** A name in a JSON pointer, as it stands behind the # of a reference. */
export const escaped = (name: string) => encodeURIComponent(name.replaceAll('~', '~0').replaceAll('/', '~1'));

/** What a reference within the document means; throws where it means nothing. */
export function referred(document: Document, $ref: string): unknown {
  const found = $ref.split('/').slice(1).reduce<unknown>((within, name) => (within as Record<string, unknown> | undefined)?.[name], document);
  if (found === undefined) throw new Error(`${$ref}: the document has no such thing`);
  return found;
}

/** Checks values against the schemas at places of a document. Throws where a schema is none, or has words that mean nothing. */
export function schemasOf({ components, paths }: Document): (place: string, value: unknown) => string | undefined {
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true });
  ajvFormats.default(ajv);
  // The document itself is no schema, but holds them.
  ajv.addVocabulary(['components', 'paths']);
  ajv.addSchema({ $id: 'document', components, paths });
  const validators = new Map<string, ValidateFunction>();
  return (place, value) => {
    const validator = validators.get(place) ?? ajv.compile({ $ref: `document#${place}` });
    validators.set(place, validator);
    return validator(value) ? undefined : ajv.errorsText(validator.errors, { dataVar: '' });
  };
}

/** Checks answers against a document; what is thrown names the answer, the place in it, and what the document has there. */
export function answersOf(document: Document): (received: Received) => void {
  const wrong = schemasOf(document);
  const patterns = Object.keys(document.paths).map((path) => ({ path, pattern: new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`) }));

  function validate(place: string, value: unknown, what: string): void {
    const errors = wrong(place, value);
    if (errors !== undefined) throw new Error(`${what}: ${errors}`);
  }

  /** A thing and its place, behind its reference if it is one. */
  function resolved<T extends Referable>(thing: T, place: string): [thing: T, place: string] {
    return thing.$ref === undefined ? [thing, place] : [referred(document, thing.$ref) as T, thing.$ref.slice(1)];
  }

  function checkHeaders(headers: Record<string, string>, described: Record<string, Header>, place: string): void {
    const known = new Map(Object.entries(described).map(([name, header]) => [name.toLowerCase(), resolved(header, `${place}/headers/${name}`)]));
    for (const [name, [{ required }]] of known) if (required && headers[name] === undefined) throw new Error(`header ${name} is missing`);
    for (const [name, text] of Object.entries(headers)) {
      const [header, at] = known.get(name) ?? [];
      if (header?.schema) validate(`${at}/schema`, header.schema.type === 'integer' ? Number(text) : text, `header ${name}`);
      else if (!header && !COMMON.test(name)) throw new Error(`header ${name} is not described`);
    }
  }

  function checkResponse({ method, status, headers, body }: Received, response: Response, at: string): void {
    const [{ headers: described = {}, content }, place] = resolved(response, at);
    checkHeaders(headers, described, place);
    if (method === 'HEAD' || content === undefined) {
      if (body.length > 0) throw new Error(`a body of ${body.length} bytes, where there is none`);
      return;
    }
    const type = headers['content-type']?.split(';')[0] ?? '';
    if (!content[type]) throw new Error(`Content-Type ${type}: accepts ${Object.keys(content).join(' or ')}`);
    const value: unknown = type.endsWith('json') ? JSON.parse(body.toString()) : body.toString();
    if (content[type].schema) validate(`${place}/content/${escaped(type)}/schema`, value, 'the body');
    // A refusal says its status twice.
    if (status >= 400 && (value as { status: number }).status !== status) throw new Error(`the body's status: accepts ${status}`);
  }

  function check(received: Received): void {
    const { method, status } = received;
    const path = patterns.find(({ path: template, pattern }) => template === received.path || pattern.test(received.path))?.path;
    const name = method === 'HEAD' ? 'get' : method.toLowerCase();
    const operation = path === undefined ? undefined : document.paths[path]![name];
    if (operation) {
      const response = operation.responses[String(status)];
      if (!response) throw new Error(`the statuses are ${Object.keys(operation.responses).join(', ')}`);
      return checkResponse(received, response, `/paths/${escaped(path!)}/${name}/responses/${status}`);
    }
    // What has no route, the document tells in words.
    const expected = path === undefined ? 404 : method === 'OPTIONS' ? 204 : 405;
    if (status !== expected) throw new Error(`${path === undefined ? 'there is no such path' : `${path} has no ${method}`}, so that the status is ${expected}`);
    checkResponse(received, status === 204 ? { headers: PROBLEM.headers! } : PROBLEM, '');
    if (status !== 204 && method !== 'HEAD') validate('/components/schemas/Problem', JSON.parse(received.body.toString()), 'the body');
  }

  return (received) => {
    try {
      check(received);
    } catch (error) {
      const { method, path, status, body } = received;
      throw new Error(`${method} ${path}: the answer ${status} is not as openapi.json says: ${(error as Error).message}\n${body.toString().slice(0, 300)}`, { cause: error });
    }
  };
}

let check: ((received: Received) => void) | undefined;

/** Checks an answer against the document that the API answers with. */
export function checkAnswer(received: Received): void {
  check ??= answersOf(theDocument());
  check(received);
}

const DECOMPRESSED: Readonly<Record<string, (body: Buffer) => Buffer>> = { br: brotliDecompressSync, gzip: gunzipSync };

/** The function of that name, with its answers checked. */
export function checked(name: HandlerName, handler: Handler): Handler {
  return async (event, context) => {
    const { routeKey, rawPath, requestContext: { http } } = event;
    const answer = await handler(event, context);
    const { statusCode = 200, headers = {}, body = '', isBase64Encoded = false } = answer;
    const bytes = Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8');
    const texts = Object.fromEntries(Object.entries(headers).map(([header, value]) => [header, String(value)]));
    const [method = '', path = ''] = routeKey === NO_ROUTE ? [http.method, rawPath] : routeKey.split(' ');
    // To a route of another function each says that there is none.
    const isOwn = routeKey === NO_ROUTE || routeOf(routeKey)?.handler === name;
    checkAnswer({ method, path: isOwn ? path : '/', status: statusCode, headers: texts, body: DECOMPRESSED[texts['content-encoding'] ?? '']?.(bytes) ?? bytes });
    return answer;
  };
}

/** The API's own paths; all else that a server has are pages. */
const API = /^\/(v1\/|openapi\.json$|p\.gif$|e$)/;
const DOORS = /^\/(p\.gif|e)$/;
const { fetch } = globalThis;

globalThis.fetch = async (input, init) => {
  const response = await fetch(input, init);
  const { pathname } = new URL(input instanceof Request ? input.url : input);
  const headers = Object.fromEntries(response.headers);
  // The commands' tests have servers of their own, which answer with next to no headers.
  const isOurs = DOORS.test(pathname) || headers['cache-control'] !== undefined || headers['x-request-id'] !== undefined;
  if (API.test(pathname) && isOurs) {
    const method = init?.method ?? (input instanceof Request ? input.method : 'GET');
    checkAnswer({ method, path: pathname, status: response.status, headers, body: Buffer.from(await response.clone().arrayBuffer()) });
  }
  return response;
};
