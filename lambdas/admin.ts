// The administrator's function: sites and their keys, and the state of the rollups.
import { quote } from '../core/event.ts';
import { listKeys, newKey, removeKey, storeKey, type Scope } from '../core/keys.ts';
import { EARLIEST_HOUR, hourAfter, hourOf, hoursBetween, isHour, type Hour } from '../core/hour.ts';
import type { Clock, Lake, Store, Tasks } from '../core/ports.ts';
import type { Parameters } from '../core/query.ts';
import { Problem, type FieldError } from '../core/problem.ts';
import { beginReprocess, cancelReprocess, estimate, listJobs, shownJob, type Reprocess } from '../core/reprocess.ts';
import { readCommits, taskName, timeOf, type Commit } from '../core/rollup.ts';
import { checkSite, isSiteId, listSites, readSite, writeSite } from '../core/sites.ts';
import { daysInMs } from './environment.ts';
import { wired } from './function.ts';
import { httpHandler, httpPorts, jsonOf, observedHttp, siteOf, type Handler, type HttpPorts } from './http.ts';

export interface AdminPorts extends HttpPorts {
  registry: Store;
  lake: Pick<Lake, 'sizeOf' | 'rawParts'>;
  tasks: Pick<Tasks, 'parked'>;
  clock: Clock;
  /** What the engine's operator charges for reading, US dollars a terabyte (10^12 bytes). */
  usdPerTerabyte: number;
  /** How long records are kept as they came, ms. */
  rawKeptMs: number;
}

/** Sites of one answer of `GET /v1/sites`. */
const PAGE = 1000;
const SITE_SCOPES: readonly Scope[] = ['read', 'write'];

export function adminHandler({ registry, lake, tasks, clock, usdPerTerabyte, rawKeptMs, ...http }: AdminPorts): Handler {
  const now = () => new Date(clock()).toISOString();
  /** Makes a key, and shows it this once. */
  const made = async (its: { scope: Scope; label: string; site?: string }) => {
    const key = newKey(its.scope);
    const { id, scope, label, prefix } = await storeKey(registry, key, its, now());
    return { status: 201, body: { id, key, scope, label, prefix } };
  };
  return httpHandler<'admin'>({
    'GET /v1/sites': async (request) => {
      const after = request.parameters.get('after')?.[0];
      if (after !== undefined && !isSiteId(after)) throw new Problem(400, `after ${quote(after)}: accepts the id of a site`);
      const sites = await listSites(registry, after ?? '', PAGE);
      const last = sites.at(-1);
      return { body: { sites, next: sites.length === PAGE && last ? `/v1/sites?after=${last.id}` : null } };
    },
    'GET /v1/sites/{site}': async (request) => ({ body: await siteOf(request, http.sites) }),
    'PUT /v1/sites/{site}': async (request) => {
      const id = request.pathParameters?.site;
      if (!isSiteId(id)) throw new Problem(422, `site ${quote(id)}: accepts 1 to 63 of a-z, 0-9 and -, not beginning with -`);
      const existing = await readSite(registry, id);
      const site = checkSite(id, jsonOf(request), existing, now());
      await writeSite(registry, site);
      return { body: site };
    },
    'GET /v1/sites/{site}/keys': async (request) => {
      const { id } = await siteOf(request, http.sites);
      return { body: { keys: await listKeys(registry, id) } };
    },
    'POST /v1/sites/{site}/keys': async (request) => {
      const { id: site } = await siteOf(request, http.sites);
      const { scope, label } = checkKey(jsonOf(request), SITE_SCOPES);
      return made({ scope, label, site });
    },
    'DELETE /v1/sites/{site}/keys/{key}': async (request) => {
      const { id } = await siteOf(request, http.sites);
      const key = request.pathParameters?.key ?? '';
      if (!(await removeKey(registry, id, key))) throw new Problem(404, `key ${quote(key)}: the site has no such key`);
      return { status: 204 };
    },
    'GET /v1/keys': async () => ({ body: { keys: await listKeys(registry) } }),
    'POST /v1/keys': async (request) => made({ label: checkKey(jsonOf(request), ['admin']).label, scope: 'admin' }),
    'DELETE /v1/keys/{key}': async (request) => {
      const key = request.pathParameters?.key ?? '';
      // So that there is always one left that works.
      if (key === request.key!.id) throw new Problem(409, `key ${quote(key)}: it is the one that asks; make another one, and revoke this one with that`);
      if (!(await removeKey(registry, undefined, key))) throw new Problem(404, `key ${quote(key)}: there is no such admin key`);
      return { status: 204 };
    },
    'GET /v1/rollups': async (request) => {
      const query = hoursOf(request.parameters, clock());
      const [commits, parked, jobs] = await Promise.all([readCommits(registry, query.from, query.to), tasks.parked(), listJobs(registry)]);
      const parkedTimes = new Set(parked.map(({ task }) => timeOf(task)));
      return {
        body: {
          query,
          hours: hoursBetween(query.from, query.to).map((hour) => stateOf(hour, commits.get(hour), parkedTimes.has(hour))),
          parked: parked.map(({ task, attempts, error }) => ({ task: taskName(task), attempts, error })),
          jobs: jobs.slice(-SHOWN_JOBS).reverse().map(shownJob),
        },
      };
    },
    'POST /v1/rollups': async (request) => {
      const { dry_run, ...range } = checkReprocess(jsonOf(request), clock());
      if (!dry_run) return { status: 202, body: shownJob(await beginReprocess(range, { registry, lake, clock, rawKeptMs })) };
      const { hours, bytes, raw_bytes } = await estimate(range, { registry, lake, clock, rawKeptMs });
      return { body: { ...range, dry_run, hours, bytes, raw_bytes, cost_usd: Math.round(((bytes + raw_bytes) / 1e12) * usdPerTerabyte * 100) / 100 } };
    },
    'DELETE /v1/rollups/{job}': async (request) => {
      const id = request.pathParameters?.job ?? '';
      const job = await cancelReprocess(id, registry);
      if (!job) throw new Problem(404, `job ${quote(id)}: there is no such job that is not over`);
      return { status: 202, body: shownJob(job) };
    },
  }, http);
}

/** Hours of one answer of `GET /v1/rollups`, and of one job: ten years. */
const MAX_SHOWN_HOURS = 31 * 24;
const MAX_HOURS = 10 * 366 * 24;
const SHOWN_JOBS = 20;
const HOUR_ACCEPTS = 'an hour of UTC, YYYY-MM-DDTHH, from 2010 on and not in the future; from is not after to';

function isRange(from: unknown, to: unknown, now: number): boolean {
  return isHour(from) && isHour(to) && from >= EARLIEST_HOUR && from <= to && to <= hourOf(now);
}

function hoursOf(parameters: Parameters, now: number): { from: Hour; to: Hour } {
  const to = parameters.get('to')?.[0] ?? hourOf(now);
  const from = parameters.get('from')?.[0] ?? (isHour(to) ? hourAfter(to, -23) : to);
  if (!isRange(from, to, now)) throw new Problem(400, `from ${quote(from)}, to ${quote(to)}: each accepts ${HOUR_ACCEPTS}`);
  if (hourAfter(from, MAX_SHOWN_HOURS - 1) < to) throw new Problem(400, `from ${quote(from)}: accepts at most ${MAX_SHOWN_HOURS} hours up to ${to}`);
  return { from, to };
}

/** An hour as `GET /v1/rollups` shows it. */
function stateOf(hour: Hour, { run, committedAt, checkedAt, summary, pending }: Commit = { pending: [] }, parked: boolean): Record<string, unknown> {
  const time = (ms: number | undefined) => (ms === undefined ? null : new Date(ms).toISOString());
  return {
    hour,
    // Something half-written is mended by the task's next attempt.
    state: parked ? 'parked' : pending.length > 0 ? 'unfinished' : run === undefined ? 'none' : 'committed',
    run: run ?? null,
    committed_at: time(committedAt),
    checked_at: time(checkedAt),
    ...summary,
  };
}

function checkReprocess(body: unknown, now: number): Reprocess & { dry_run: boolean } {
  const { from, to, replay = false, dry_run = false, ...rest } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const errors: FieldError[] = Object.keys(rest).map((name) => ({ parameter: name, value: quote(rest[name]), accepts: 'nothing: the fields are from, to, replay and dry_run' }));
  if (!isRange(from, to, now)) {
    for (const [parameter, value] of [['from', from], ['to', to]] as const) {
      if (!isHour(value) || isHour(from) && isHour(to)) errors.push({ parameter, value: quote(value ?? null), accepts: HOUR_ACCEPTS });
    }
  } else if (hourAfter(from as Hour, MAX_HOURS - 1) < (to as Hour)) {
    errors.push({ parameter: 'from', value: quote(from), accepts: `at most ${MAX_HOURS} hours up to ${to as Hour}` });
  }
  for (const [parameter, value] of [['replay', replay], ['dry_run', dry_run]] as const) {
    if (typeof value !== 'boolean') errors.push({ parameter, value: quote(value), accepts: 'true or false' });
  }
  if (errors.length > 0) throw Problem.ofFields(422, errors);
  return { from: from as Hour, to: to as Hour, replay: replay as boolean, dry_run: dry_run as boolean };
}

/** @param scopes what a key of that route can be; where it is one only, it need not be named */
function checkKey(body: unknown, scopes: readonly Scope[]): { scope: Scope; label: string } {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new Problem(422, `the body ${quote(body)}: accepts an object with scope and label`);
  const { scope = scopes.length === 1 ? scopes[0] : undefined, label = '', ...rest } = body as Record<string, unknown>;
  const errors: FieldError[] = Object.keys(rest).map((name) => ({ parameter: name, value: quote(rest[name]), accepts: 'nothing: the fields are scope and label' }));
  if (!(scopes as readonly unknown[]).includes(scope)) errors.push({ parameter: 'scope', value: quote(scope ?? null), accepts: scopes.join(' or ') });
  if (typeof label !== 'string' || label.length > 100) errors.push({ parameter: 'label', value: quote(label), accepts: 'text of at most 100 characters' });
  if (errors.length > 0) throw Problem.ofFields(422, errors);
  return { scope: scope as Scope, label: label as string };
}

/** Athena's list price in most regions (2026-11). */
const ATHENA_USD_PER_TERABYTE = 5;

export const handler = wired('admin', async ({ REGISTRY_TABLE, BUCKET, RAW_DAYS }, observer) => {
  const [{ dynamo, dynamoStore }, { s3, s3Lake }, { parkedTasks }] = await Promise.all([import('./aws/store.ts'), import('./aws/lake.ts'), import('./aws/tasks.ts')]);
  const registry = dynamoStore(dynamo(), REGISTRY_TABLE, { consistent: true });
  return observedHttp(observer, (onError) => adminHandler({
    // Nothing is remembered: whoever administers sees what was done a moment ago.
    registry, clock: Date.now, ...httpPorts(registry, Date.now, 0, onError),
    lake: s3Lake(s3(), BUCKET),
    tasks: { parked: () => parkedTasks(registry) },
    usdPerTerabyte: ATHENA_USD_PER_TERABYTE,
    rawKeptMs: daysInMs(RAW_DAYS),
  }));
});
