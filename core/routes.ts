// The routes of the metrics API. API Gateway, the one-machine server and the documents all take them from here.
import type { Scope } from './keys.ts';
import { QUERY_PARAMETERS, type ParameterName } from './query.ts';

/** The function that answers a route. */
export type HandlerName = 'ingest' | 'serve' | 'admin';

export interface Route {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** With `{name}` for the parameters, as API Gateway writes them. */
  path: string;
  handler: HandlerName;
  /** Scopes of which the key has to have one; none listed = open. */
  scopes: readonly Scope[];
  /** The parameters of the query; any other is refused. */
  parameters: readonly (ParameterName | 'after')[];
  /** Largest body, bytes. */
  bodyLimit: number;
}

const none = 0;
const small = 64 * 1024;
const OPEN = { method: 'GET', handler: 'serve', scopes: [], parameters: [], bodyLimit: none } as const;
const READ = { method: 'GET', handler: 'serve', scopes: ['read', 'admin'], bodyLimit: none } as const;
const ADMIN = { handler: 'admin', scopes: ['admin'], parameters: [] } as const;

export const ROUTES = [
  { method: 'POST', path: '/v1/events', handler: 'ingest', scopes: ['write'], parameters: [], bodyLimit: 1024 * 1024 },
  { ...OPEN, path: '/openapi.json' },
  { ...OPEN, path: '/v1/health' },
  { ...READ, path: '/v1/key', scopes: ['read', 'write', 'admin'], parameters: [] },
  { ...READ, path: '/v1/sites/{site}/stats', parameters: QUERY_PARAMETERS.stats },
  { ...READ, path: '/v1/sites/{site}/timeseries', parameters: QUERY_PARAMETERS.timeseries },
  { ...READ, path: '/v1/sites/{site}/breakdown', parameters: QUERY_PARAMETERS.breakdown },
  { ...READ, path: '/v1/sites/{site}/funnel', parameters: QUERY_PARAMETERS.funnel },
  { ...ADMIN, method: 'GET', path: '/v1/sites', parameters: ['after'], bodyLimit: none },
  { ...ADMIN, method: 'GET', path: '/v1/sites/{site}', bodyLimit: none },
  { ...ADMIN, method: 'PUT', path: '/v1/sites/{site}', bodyLimit: small },
  { ...ADMIN, method: 'GET', path: '/v1/sites/{site}/keys', bodyLimit: none },
  { ...ADMIN, method: 'POST', path: '/v1/sites/{site}/keys', bodyLimit: small },
  { ...ADMIN, method: 'DELETE', path: '/v1/sites/{site}/keys/{key}', bodyLimit: none },
  { ...ADMIN, method: 'GET', path: '/v1/keys', bodyLimit: none },
  { ...ADMIN, method: 'POST', path: '/v1/keys', bodyLimit: small },
  { ...ADMIN, method: 'DELETE', path: '/v1/keys/{key}', bodyLimit: none },
  { ...ADMIN, method: 'GET', path: '/v1/rollups', parameters: ['from', 'to'], bodyLimit: none },
  { ...ADMIN, method: 'POST', path: '/v1/rollups', bodyLimit: small },
  { ...ADMIN, method: 'DELETE', path: '/v1/rollups/{job}', bodyLimit: none },
] as const satisfies readonly Route[];

/** A route's name, as API Gateway gives it in `routeKey`. */
export type RouteKey = { [R in (typeof ROUTES)[number] as `${R['method']} ${R['path']}`]: R };
export type RouteKeyOf<H extends HandlerName> = {
  [K in keyof RouteKey]: RouteKey[K]['handler'] extends H ? K : never;
}[keyof RouteKey];

export function routeKey({ method, path }: Route): string {
  return `${method} ${path}`;
}

/** What API Gateway calls the route of whatever matches no other. */
export const NO_ROUTE = '$default';

const BY_KEY = new Map<string, Route>(ROUTES.map((route) => [routeKey(route), route]));

/** The route of a name; `HEAD` is asked of the route of `GET`. */
export function routeOf(name: string): Route | undefined {
  return BY_KEY.get(name.replace(/^HEAD /, 'GET '));
}

const PATTERNS = ROUTES.map((route: Route) => ({ route, pattern: new RegExp(`^${route.path.replaceAll(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`) }));

/** The routes of a path, one a method, with its parameters as they are written. */
export function routesAt(path: string): { route: Route; pathParameters: Record<string, string> }[] {
  return PATTERNS.flatMap(({ route, pattern }) => {
    const match = pattern.exec(path);
    return match ? [{ route, pathParameters: { ...match.groups } }] : [];
  });
}

/** The methods a path takes, for people and for `Allow`. */
export function methodsAt(path: string): string[] {
  const methods = routesAt(path).map(({ route }) => route.method);
  return methods.length === 0 ? [] : [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS'];
}
