// The administrator's function: sites and their keys.
import { quote } from '../core/event.ts';
import { listKeys, newKey, removeKey, storeKey, type Scope } from '../core/keys.ts';
import type { Clock, Store } from '../core/ports.ts';
import { Problem, type FieldError } from '../core/problem.ts';
import { checkSite, isSiteId, listSites, readSite, writeSite } from '../core/sites.ts';
import { httpHandler, jsonOf, parametersOf, siteOf, type Handler } from './http.ts';

export interface AdminPorts {
  registry: Store;
  clock: Clock;
  onError: (error: unknown) => void;
}

/** Sites of one answer of `GET /v1/sites`. */
const PAGE = 1000;
const SITE_SCOPES: readonly unknown[] = ['read', 'write'] satisfies Scope[];

export function adminHandler({ registry, clock, onError }: AdminPorts): Handler {
  const now = () => new Date(clock()).toISOString();
  return httpHandler<'admin'>({
    'GET /v1/sites': async (request) => {
      const parameters = parametersOf(request);
      for (const name of parameters.keys()) if (name !== 'after') throw new Problem(400, `${quote(name)}: the only parameter is after, the id of a site`);
      const after = parameters.get('after')?.[0];
      if (after !== undefined && !isSiteId(after)) throw new Problem(400, `after ${quote(after)}: accepts the id of a site`);
      const sites = await listSites(registry, after ?? '', PAGE);
      const last = sites.at(-1);
      return { body: { sites, next: sites.length === PAGE && last ? `/v1/sites?after=${last.id}` : null } };
    },
    'GET /v1/sites/{site}': async (request) => ({ body: await siteOf(request, registry) }),
    'PUT /v1/sites/{site}': async (request) => {
      const id = request.pathParameters?.site;
      if (!isSiteId(id)) throw new Problem(422, `site ${quote(id)}: accepts 1 to 63 of a-z, 0-9 and -, not beginning with -`);
      const existing = await readSite(registry, id);
      const site = checkSite(id, jsonOf(request), existing, now());
      await writeSite(registry, site);
      return { body: site };
    },
    'GET /v1/sites/{site}/keys': async (request) => {
      const { id } = await siteOf(request, registry);
      return { body: { keys: await listKeys(registry, id) } };
    },
    'POST /v1/sites/{site}/keys': async (request) => {
      const { id } = await siteOf(request, registry);
      const { scope, label } = checkKey(jsonOf(request));
      const key = newKey(scope);
      const { id: keyId } = await storeKey(registry, key, { scope, label, site: id }, now());
      return { status: 201, body: { id: keyId, key, scope, label } };
    },
    'DELETE /v1/sites/{site}/keys/{key}': async (request) => {
      const { id } = await siteOf(request, registry);
      const key = request.pathParameters?.key ?? '';
      if (!(await removeKey(registry, id, key))) throw new Problem(404, `key ${quote(key)}: the site has no such key`);
      return { status: 204 };
    },
  }, { registry, onError });
}

function checkKey(body: unknown): { scope: Scope; label: string } {
  const { scope, label = '', ...rest } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const errors: FieldError[] = Object.keys(rest).map((name) => ({ parameter: name, value: quote(rest[name]), accepts: 'nothing: the fields are scope and label' }));
  if (!SITE_SCOPES.includes(scope)) errors.push({ parameter: 'scope', value: quote(scope ?? null), accepts: 'read or write' });
  if (typeof label !== 'string' || label.length > 100) errors.push({ parameter: 'label', value: quote(label), accepts: 'text of at most 100 characters' });
  if (errors.length > 0) throw Problem.ofFields(422, errors);
  return { scope: scope as Scope, label: label as string };
}
