import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkEvent, Refused } from '../../core/event.ts';
import { lineIds, Malformed, NotPageView, pageView, parseLine, type LogEntry } from '../../local/access-log.ts';

const TIME = '[17/May/2015:10:05:03 +0000]';
const COMMON = `192.0.2.7 - - ${TIME} "GET /a HTTP/1.1" 200 512`;

function parsed(line: string): LogEntry {
  const entry = parseLine(line);
  assert.ok(!(entry instanceof Malformed), entry instanceof Malformed ? entry.message : '');
  return entry;
}

const WELL_FORMED: { name: string; line: string; holds: Partial<LogEntry> }[] = [
  { name: 'the common format', line: COMMON, holds: { host: '192.0.2.7', time: '2015-05-17T10:05:03+00:00', status: 200, request: { method: 'GET', target: '/a' } } },
  { name: 'the combined format', line: `${COMMON} "https://shop.example/" "Mozilla/5.0 (X11)"`, holds: { referrer: 'https://shop.example/', userAgent: 'Mozilla/5.0 (X11)' } },
  { name: 'extra fields after the user agent', line: `${COMMON} "-" "Mozilla/5.0" "203.0.113.9" rt=0.004 upstream="a b"`, holds: { userAgent: 'Mozilla/5.0' } },
  { name: 'extra fields after the size', line: `${COMMON} 0.004 12`, holds: { status: 200 } },
  { name: 'an IPv6 client', line: COMMON.replace('192.0.2.7', '2001:db8::1'), holds: { host: '2001:db8::1' } },
  { name: 'a client by name', line: COMMON.replace('192.0.2.7', 'crawl-1.example.net'), holds: { host: 'crawl-1.example.net' } },
  { name: 'a user name with a space', line: COMMON.replace('- - ', '- ann lee '), holds: { host: '192.0.2.7', status: 200 } },
  { name: 'status and size of -', line: `192.0.2.7 - - ${TIME} "GET /a HTTP/1.1" - -`, holds: { request: { method: 'GET', target: '/a' } } },
  { name: 'an offset east of UTC', line: COMMON.replace('+0000', '+0545'), holds: { time: '2015-05-17T10:05:03+05:45' } },
  { name: 'an offset west of UTC', line: COMMON.replace('+0000', '-0330'), holds: { time: '2015-05-17T10:05:03-03:30' } },
  { name: 'a leap day', line: COMMON.replace('17/May/2015', '29/Feb/2016'), holds: { time: '2016-02-29T10:05:03+00:00' } },
  { name: 'escaped quotes and backslashes', line: `${COMMON} "-" "say \\"hi\\" \\\\ \\t."`, holds: { userAgent: 'say "hi" \\ \t.' } },
  { name: 'escaped bytes as UTF-8', line: COMMON.replace('/a', '/caf\\xc3\\xa9\\x22'), holds: { request: { method: 'GET', target: '/café"' } } },
  { name: 'escaped bytes that are no UTF-8', line: `${COMMON} "http://\\xe4\\xe5/" "a"`, holds: { referrer: 'http://\ufffd\ufffd/' } },
  { name: 'a backslash that escapes nothing', line: `${COMMON} "-" "a\\qb\\xzz"`, holds: { userAgent: 'a\\qb\\xzz' } },
  { name: 'a request without protocol', line: COMMON.replace(' HTTP/1.1', ''), holds: { request: { method: 'GET', target: '/a' } } },
  { name: 'a target with spaces', line: COMMON.replace('/a', '/a b c'), holds: { request: { method: 'GET', target: '/a b c' } } },
];

for (const { name, line, holds } of WELL_FORMED) {
  test(`parseLine reads ${name}`, () => {
    const entry = parsed(line);
    for (const [field, value] of Object.entries(holds)) assert.deepEqual(entry[field as keyof LogEntry], value, field);
  });
}

test('parseLine leaves out what the log gives as - or as nothing', () => {
  assert.deepEqual(Object.keys(parsed(`h - - ${TIME} "-" - - "-" ""`)).sort(), ['host', 'line', 'time']);
});

test('parseLine gives no request where the client sent none that can be read', () => {
  for (const request of ['-', '', '\\x16\\x03\\x01', 'get / HTTP/1.1', 'GET', 'GET  HTTP/1.1', 'SPY / HTTP/1.1']) {
    assert.equal(parsed(`h - - ${TIME} "${request}" 400 0`).request, undefined, request);
  }
});

const MALFORMED: [line: string, says: string][] = [
  ['', '"" holds no time in square brackets: accepts host identity user [time] "request" status size, then "referrer" "user agent" in the combined format'],
  ['{"time":"2015"}', '"{\\"time\\":\\"2015\\"}" holds no time in square brackets: accepts host identity user [time]'],
  [COMMON.replace('- - ', ''), '"192.0.2.7" at character 1: accepts a host, an identity and a user, divided by spaces'],
  [`shop.example:443 ${COMMON}`, '"shop.example:443" at character 1 is a virtual host before the client "192.0.2.7": accepts host identity user [time]'],
  [COMMON.replace('17/May', '31/Feb'), 'time "[31/Feb/2015:10:05:03 +0000]" at character 15: accepts a date and offset such as [17/May/2015:10:05:03 +0000]'],
  [COMMON.replace('May', 'Mai'), 'time "[17/Mai/2015:10:05:03 +0000]" at character 15'],
  [COMMON.replace('10:05:03', '10:65:03'), 'time "[17/May/2015:10:65:03 +0000]" at character 15'],
  [COMMON.replace(' +0000', ''), 'time "[17/May/2015:10:05:03]" at character 15'],
  [COMMON.replace('"GET', 'GET'), 'request at character 44 is "GET /a HTTP/1.1\\" 200 512": accepts text in double quotes'],
  [`192.0.2.7 - - ${TIME}`, 'request at character 44 is the end of the line: accepts text in double quotes'],
  [`192.0.2.7 - - ${TIME} "GET /a`, 'request at character 44 is "\\"GET /a": its double quote is never closed'],
  [COMMON.replace('/a ', '/a"b '), 'request at character 44 goes on with "b HTTP/1.1\\" 200 512" after its closing quote: accepts a space, or \\" for a quote within'],
  [COMMON.replace('200', '2x0'), 'status "2x0" at character 62: accepts three digits or -'],
  [`192.0.2.7 - - ${TIME} "GET /a HTTP/1.1"`, 'status "" at character 62: accepts three digits or -'],
  [COMMON.replace('512', '5k'), 'size "5k" at character 66: accepts a number of bytes or -'],
  [COMMON.replace(' 512', ''), 'size "" at character 66: accepts a number of bytes or -'],
  [`${COMMON} "https://shop.example/"`, 'user agent at character 94 is the end of the line: accepts text in double quotes'],
  [`${COMMON} "-" "Mozilla/5.0 (comp`, 'user agent at character 74 is "\\"Mozilla/5.0 (comp": its double quote is never closed'],
  [`${COMMON} "-" "ends in an escape \\"`, 'user agent at character 74 is'],
  [`${COMMON} 12 "-" "Mozilla/5.0"`, 'referrer at character 70 is "12 \\"-\\" \\"Mozilla/5.0\\"": accepts text in double quotes'],
];

for (const [line, says] of MALFORMED) {
  test(`parseLine refuses ${JSON.stringify(line)} with what is wrong, where, and what is accepted`, () => {
    const refusal = parseLine(line);
    assert.ok(refusal instanceof Malformed);
    assert.equal(refusal.message.slice(0, says.length), says);
  });
}

test('parseLine takes time in proportion to the length: hostile lines of 1 MB are read in one pass', () => {
  const filler = ['a', '\\', '\\x41', '"', ' ', '[', ']', '" "', '9', '\\"'];
  for (const piece of filler) {
    const megabyte = piece.repeat(Math.ceil(1_000_000 / piece.length));
    for (const line of [megabyte, `${COMMON} "-" "${megabyte}"`, COMMON.replace('/a', megabyte), COMMON.replace('512', megabyte), COMMON.replace('- - ', `- ${megabyte} `)]) {
      const entry = parseLine(line);
      if (entry instanceof Malformed) assert.ok(entry.message.length < 500);
      else pageView(entry, { baseUrl: 'https://shop.example', identify: () => 'id' });
    }
  }
});

function viewOf(line: string) {
  return pageView(parsed(line), { baseUrl: 'https://shop.example', identify: () => 'the id' });
}

test('A page view carries what the server door takes, and passes its check', () => {
  const event = viewOf(`2001:db8::1 - - [17/May/2015:10:05:03 +0200] "GET /p/1?a=b HTTP/1.1" 200 5 "https://search.example/?q=x" "Mozilla/5.0"`);
  assert.deepEqual(event, {
    id: 'the id', name: 'page_view', url: 'https://shop.example/p/1?a=b', referrer: 'https://search.example/?q=x',
    time: '2015-05-17T10:05:03+02:00', ip: '2001:db8::1', user_agent: 'Mozilla/5.0',
  });
  assert.ok(!(checkEvent(event, 'api', Date.UTC(2026, 0, 1)) instanceof Refused));
});

test('A page view of a client known by name only, or by an address with a zone, carries no address', () => {
  for (const host of ['crawl-1.example.net', 'fe80::1%eth0', '999.1.1.1']) {
    assert.equal('ip' in viewOf(COMMON.replace('192.0.2.7', host)), false, host);
  }
});

test('A referrer that is no absolute http(s) URL of at most 2,048 characters is left out', () => {
  for (const [referrer, kept] of [
    ['https://a.example/', true], ['HTTP://a.example/', true], ['android-app://a.example/', false], ['/a', false], ['http://', false],
    [`https://a.example/${'x'.repeat(2030)}`, true], [`https://a.example/${'x'.repeat(2031)}`, false], ['http://\\xe4\\xe5/', false],
  ] as const) {
    assert.equal('referrer' in viewOf(`${COMMON} "${referrer}" "a"`), kept, referrer);
  }
});

test('A user agent longer than the server door takes is cut to what it takes', () => {
  const event = viewOf(`${COMMON} "-" "${'m'.repeat(5000)}"`);
  assert.equal('user_agent' in event && event.user_agent?.length, 2048);
});

const FATES: [request: string, status: string, fate: string][] = [
  ['GET / HTTP/1.1', '200', 'https://shop.example/'],
  ['GET /about HTTP/1.1', '304', 'https://shop.example/about'],
  ['GET /about/ HTTP/1.0', '200', 'https://shop.example/about/'],
  ['GET /wrap-1.0/ HTTP/1.0', '200', 'https://shop.example/wrap-1.0/'],
  ['GET /a.html HTTP/1.1', '200', 'https://shop.example/a.html'],
  ['GET /a.HTM HTTP/1.1', '200', 'https://shop.example/a.HTM'],
  ['GET /a.php?file=b.png HTTP/1.1', '200', 'https://shop.example/a.php?file=b.png'],
  ['GET /v1.2/notes HTTP/1.1', '200', 'https://shop.example/v1.2/notes'],
  ['GET /.well-known HTTP/1.1', '200', 'https://shop.example/.well-known'],
  ['GET //a HTTP/1.1', '200', 'https://shop.example//a'],
  ['GET http://proxy.example/a?b=c HTTP/1.1', '200', 'https://shop.example/a?b=c'],
  ['GET http://proxy.example HTTP/1.1', '200', 'https://shop.example/'],
  ['GET /a.css HTTP/1.1', '200', 'other file'],
  ['GET /a.tar.gz HTTP/1.1', '200', 'other file'],
  ['GET /a.xhtml HTTP/1.1', '200', 'other file'],
  ['GET http://proxy.example/logo.svg?x HTTP/1.1', '304', 'other file'],
  ['GET /a HTTP/1.1', '404', 'status 404'],
  ['GET /a HTTP/1.1', '206', 'status 206'],
  ['GET /a HTTP/1.1', '000', 'status 000'],
  ['GET /a HTTP/1.1', '-', 'status -'],
  ['HEAD /a HTTP/1.1', '200', 'method HEAD'],
  ['POST /a HTTP/1.1', '404', 'method POST'],
  ['-', '408', 'unreadable request'],
  ['GET shop HTTP/1.1', '200', 'unusable URL'],
  [`GET /${'x'.repeat(2048 - 'https://shop.example/'.length)} HTTP/1.1`, '200', `https://shop.example/${'x'.repeat(2048 - 'https://shop.example/'.length)}`],
  [`GET /${'x'.repeat(2049 - 'https://shop.example/'.length)} HTTP/1.1`, '200', 'unusable URL'],
];

for (const [request, status, fate] of FATES) {
  test(`A request ${JSON.stringify(request.slice(0, 60))} answered ${status} becomes ${JSON.stringify(fate.slice(0, 60))}`, () => {
    const view = viewOf(`192.0.2.7 - - ${TIME} "${request}" ${status} 0`);
    assert.equal(view instanceof NotPageView ? view.reason : view.url, fate);
  });
}

test('An id depends on the line and on how many identical lines came before it, the same in every reading', () => {
  const read = (lines: string[]) => lines.map(lineIds());
  const lines = ['a', 'b', 'a', 'a', 'b', 'c'];
  const ids = read(lines);
  assert.equal(new Set(ids).size, lines.length);
  assert.deepEqual(read(lines), ids);
  // The 2nd "a" has ordinal 1 whatever stands between.
  assert.deepEqual(read(['a', 'a', 'a']), [ids[0], ids[2], ids[3]]);
  for (const id of ids) assert.match(id, /^[\w-]{43}$/);
});

test('Identical lines are told apart with bounded memory: what stands too far back is forgotten', () => {
  const identify = lineIds(10);
  const first = identify('a');
  assert.notEqual(identify('a'), first);
  for (let n = 0; n < 30; n++) identify(`line ${n}`);
  assert.equal(identify('a'), first);
});
