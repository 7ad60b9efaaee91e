// The routes of the metrics API. API Gateway, the one-machine server and the documents all take them from here.
import type { Scope } from './keys.ts';

/** The function that answers a route. */
export type HandlerName = 'ingest' | 'serve' | 'admin';

export interface Route {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** With `{name}` for the parameters, as API Gateway writes them. */
  path: string;
  handler: HandlerName;
  /** Scopes of which the key has to have one; none listed = open. */
  scopes: readonly Scope[];
  /** Largest body, bytes. */
  bodyLimit: number;
}

const none = 0;
const small = 64 * 1024;

export const ROUTES = [
  { method: 'POST', path: '/v1/events', handler: 'ingest', scopes: ['write'], bodyLimit: 1024 * 1024 },
  { method: 'GET', path: '/v1/health', handler: 'serve', scopes: [], bodyLimit: none },
  { method: 'GET', path: '/v1/sites/{site}/stats', handler: 'serve', scopes: ['read', 'admin'], bodyLimit: none },
  { method: 'GET', path: '/v1/sites/{site}/timeseries', handler: 'serve', scopes: ['read', 'admin'], bodyLimit: none },
  { method: 'GET', path: '/v1/sites/{site}/breakdown', handler: 'serve', scopes: ['read', 'admin'], bodyLimit: none },
  { method: 'GET', path: '/v1/sites/{site}/funnel', handler: 'serve', scopes: ['read', 'admin'], bodyLimit: none },
  { method: 'GET', path: '/v1/sites', handler: 'admin', scopes: ['admin'], bodyLimit: none },
  { method: 'GET', path: '/v1/sites/{site}', handler: 'admin', scopes: ['admin'], bodyLimit: none },
  { method: 'PUT', path: '/v1/sites/{site}', handler: 'admin', scopes: ['admin'], bodyLimit: small },
  { method: 'GET', path: '/v1/sites/{site}/keys', handler: 'admin', scopes: ['admin'], bodyLimit: none },
  { method: 'POST', path: '/v1/sites/{site}/keys', handler: 'admin', scopes: ['admin'], bodyLimit: small },
  { method: 'DELETE', path: '/v1/sites/{site}/keys/{key}', handler: 'admin', scopes: ['admin'], bodyLimit: none },
  { method: 'GET', path: '/v1/rollups', handler: 'admin', scopes: ['admin'], bodyLimit: none },
  { method: 'POST', path: '/v1/rollups', handler: 'admin', scopes: ['admin'], bodyLimit: small },
  { method: 'DELETE', path: '/v1/rollups/{job}', handler: 'admin', scopes: ['admin'], bodyLimit: none },
] as const satisfies readonly Route[];

/** A route's name, as API Gateway gives it in `routeKey`. */
export type RouteKey = { [R in (typeof ROUTES)[number] as `${R['method']} ${R['path']}`]: R };
export type RouteKeyOf<H extends HandlerName> = {
  [K in keyof RouteKey]: RouteKey[K]['handler'] extends H ? K : never;
}[keyof RouteKey];

export function routeKey({ method, path }: Route): string {
  return `${method} ${path}`;
}
