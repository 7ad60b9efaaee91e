// What every HTTP function does before and after its work, as middy middlewares: finding the route and the caller's key,
// checking parameters, pace and size, turning a thrown Problem into its response. next: lambdas/answer.ts
import middy, { type MiddlewareObj } from '@middy/core';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import { quote } from '../core/event.ts';
import { cachedKeys, type Key, type Keys } from '../core/keys.ts';
import type { Clock, Store } from '../core/ports.ts';
import { Problem, type FieldError } from '../core/problem.ts';
import type { Parameters } from '../core/query.ts';
import type { Allowance, RateLimit } from '../core/rate-limit.ts';
import { NO_ROUTE, methodsAt, routeKey, routeOf, routesAt, type HandlerName, type Route, type RouteKeyOf } from '../core/routes.ts';
import { cachedSites, isSiteId, type Site, type Sites } from '../core/sites.ts';
import { answered, completed, type Answered } from './answer.ts';
import { SIGNALS } from './environment.ts';
import type { Observer } from './function.ts';

/** A request that has been checked against its route. */
export type Request = APIGatewayProxyEventV2 & {
  parameters: Parameters;
  /** Whose request it is; absent on open routes. */
  key?: Key;
  /** The site of its key; absent with an admin key. */
  site?: Site;
  /** Headers of the answer that follow from the request, whatever becomes of it. */
  answerHeaders: Record<string, string>;
};

/** What a route does: answers, or throws a Problem. */
export type Action = (request: Request) => Promise<Answered>;

export type Handler = (event: APIGatewayProxyEventV2, context: Context) => Promise<APIGatewayProxyStructuredResultV2>;

/** What all HTTP functions stand on. */
export interface HttpPorts {
  keys: Keys;
  sites: Sites;
  /** What is told of an error that is ours (a 500); the caller learns no details. */
  onError: (error: unknown) => void;
}

/** How long an instance on AWS remembers keys and sites, ms: a revoked key works no longer than that. */
export const REMEMBERED_MS = 30_000;

/** @param rememberedMs how long keys and sites are taken as they were read; 0 = not at all */
export function httpPorts(registry: Store, clock: Clock, rememberedMs: number, onError: HttpPorts['onError']): HttpPorts {
  return { keys: cachedKeys(registry, clock, rememberedMs, onError), sites: cachedSites(registry, clock, rememberedMs), onError };
}

type Middleware = MiddlewareObj<Request, APIGatewayProxyStructuredResultV2>;

/**
 * The handler of one function: an action for each of its routes.
 * @param allowance keeps the pace of the read keys, on the routes they may call
 */
export function httpHandler<H extends HandlerName>(
  actions: Readonly<Record<RouteKeyOf<H>, Action>>,
  { keys, sites, onError }: HttpPorts,
  allowance?: (id: string, limit: RateLimit) => Allowance,
): Handler {
  const byRoute: Readonly<Record<string, Action>> = actions;
  const middlewares = [finished(), problems(onError), routed(), authorized(keys, sites), ...(allowance ? [paced(allowance)] : []), known(), limited()];
  const handler = middy<Request, APIGatewayProxyStructuredResultV2>()
    .use(middlewares)
    .handler(async (request: Request) => {
      const route = routeOf(request.routeKey);
      const action = route && byRoute[routeKey(route)];
      if (!action) throw new Problem(404, `${quote(request.routeKey)}: there is no such route`);
      return answered(await action(request));
    });
  return async (event, context) => handler({ ...event, parameters: new Map(), answerHeaders: {} }, context);
}

/** A handler whose routes, answers and errors are told. The path stays out of it: it may hold what clients made up. */
export function observedHttp(observer: Observer, make: (onError: (error: unknown) => void) => Handler): Handler {
  const handler = make((error) => {
    observer.count(SIGNALS.errors, 1);
    observer.error(error);
  });
  return async (event, context) => {
    const response = await handler(event, context);
    observer.note({ route: event.routeKey, status: response.statusCode });
    return response;
  };
}

/** Gives the response its last form: for this client, and with what follows from the request. Runs last, whatever happened. */
function finished(): Middleware {
  const finish: Middleware['after'] = async (request) => { request.response = await completed(request.event, request.response ?? {}); };
  return { after: finish, onError: finish };
}

/** Turns whatever was thrown into a response: a Problem into its own, anything else into a 500 that tells nothing. */
function problems(onError: (error: unknown) => void): Middleware {
  return {
    onError: (request) => {
      if (!(request.error instanceof Problem)) onError(request.error);
      const problem = request.error instanceof Problem ? request.error : new Problem(500, 'Something went wrong on our side; nothing was changed that you were told of.');
      request.response = problem.response(request.event.requestContext.requestId);
    },
  };
}

/** How long browsers remember what may be asked from other origins, seconds. */
const PREFLIGHT_S = '86400';

/**
 * Answers what API Gateway found no route for: questions about methods, and mistakes. To a preflight the answer is the
 * same for every origin and site, so that it tells nothing of them; which pages may read, the answer to the read says.
 */
function routed(): Middleware {
  return {
    before: async ({ event }) => {
      if (event.routeKey !== NO_ROUTE) return undefined;
      const { rawPath, requestContext: { http: { method } } } = event;
      const methods = methodsAt(rawPath);
      if (methods.length === 0) throw new Problem(404, `${quote(rawPath)}: there is nothing here; the routes stand in /openapi.json`);
      const allow = methods.join(', ');
      if (method !== 'OPTIONS') throw new Problem(405, `${quote(method)} ${quote(rawPath)}: accepts ${allow}`, { allow });
      const open = routesAt(rawPath).some(({ route }) => isReadable(route));
      const headers = { allow, ...(open && { 'access-control-allow-origin': '*', 'access-control-allow-methods': 'GET, HEAD', 'access-control-allow-headers': 'authorization', 'access-control-max-age': PREFLIGHT_S }) };
      return completed(event, { statusCode: 204, headers });
    },
  };
}

/** Whether pages of other origins may ask for it: with a read key, or without any. */
function isReadable({ method, scopes }: Route): boolean {
  return method === 'GET' && (scopes.length === 0 || scopes.includes('read'));
}

/** What pages of other origins may see of an answer beside its body. */
const EXPOSED = 'etag, retry-after, x-request-id, x-complete-through, x-warnings, ratelimit-limit, ratelimit-remaining, ratelimit-reset, ratelimit-policy';

/** Finds the key and checks it against the route: 401 without one, 403 in the wrong scope, 404 on another's site. */
function authorized(keys: Keys, sites: Sites): Middleware {
  return {
    before: async ({ event }) => {
      const route = routeOf(event.routeKey);
      const scopes: readonly string[] = route?.scopes ?? [];
      if (scopes.length === 0) {
        event.answerHeaders['access-control-allow-origin'] = '*';
        return;
      }
      event.answerHeaders.vary = 'authorization, origin';
      const key = await keys.find(event.headers.authorization);
      if (!key) throw new Problem(401, 'Authorization: accepts Bearer and a key, ff_…, that has not been revoked', { 'www-authenticate': 'Bearer' });
      const named = event.pathParameters?.site;
      if (key.site !== undefined) event.site = await readSite(key.site, sites);
      if (key.scope === 'read') Object.assign(event.answerHeaders, shared(event.headers.origin, event.site));
      if (key.site !== undefined && named !== undefined && key.site !== named) throw noSuchSite(named);
      if (!scopes.includes(key.scope)) throw new Problem(403, `a ${key.scope} key: this route accepts ${scopes.join(' and ')} keys`);
      event.key = key;
    },
  };
}

/** Headers that let a page of one of the site's origins read the answer. */
function shared(origin: string | undefined, site: Site | undefined): Record<string, string> {
  if (origin === undefined || !site?.origins.includes(origin)) return {};
  return { 'access-control-allow-origin': origin, 'access-control-expose-headers': EXPOSED };
}

/** Refuses a read key that asks more often than its site allows, and tells each how much is left. */
function paced(allowance: (id: string, limit: RateLimit) => Allowance): Middleware {
  return {
    before: ({ event: { key, site, answerHeaders } }) => {
      if (key?.scope !== 'read' || !site) return;
      const { per_second, burst } = site.rate_limit;
      const { allowed, remaining, fullInS, nextInS } = allowance(key.id, site.rate_limit);
      Object.assign(answerHeaders, {
        'ratelimit-limit': String(burst), 'ratelimit-remaining': String(remaining), 'ratelimit-reset': String(fullInS),
        'ratelimit-policy': `${burst};w=${Math.ceil(burst / per_second)}`,
      });
      if (!allowed) throw new Problem(429, `the key: accepts ${per_second} requests a second, and ${burst} at once`, { 'retry-after': String(nextInS) });
    },
  };
}

/** Reads the query's parameters, and refuses those the route does not know, and one that is given twice. */
function known(): Middleware {
  return {
    before: ({ event }) => {
      const names: readonly string[] = routeOf(event.routeKey)?.parameters ?? [];
      event.parameters = parametersOf(event.rawQueryString);
      const errors = [...event.parameters].flatMap(([name, values]): FieldError[] => {
        if (!names.includes(name)) return [{ parameter: name, value: quote(values[0]), accepts: names.length === 0 ? 'nothing: there are no parameters' : `nothing: the parameters are ${names.join(', ')}` }];
        return values.length > 1 ? [{ parameter: name, value: quote(values.join(' and ')), accepts: 'one value' }] : [];
      });
      if (errors.length > 0) throw Problem.ofFields(400, errors);
    },
  };
}

/** Refuses a body over the route's limit: API Gateway itself hands on up to 10 MB. */
function limited(): Middleware {
  return {
    before: ({ event }) => {
      const { bodyLimit = 0 } = routeOf(event.routeKey) ?? {};
      if (Buffer.byteLength(bodyOf(event)) > bodyLimit) throw new Problem(413, `the body: accepts at most ${bodyLimit} bytes`);
    },
  };
}

/** The same for a site that does not exist and for one that is another's. */
export function noSuchSite(id: string): Problem {
  return new Problem(404, `site ${quote(id)}: there is no such site for this key`);
}

async function readSite(id: string, sites: Sites): Promise<Site> {
  const site = isSiteId(id) ? (await sites.read([id])).get(id) : undefined;
  if (!site) throw noSuchSite(id);
  return site;
}

/** The site of the path. Throws 404 where there is none. */
export async function siteOf({ site, pathParameters }: Request, sites: Sites): Promise<Site> {
  return site ?? readSite(pathParameters?.site ?? '', sites);
}

/** Longest query, characters. */
const MAX_QUERY = 8192;

/** The query string's parameters. Throws 400 where it is too long or the percent-encoding is broken. */
function parametersOf(query: string): Parameters {
  const parameters = new Map<string, string[]>();
  if (query.length > MAX_QUERY) throw new Problem(400, `the query, ${query.length} characters: accepts at most ${MAX_QUERY}`);
  try {
    for (const pair of query.split('&')) {
      if (pair === '') continue;
      const [name, ...rest] = pair.split('=').map((text) => decodeURIComponent(text.replaceAll('+', ' ')));
      parameters.set(name!, [...(parameters.get(name!) ?? []), rest.join('=')]);
    }
  } catch {
    throw new Problem(400, `query ${quote(query)}: accepts percent-encoded UTF-8`);
  }
  return parameters;
}

/** The body's text. */
export function bodyOf({ body, isBase64Encoded }: Pick<Request, 'body' | 'isBase64Encoded'>): string {
  return isBase64Encoded ? Buffer.from(body ?? '', 'base64').toString() : (body ?? '');
}

/** The body as JSON. Throws 400 where it is none. */
export function jsonOf(request: Request): unknown {
  try {
    return JSON.parse(bodyOf(request));
  } catch (error) {
    throw new Problem(400, `the body is not JSON: ${(error as Error).message}`);
  }
}
