// The API as the pages read it: one method a route, each answer with the type that the core gives it.
// before: dashboard/sign-in.tsx finds the key; next: everything that shows numbers
import type { ListedKey, Scope } from '../core/keys.ts';
import type { FieldError } from '../core/problem.ts';
import type { BreakdownQuery, FunnelQuery, StatsQuery, TimeseriesQuery } from '../core/query.ts';
import type { Estimate, Reprocess, ShownJob } from '../core/reprocess.ts';
import type { Summary } from '../core/rollup.ts';
import type { Answer, BreakdownResult, FunnelResult, StatsResult, TimeseriesResult } from '../core/serve.ts';
import type { Site } from '../core/sites.ts';

/** The reads of a site, and what each answers. */
export interface Answers {
  stats: Answer<StatsQuery, StatsResult>;
  timeseries: Answer<TimeseriesQuery, TimeseriesResult>;
  breakdown: Answer<BreakdownQuery, BreakdownResult>;
  funnel: Answer<FunnelQuery, FunnelResult>;
}

/** What a key may do, and for which site. */
export interface KeyInfo { id: string; scope: Scope; label: string; prefix: string | null; created_at: string; site: Pick<Site, 'id' | 'name' | 'timezone' | 'currency'> | null }

/** A key that has just been made: this once with its text. */
export interface MadeKey { id: string; key: string; scope: Scope; label: string }

/** What of a site can be set. */
export type SiteSettings = Pick<Site, 'name' | 'timezone' | 'currency' | 'hosts' | 'origins' | 'rate_limit'>;

export interface HourState extends Partial<Summary> {
  hour: string;
  state: 'committed' | 'unfinished' | 'parked' | 'none';
  run: string | null;
  committed_at: string | null;
  checked_at: string | null;
}
export interface Rollups {
  query: { from: string; to: string };
  hours: HourState[];
  parked: { task: string; attempts: number; error: string }[];
  jobs: ShownJob[];
}

/** A request that came to nothing: the problem's own sentence, for whoever looks at the page. */
export class Trouble extends Error {
  override name = 'Trouble';
  constructor(
    /** 0 = no answer came. */
    readonly status: number,
    message: string,
    /** How long the server asks to be left alone; ms. */
    readonly retryAfterMs = 0,
    readonly errors: readonly FieldError[] = [],
  ) {
    super(message);
  }
}

export interface ClientOptions {
  key: string;
  /** Where Footfall answers; '' is the page's own origin. */
  origin?: string;
  fetch?: typeof fetch;
  /** Is told by how much the server's clock is ahead of this one; ms. */
  onSkew?: (ms: number) => void;
}

interface Request { method?: 'GET' | 'PUT' | 'POST' | 'DELETE'; parameters?: Record<string, string>; body?: unknown; accept?: string; signal?: AbortSignal | undefined }

const TIMEOUT_MS = 30_000;

export type Client = ReturnType<typeof clientOf>;

/** A client with a key. Each method rejects with Trouble, or with an AbortError when its signal says so. */
export function clientOf({ key, origin = '', fetch: ask = fetch, onSkew }: ClientOptions) {
  async function send(path: string, { method = 'GET', parameters = {}, body, accept = 'application/json', signal }: Request = {}): Promise<Response> {
    const query = new URLSearchParams(parameters).toString();
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    let response: Response;
    try {
      response = await ask(`${origin}${path}${query && `?${query}`}`, {
        method, credentials: 'omit', signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        headers: { accept, authorization: `Bearer ${key}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Trouble(0, timeout.aborted ? 'Footfall did not answer within 30 seconds.' : 'Footfall cannot be reached. Is this device online?');
    }
    const date = Date.parse(response.headers.get('date') ?? '');
    if (!Number.isNaN(date)) onSkew?.(date - Date.now());
    if (!response.ok) throw await troubleOf(response);
    return response;
  }

  async function json<T>(path: string, request?: Request): Promise<T> {
    const response = await send(path, request);
    const text = await response.text();
    try {
      return (text === '' ? undefined : JSON.parse(text)) as T;
    } catch {
      throw new Trouble(response.status, 'The answer is not JSON: what answers here is not Footfall.');
    }
  }

  const siteAt = (site: string, more = '') => `/v1/sites/${encodeURIComponent(site)}${more}`;

  return {
    key: (signal?: AbortSignal) => json<KeyInfo>('/v1/key', { signal }),
    read: <R extends keyof Answers>(read: R, site: string, parameters: Record<string, string>, signal?: AbortSignal) =>
      json<Answers[R]>(siteAt(site, `/${read}`), { parameters, signal }),
    /** The same read as a file, with the name that the server gives it. */
    async csv(read: keyof Answers, site: string, parameters: Record<string, string>): Promise<{ name: string; file: Blob }> {
      const response = await send(siteAt(site, `/${read}`), { parameters, accept: 'text/csv' });
      const name = /filename="([\w.-]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1] ?? `${read}.csv`;
      return { name, file: await response.blob() };
    },
    sites: (after?: string, signal?: AbortSignal) =>
      json<{ sites: { id: string; name: string }[]; next: string | null }>('/v1/sites', { signal, ...(after !== undefined && { parameters: { after } }) }),
    site: (site: string, signal?: AbortSignal) => json<Site>(siteAt(site), { signal }),
    putSite: (site: string, body: SiteSettings | Omit<SiteSettings, 'rate_limit'>) => json<Site>(siteAt(site), { method: 'PUT', body }),
    keys: (site: string, signal?: AbortSignal) => json<{ keys: ListedKey[] }>(siteAt(site, '/keys'), { signal }),
    makeKey: (site: string, body: { scope: Scope; label: string }) => json<MadeKey>(siteAt(site, '/keys'), { method: 'POST', body }),
    revokeKey: (site: string, id: string) => json<undefined>(siteAt(site, `/keys/${encodeURIComponent(id)}`), { method: 'DELETE' }),
    /** The installation's own keys. */
    adminKeys: (signal?: AbortSignal) => json<{ keys: ListedKey[] }>('/v1/keys', { signal }),
    makeAdminKey: (body: { label: string }) => json<MadeKey>('/v1/keys', { method: 'POST', body: { scope: 'admin', ...body } }),
    revokeAdminKey: (id: string) => json<undefined>(`/v1/keys/${encodeURIComponent(id)}`, { method: 'DELETE' }),
    rollups: (from: string, to: string, signal?: AbortSignal) => json<Rollups>('/v1/rollups', { parameters: { from, to }, signal }),
    estimate: (range: Reprocess) => json<Reprocess & Estimate & { cost_usd: number }>('/v1/rollups', { method: 'POST', body: { ...range, dry_run: true } }),
    begin: (range: Reprocess) => json<ShownJob>('/v1/rollups', { method: 'POST', body: range }),
    cancel: (job: string) => json<ShownJob>(`/v1/rollups/${encodeURIComponent(job)}`, { method: 'DELETE' }),
    health: (signal?: AbortSignal) =>
      json<{ status: string; oldest_undelivered_seconds: number | null; waiting_tasks: number; parked_tasks: number; complete_through: string | null }>('/v1/health', { signal }),
  };
}

/** What the problem's details say; where something else answers, its status. */
async function troubleOf(response: Response): Promise<Trouble> {
  const { status, headers } = response;
  const seconds = Number(headers.get('retry-after') ?? '');
  const problem = await response.json().catch(() => undefined) as { detail?: unknown; title?: unknown; errors?: FieldError[] } | undefined;
  const said = [problem?.detail, problem?.title].find((text) => typeof text === 'string' && text !== '');
  return new Trouble(status, typeof said === 'string' ? said : `The answer was status ${status}.`, Number.isFinite(seconds) ? seconds * 1000 : 0, problem?.errors ?? []);
}
