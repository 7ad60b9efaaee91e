// Two hours of made-up rows as Parquet, as the delivery loop would have left them: the hour that is rolled up and the
// hour before it. Made by DuckDB from hashes of row numbers, so always the same; kept in the OS's temporary folder.
// next: bench/rollup.ts
import { fork } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { DuckDBInstance, version } from '@duckdb/node-api';
import { ROW_COLUMNS } from '../core/event.ts';
import { hourAfter, partitionOf, startOf, type Hour } from '../core/hour.ts';
import { sqlPath } from './engine.ts';

/** The hour that is rolled up; made-up, and at a time when some sites' local day is already the next. */
export const HOUR: Hour = '2026-01-15T14';
/** Events of one file where nothing else is said. */
const FILE_EVENTS = 20_000;
/** Raised when the data changes, so that no old cache is taken for new; changed columns make new data by themselves. */
const DATA_VERSION = 2;
const COLUMNS = hash('sha256', JSON.stringify(ROW_COLUMNS), 'hex').slice(0, 8);
const VISITOR_EVENTS = 5;
/** A visitor's events spread over this part of an hour. */
const VISIT_PART = 6;

export interface HourData {
  /** The lake's folder of both hours, `events/dt=…/hr=…` in it. */
  folder: string;
  /** Whether it was made just now, or found. */
  made: boolean;
}

/** How many events an hour has, and over how many sites they are spread (the largest has about S^-¼ of them); in how many files the same rows lie. */
export interface HourSize { events: number; sites: number; files?: number }

function folderOf({ events, sites, files }: HourSize): string {
  const engine = version().replaceAll(/[^\w.]/g, '');
  return join(tmpdir(), `footfall-bench-hour-v${DATA_VERSION}-${COLUMNS}-${engine}-${events}-${sites}${files === undefined ? '' : `-${files}`}`);
}

/** Makes the two hours, or finds them made. In a process of its own, so that its memory counts for nothing here. */
export async function hourData(size: HourSize): Promise<HourData> {
  const folder = folderOf(size);
  if (existsSync(folder)) return { folder, made: false };
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(size)]);
  const [code] = await once(child, 'exit') as [number | null];
  if (code !== 0) throw new Error(`making the hours' rows ended with ${code}`);
  return { folder, made: true };
}

/** A random integer from 0 to n − 1, decided by the row's (or visitor's) number and a name. */
const pick = (of: string, name: string, n: number): string => `cast(hash(${of}, '${name}') % ${n} as integer)`;
/** A random number from 0 to 1, the same way. */
const part = (of: string, name: string): string => `(cast(hash(${of}, '${name}') >> 11 as double) / 9007199254740992.0)`;
const oneOf = (of: string, name: string, values: readonly string[]): string =>
  `[${values.map((value) => `'${value}'`).join(', ')}][1 + cast(floor(${values.length} * pow(${part(of, name)}, 2)) as integer)]`;

const COUNTRIES = ['US', 'DE', 'GB', 'FR', 'NL', 'IT', 'ES', 'PL', 'AT', 'CH', 'BR', 'IN', 'JP', 'CA', 'AU', 'SE', 'DK', 'NO', 'FI', 'CZ', 'PT', 'IE', 'MX', 'TR', 'KR'];
const LANGUAGES = ['en-US', 'de-DE', 'en-GB', 'fr-FR', 'nl-NL', 'it-IT', 'es-ES', 'pl-PL', 'pt-BR', 'ja-JP', 'sv-SE', 'cs-CZ'];
const ORIGINS: readonly (readonly [source: string, channel: string, host: string])[] = [
  ['google', 'Organic Search', 'google.com'], ['instagram', 'Organic Social', 'instagram.com'], ['facebook', 'Organic Social', 'm.facebook.com'],
  ['bing', 'Organic Search', 'bing.com'], ['youtube', 'Organic Video', 'youtube.com'], ['chatgpt', 'AI Assistants', 'chatgpt.com'],
  ['reddit', 'Organic Social', 'reddit.com'], ['duckduckgo', 'Organic Search', 'duckduckgo.com'],
];

/**
 * The rows from number `from` to `to`. Numbers ascend with time, `events` of them an hour, the first of the counted hour
 * is `events`. 70 % page views, 2 % purchases, 10 % of the visitors bots, 1 % refused, one in 200 sent twice; commerce
 * events have a row more for each product.
 */
function rowsSql({ events, sites }: HourSize, from: number, to: number): string {
  const firstHour = startOf(hourAfter(HOUR, -1));
  const visitors = Math.ceil(events / VISITOR_EVENTS);
  const origin = (column: 0 | 1 | 2) => oneOf('v', 'origin', ORIGINS.map((values) => values[column]));
  const columns: Record<keyof typeof ROW_COLUMNS, string> = {
    site_id: `'site-' || site`,
    event_key: `cast(hash(j, 'key') >> 1 as bigint)`,
    name: `case when item > 0 then name || '_item' else name end`,
    ts: 'ts',
    place: '0',
    quarter: 'cast(ts // 900000 as integer)',
    // A tenth of the sites lie so far east that their day is the next one already.
    local_day: `case when hash(site, 'zone') % 10 = 0 then '2026-01-16' else '2026-01-15' end`,
    visitor: person('cast(visitor >> 1 as bigint)'),
    sketch_bucket: person('cast(visitor >> 52 as integer)'),
    sketch_rank: person('greatest(1, 52 - cast(floor(log2(1 + (visitor & 4503599627370495))) as integer))'),
    host: person(`'shop-' || site || '.example'`),
    path: person(`'/' || ${oneOf('j', 'folder', ['p', 'c', 'blog', 'help'])} || '/' || cast(floor(300 * pow(${part('j', 'page')}, 3)) as integer)`),
    referrer_host: person(`case when landing and origin < 60 then ${origin(2)} end`),
    source: person(`case when landing and origin < 60 then ${origin(0)} else '(direct)' end`),
    channel: person(`case when landing and origin < 60 then ${origin(1)} else 'Direct' end`),
    utm_source: campaign(origin(0)),
    utm_medium: campaign(oneOf('v', 'medium', ['cpc', 'email', 'paid_social', 'display'])),
    utm_campaign: campaign(`'campaign-' || ${pick('v', 'campaign', 12)}`),
    utm_content: campaign(`case when origin < 10 then 'ad-' || ${pick('v', 'content', 30)} end`),
    utm_term: campaign(`case when origin < 6 then 'term ' || ${pick('v', 'term', 40)} end`),
    country: person(oneOf('v', 'country', COUNTRIES)),
    device: person(oneOf('v', 'device', ['mobile', 'desktop', 'tablet', 'tv'])),
    browser: person(oneOf('v', 'browser', ['Chrome', 'Safari', 'Microsoft Edge', 'Firefox', 'Samsung Internet for Android', 'Opera', 'Vivaldi', 'Android Browser'])),
    os: person(oneOf('v', 'os', ['Android', 'iOS', 'Windows', 'macOS', 'Linux', 'Chrome OS'])),
    language: person(oneOf('v', 'language', LANGUAGES)),
    value_micros: priced('value'),
    currency: priced(`'EUR'`),
    revenue_micros: `case when not refused and name = 'purchase' then value when not refused and name = 'refund' then -value end`,
    transaction_id: `case when item = 0 and name in ('purchase', 'refund') then 't-' || j end`,
    // Never the same product twice in one event: the transform sees to that.
    product_id: `case when item > 0 then 'product-' || (item + 2 * cast(floor(250 * pow(${part('j + item', 'product')}, 2)) as integer)) end`,
    quantity: `case when refused then 1 when item > 0 then 1 + ${pick('j + item', 'quantity', 2)} end`,
    props: person(`case when name = 'search' then '{"term":"shoes","results":' || ${pick('j', 'results', 50)} || '}' end`),
    bot: `not refused and ${pick('v', 'bot', 10)} = 0`,
    rejected: `case when refused then ['bad_url', 'host_not_allowed', 'bad_value'][1 + ${pick('j', 'reason', 3)}] end`,
    via: `'beacon'`,
    received_at: `ts + ${pick('j', 'age', 2000)}`,
    processed_at: 'ts + 5000 + i - j',
    v: '1',
  };
  const select = Object.entries(columns).map(([name, sql]) => `${sql} as ${name}`).join(',\n');
  return `
    with numbers as (
      select range as i, case when hash(range, 'again') % 200 = 0 and range % ${events} > 0 then range - 1 else range end as j from range(${from}, ${to})
    ),
    visits as (
      select i, j, j // ${VISITOR_EVENTS} + ${pick('j', 'visitor', Math.ceil(visitors / VISIT_PART))} as v,
        ${firstHour} + j * 3600000 // ${events} as ts, ${pick('j', 'what', 1000)} as what
      from numbers
    ),
    placed as (
      select *,
        -- A quarter of the visitors are those of three quarters of an hour before, on a second visit.
        hash(case when hash(v, 'returns') % 4 = 0 then v - ${Math.floor(visitors * 0.75)} else v end, 'visitor') as visitor,
        cast(floor(${sites} * pow(${part(`case when hash(v, 'returns') % 4 = 0 then v - ${Math.floor(visitors * 0.75)} else v end`, 'site')}, 4)) as integer) as site,
        case when what < 700 then 'page_view' when what < 800 then 'view_item' when what < 860 then 'add_to_cart'
          when what < 890 then 'begin_checkout' when what < 910 then 'purchase' when what < 912 then 'refund'
          when what < 960 then 'scroll' else 'search' end as name,
        ${pick('j', 'refused', 100)} = 0 as refused,
        hash(j, 'landing') % 4 = 0 as landing,
        ${pick('v', 'origin', 100)} as origin,
        1000000 * (5 + ${pick('j', 'value', 200)}) as value
      from visits
    ),
    expanded as (
      select *, unnest(case
        when refused then [0] when name in ('view_item', 'add_to_cart') then [0, 1] when name = 'purchase' then [0, 1, 2] else [0]
      end) as item
      from placed
    )
    select ${select} from expanded`;
}

/** What only an event's own row has, neither a product's nor a refused one's. */
function person(sql: string): string {
  return `case when item = 0 and not refused then ${sql} end`;
}

function campaign(sql: string): string {
  return person(`case when landing and origin < 25 then ${sql} end`);
}

function priced(sql: string): string {
  return `case when not refused and name not in ('page_view', 'scroll', 'search') then ${sql} end`;
}

async function make(size: HourSize): Promise<void> {
  const folder = folderOf(size);
  const aside = `${folder}.${process.pid}`;
  const fileEvents = size.files === undefined ? FILE_EVENTS : Math.ceil(size.events / size.files);
  const instance = await DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false', autoload_known_extensions: 'false' });
  try {
    for (const [index, hour] of [hourAfter(HOUR, -1), HOUR].entries()) {
      const { dt, hr } = partitionOf(hour);
      const partition = join(aside, 'events', `dt=${dt}`, `hr=${hr}`);
      await mkdir(partition, { recursive: true });
      const end = (index + 1) * size.events;
      const starts = Array.from({ length: Math.ceil(size.events / fileEvents) }, (_, i) => index * size.events + i * fileEvents);
      const worker = async () => {
        const connection = await instance.connect();
        for (let from = starts.shift(); from !== undefined; from = starts.shift()) {
          const file = join(partition, `${String(from).padStart(16, '0')}.parquet`);
          await connection.run(`copy (${rowsSql(size, from, Math.min(from + fileEvents, end))}) to ${sqlPath(file)} (format parquet, compression zstd)`);
        }
        connection.closeSync();
      };
      await Promise.all([worker(), worker()]);
    }
    await rename(aside, folder);
  } finally {
    instance.closeSync();
    await rm(aside, { recursive: true, force: true });
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await make(JSON.parse(process.argv[2]!) as HourSize);
}
