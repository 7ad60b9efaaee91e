// What every HTTP function does before and after its work, as middy middlewares: finding the caller's key, writing
// JSON, and turning a thrown Problem into its response. API Gateway has matched the route already (`routeKey`).
import middy, { type MiddlewareObj } from '@middy/core';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import { quote } from '../core/event.ts';
import { findKey, type Key } from '../core/keys.ts';
import type { Store } from '../core/ports.ts';
import { Problem } from '../core/problem.ts';
import type { Parameters } from '../core/query.ts';
import { ROUTES, routeKey, type HandlerName, type Route, type RouteKeyOf } from '../core/routes.ts';
import { isSiteId, readSite, type Site } from '../core/sites.ts';
import { SIGNALS } from './environment.ts';
import type { Observer } from './function.ts';

/** A request whose key has been checked against its route. */
export type Request = APIGatewayProxyEventV2 & { key?: Key };

export interface Answered {
  status?: number;
  /** Answered as JSON. */
  body?: unknown;
  /** Answered as it is, in place of a body; its type is among the headers. */
  text?: string;
  headers?: Record<string, string>;
}
/** What a route does: answers, or throws a Problem. */
export type Action = (request: Request) => Promise<Answered>;

export type Handler = (event: APIGatewayProxyEventV2, context: Context) => Promise<APIGatewayProxyStructuredResultV2>;

/**
 * The handler of one function: an action for each of its routes.
 * @param onError what is told of an error that is ours (a 500); the caller learns no details
 */
export function httpHandler<H extends HandlerName>(
  actions: Readonly<Record<RouteKeyOf<H>, Action>>,
  { registry, onError }: { registry: Store; onError: (error: unknown) => void },
): Handler {
  const byRoute: Readonly<Record<string, Action>> = actions;
  return middy<Request, APIGatewayProxyStructuredResultV2>()
    .use(problems(onError))
    .use(authorized(registry))
    .use(limited())
    .handler(async (request: Request) => {
      const action = byRoute[request.routeKey];
      if (!action) throw new Problem(404, `${quote(request.routeKey)}: there is no such route`);
      const { status = 200, body, text, headers } = await action(request);
      const answer = text ?? (body === undefined ? undefined : JSON.stringify(body));
      return {
        statusCode: status,
        headers: { 'cache-control': 'no-store', ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
        ...(answer !== undefined && { body: answer }),
      };
    });
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

/** Turns whatever was thrown into a response: a Problem into its own, anything else into a 500 that tells nothing. */
function problems(onError: (error: unknown) => void): MiddlewareObj<Request, APIGatewayProxyStructuredResultV2> {
  return {
    onError: (request) => {
      if (!(request.error instanceof Problem)) onError(request.error);
      const problem = request.error instanceof Problem ? request.error : new Problem(500, 'Something went wrong on our side; nothing was changed that you were told of.');
      request.response = problem.response();
    },
  };
}

const BY_KEY = new Map<string, Route>(ROUTES.map((route) => [routeKey(route), route]));

/** Finds the key and checks it against the route: 401 without one, 403 in the wrong scope, 404 on another's site. */
function authorized(registry: Store): MiddlewareObj<Request, APIGatewayProxyStructuredResultV2> {
  return {
    before: async ({ event }) => {
      const scopes: readonly string[] = BY_KEY.get(event.routeKey)?.scopes ?? [];
      if (scopes.length === 0) return;
      const key = await findKey(registry, event.headers.authorization);
      if (!key) throw new Problem(401, 'Authorization: accepts Bearer and a key, ff_…, that has not been revoked', { 'www-authenticate': 'Bearer' });
      const site = event.pathParameters?.site;
      if (key.site !== undefined && site !== undefined && key.site !== site) throw noSuchSite(site);
      if (!scopes.includes(key.scope)) throw new Problem(403, `a ${key.scope} key: this route accepts ${scopes.join(' and ')} keys`);
      event.key = key;
    },
  };
}

/** Refuses a body over the route's limit: API Gateway itself hands on up to 10 MB. */
function limited(): MiddlewareObj<Request, APIGatewayProxyStructuredResultV2> {
  return {
    before: ({ event }) => {
      const { bodyLimit = 0 } = BY_KEY.get(event.routeKey) ?? {};
      if (Buffer.byteLength(bodyOf(event)) > bodyLimit) throw new Problem(413, `the body: accepts at most ${bodyLimit} bytes`);
    },
  };
}

/** The same for a site that does not exist and for one that is another's. */
export function noSuchSite(id: string): Problem {
  return new Problem(404, `site ${quote(id)}: there is no such site for this key`);
}

/** The site of the path. Throws 404 where there is none. */
export async function siteOf(request: Request, registry: Store): Promise<Site> {
  const id = request.pathParameters?.site ?? '';
  const site = isSiteId(id) ? await readSite(registry, id) : undefined;
  if (!site) throw noSuchSite(id);
  return site;
}

/** The query string's parameters. Throws 400 where the percent-encoding is broken. */
export function parametersOf({ rawQueryString }: Request): Parameters {
  const parameters = new Map<string, string[]>();
  try {
    for (const pair of rawQueryString.split('&')) {
      if (pair === '') continue;
      const [name, ...rest] = pair.split('=').map((text) => decodeURIComponent(text.replaceAll('+', ' ')));
      parameters.set(name!, [...(parameters.get(name!) ?? []), rest.join('=')]);
    }
  } catch {
    throw new Problem(400, `query ${quote(rawQueryString)}: accepts percent-encoded UTF-8`);
  }
  return parameters;
}

/** The body's text. */
export function bodyOf({ body, isBase64Encoded }: Request): string {
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
