// Reads a web server's access log, one line at a time, and says what becomes of each line.
// before: the file a web server wrote; next: local/import-log.ts
//
// Own code, because npm has no well-kept parser of these two formats: what is there (clf-parser 0.0.2, alpine 0.2.1,
// nginxparser 2.1.0) are packages of one person each, unmaintained for years.
import { createHash } from 'node:crypto';
import { METHODS } from 'node:http';
import { isIP } from 'node:net';
import { posix } from 'node:path';
import QuickLRU from 'quick-lru';
import { quote } from '../core/event.ts';

/** One line of an access log. A field that the log gives as `-` is absent. */
export interface LogEntry {
  /** The line itself, without its line end. */
  line: string;
  /** The client: an address, or a name where the server looks names up. */
  host: string;
  /** ISO 8601 with the offset the log was written in, such as `2015-05-17T10:05:03+02:00`. */
  time: string;
  /** Absent where the client sent no readable HTTP request (a timeout, TLS on a plain port). */
  request?: { method: string; target: string };
  status?: number;
  referrer?: string;
  userAgent?: string;
}

/** A line that is in neither format; the message names value, place (characters count from 1) and what is accepted. */
export class Malformed {
  constructor(readonly message: string) {}
}

/** The event of a page view, as the server door takes it. */
export interface PageView {
  id: string;
  name: 'page_view';
  url: string;
  referrer?: string;
  time: string;
  ip?: string;
  user_agent?: string;
}

/** Why a well-formed line is no page view. The reasons are few, whatever the log holds, so they can be counted. */
export class NotPageView {
  constructor(readonly reason: string) {}
}

const FORMAT = 'host identity user [time] "request" status size, then "referrer" "user agent" in the combined format';

/**
 * Reads one line, without its line end, in the common or the combined log format. Fields after the user agent are
 * tolerated, and so are unquoted ones after the size. Takes time in proportion to the line's length.
 */
export function parseLine(line: string): LogEntry | Malformed {
  const timeAt = line.indexOf(' [') + 1;
  const timeEnd = line.indexOf(']', timeAt);
  if (timeAt === 0 || timeEnd === -1) return new Malformed(`${quote(line)} holds no time in square brackets: accepts ${FORMAT}`);

  const [host, identity, user] = line.slice(0, timeAt - 1).split(' ', 3);
  if (!host || identity === undefined || user === undefined) {
    return new Malformed(`${quote(line.slice(0, timeAt - 1))} at character 1: accepts a host, an identity and a user, divided by spaces`);
  }
  if (isIP(identity) !== 0) {
    // Debian's vhost_combined. Read as combined, every visitor would lose the address without a word.
    return new Malformed(`${quote(host)} at character 1 is a virtual host before the client ${quote(identity)}: accepts ${FORMAT}`);
  }

  const time = isoTime(line.slice(timeAt + 1, timeEnd));
  if (time === undefined) {
    return new Malformed(`time ${quote(line.slice(timeAt, timeEnd + 1))} at character ${timeAt + 1}: accepts a date and offset such as [17/May/2015:10:05:03 +0000]`);
  }

  const request = quotedField(line, timeEnd + 2, 'request');
  if (request instanceof Malformed) return request;

  const statusAt = request.end + 1;
  const [status = '', size = ''] = line.slice(statusAt).split(' ', 2);
  if (!/^(\d{3}|-)$/.test(status)) return new Malformed(`status ${quote(status)} at character ${statusAt + 1}: accepts three digits or -`);
  const sizeAt = statusAt + status.length + 1;
  if (!/^(\d+|-)$/.test(size)) return new Malformed(`size ${quote(size)} at character ${sizeAt + 1}: accepts a number of bytes or -`);

  const entry: LogEntry = { line, host, time };
  const read = requestOf(request.text);
  if (read !== undefined) entry.request = read;
  if (status !== '-') entry.status = Number(status);

  const afterSize = sizeAt + size.length + 1;
  return line.includes('"', afterSize) ? withReferrer(entry, afterSize) : entry;
}

/** Adds what the combined format has beyond the common one: the referrer at `from` and the user agent behind it. */
function withReferrer(entry: LogEntry, from: number): LogEntry | Malformed {
  const referrer = quotedField(entry.line, from, 'referrer');
  if (referrer instanceof Malformed) return referrer;
  const userAgent = quotedField(entry.line, referrer.end + 1, 'user agent');
  if (userAgent instanceof Malformed) return userAgent;
  if (isGiven(referrer.text)) entry.referrer = referrer.text;
  if (isGiven(userAgent.text)) entry.userAgent = userAgent.text;
  return entry;
}

function isGiven(text: string): boolean {
  return text !== '' && text !== '-';
}

/** The text of the quoted field that starts at `from`, and the place behind its closing quote. */
function quotedField(line: string, from: number, name: string): { text: string; end: number } | Malformed {
  const place = `${name} at character ${from + 1}`;
  if (line[from] !== '"') {
    const found = from < line.length ? quote(line.slice(from)) : 'the end of the line';
    return new Malformed(`${place} is ${found}: accepts text in double quotes`);
  }
  let close = from + 1;
  while (close < line.length && line[close] !== '"') close += line[close] === '\\' ? 2 : 1;
  if (close >= line.length) return new Malformed(`${place} is ${quote(line.slice(from))}: its double quote is never closed`);
  const end = close + 1;
  if (end < line.length && line[end] !== ' ') {
    return new Malformed(`${place} goes on with ${quote(line.slice(end))} after its closing quote: accepts a space, or \\" for a quote within`);
  }
  return { text: unescaped(line.slice(from + 1, close)), end };
}

const ESCAPED: Record<string, string> = { '"': '"', '\\': '\\', n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', v: '\v' };

/** Undoes what Apache and nginx do to quotes, backslashes, control characters and bytes beyond ASCII. */
function unescaped(text: string): string {
  if (!text.includes('\\')) return text;
  // A run of \xhh is decoded whole: they are bytes, and several of them may be one character in UTF-8.
  return text.replace(/((?:\\x[0-9a-fA-F]{2})+)|\\(.)/gs, (found: string, bytes: string | undefined, character: string | undefined) =>
    bytes === undefined ? (ESCAPED[character ?? ''] ?? found) : Buffer.from(bytes.replaceAll('\\x', ''), 'hex').toString('utf8'));
}

const LOG_TIME = /^(\d{2})\/([A-Z][a-z]{2})\/(\d{4}):(\d{2}:\d{2}:\d{2}) ([+-]\d{2})(\d{2})$/;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `17/May/2015:10:05:03 +0200` as `2015-05-17T10:05:03+02:00`; undefined where there is no such moment. */
function isoTime(text: string): string | undefined {
  const [, day, monthName = '', year, clock, hours, minutes] = LOG_TIME.exec(text) ?? [];
  const month = String(MONTHS.indexOf(monthName) + 1).padStart(2, '0');
  const iso = `${year}-${month}-${day}T${clock}${hours}:${minutes}`;
  if (Number.isNaN(Date.parse(iso))) return undefined;
  // Date.parse takes the 31st of February for the 3rd of March.
  return new Date(`${year}-${month}-${day}T00:00:00Z`).getUTCDate() === Number(day) ? iso : undefined;
}

/** Method and target of a request line; undefined where it is not one. A target may hold spaces, as old servers let it. */
function requestOf(text: string): { method: string; target: string } | undefined {
  const space = text.indexOf(' ');
  const protocol = text.lastIndexOf(' HTTP/');
  const method = text.slice(0, Math.max(space, 0));
  const target = text.slice(space + 1, protocol > space ? protocol : undefined);
  return METHODS.includes(method) && target !== '' ? { method, target } : undefined;
}

const PAGE_EXTENSIONS = new Set(['', '.html', '.htm', '.php']);
function extensionOf(path: string): string {
  return path.endsWith('/') ? '' : posix.extname(path).toLowerCase();
}

const SEEN_STATUSES = new Set<number | undefined>([200, 304]);
const MAX_URL = 2048;
const MAX_USER_AGENT = 2048;

/**
 * What becomes of an entry. A page view is a `GET` answered 200 or 304 whose path has no file extension (a folder,
 * `/wrap-1.0/`, has none) or `.html`, `.htm` or `.php`, and whose URL is usable (at most 2,048 characters).
 * @param options.baseUrl absolute http(s) URL without a slash at its end: the log knows paths only
 * @param options.identify gives the event its id, see {@link lineIds}; asked for page views only
 */
export function pageView(entry: LogEntry, { baseUrl, identify }: { baseUrl: string; identify: (line: string) => string }): PageView | NotPageView {
  const { request, status, host, referrer, userAgent } = entry;
  if (request === undefined) return new NotPageView('unreadable request');
  if (request.method !== 'GET') return new NotPageView(`method ${request.method}`);
  if (!SEEN_STATUSES.has(status)) return new NotPageView(`status ${status === undefined ? '-' : String(status).padStart(3, '0')}`);

  const target = pathAndQuery(request.target);
  const [path = ''] = target.split(/[?#]/, 1);
  if (!PAGE_EXTENSIONS.has(extensionOf(path))) return new NotPageView('other file');

  const url = baseUrl + target;
  if (!target.startsWith('/') || !isUsableUrl(url)) return new NotPageView('unusable URL');
  const event: PageView = { id: identify(entry.line), name: 'page_view', url, time: entry.time };
  if (referrer !== undefined && isUsableUrl(referrer)) event.referrer = referrer;
  // A name instead of an address cannot tell visitors apart; an address with a zone (fe80::1%eth0) is nobody's outside.
  if (isIP(host) !== 0 && !host.includes('%')) event.ip = host;
  // The server door refuses longer ones, and what tells a browser stands at the beginning.
  if (userAgent !== undefined) event.user_agent = userAgent.slice(0, MAX_USER_AGENT);
  return event;
}

/** A request target as path and query: proxies are sent absolute ones. */
function pathAndQuery(target: string): string {
  const rest = target.replace(/^https?:\/\/[^/?#]*/i, '');
  return rest === '' || (rest !== target && !rest.startsWith('/')) ? `/${rest}` : rest;
}

function isUsableUrl(url: string): boolean {
  return url.length <= MAX_URL && /^https?:\/\//i.test(url) && URL.canParse(url);
}

/** Identical lines are of one second, so they stand near each other: this many distinct lines back is far enough. */
const REMEMBERED_LINES = 100_000;

/**
 * Makes the ids that let a file be imported twice and count once: for one reading of a file, from its first line. The
 * id is a hash (43 characters of base64url) of the line and of how many identical lines came before it; memory is bounded.
 * @param remembered how many distinct lines back an identical one is recognised
 */
export function lineIds(remembered = REMEMBERED_LINES): (line: string) => string {
  const repeats = new QuickLRU<string, number>({ maxSize: remembered });
  return (line) => {
    const first = hash(line, 0);
    const ordinal = (repeats.get(first) ?? -1) + 1;
    repeats.set(first, ordinal);
    return ordinal === 0 ? first : hash(line, ordinal);
  };
}

function hash(line: string, ordinal: number): string {
  return createHash('sha256').update(`${line}\n${ordinal}`).digest('base64url');
}
