// The browser doors' templates against the doors of one machine: the same envelopes, the same refusals.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { PIXEL, beaconEnvelope, pixelEnvelope, type RequestFacts } from '../../core/collect.ts';
import { parse, Undeliverable } from '../../core/deliver/parse.ts';
import { LIMITS, Refused, type Envelope } from '../../core/event.ts';
import { StreamUnavailable } from '../../core/ports.ts';
import { httpServer } from '../../local/http.ts';
import { NOW } from '../memory.ts';
import { escapeJavaScript, render, type Call } from './velocity.ts';

const SEED = Number(process.env.TEMPLATES_SEED ?? 20261124);
const ID = 'JZ9pmEoTIAMFYXw=';

const template = (name: string) => readFileSync(join(import.meta.dirname, '../../lib/templates', name), 'utf8');
const [PIXEL_REQUEST, BEACON_REQUEST, PIXEL_RESPONSE, REFUSED] =
  ['pixel.request.vtl', 'beacon.request.vtl', 'pixel.response.vtl', 'refused.response.vtl'].map(template) as [string, string, string, string];

type Pairs = [name: string, value: string | null][];
type Facts = Omit<RequestFacts, 'id' | 'at'>;

/** What Kinesis is asked, the stream being called clicks. */
function asked(door: string, call: Call): Record<string, string> {
  const { text } = render(door.replaceAll('%STREAM%', 'clicks'), { extendedRequestId: ID, requestTimeEpoch: NOW, ...call });
  return JSON.parse(text) as Record<string, string>;
}

/** The envelope that a template puts into the stream, as deliver reads it. */
function sent(door: string, call: Call): Envelope {
  const { StreamName, Data = '', PartitionKey, ...others } = asked(door, call);
  assert.deepEqual([StreamName, PartitionKey, others], ['clicks', call.extendedRequestId ?? ID, {}]);
  const record = Buffer.from(Data, 'base64').toString('utf8');
  assert.equal(Buffer.from(record, 'utf8').toString('base64'), Data, 'the record is base64 of UTF-8');
  assert.equal(record.indexOf('\n'), record.length - 1, 'the record is one line, with its end');
  const parsed = parse(record);
  if (parsed instanceof Undeliverable) assert.fail(parsed.message);
  return parsed.envelope;
}

const headersOf = ({ userAgent, referer, language, country, purpose }: Facts): Pairs =>
  Object.entries({ 'User-Agent': userAgent, 'Referer': referer, 'Accept-Language': language, 'CloudFront-Viewer-Country': country, 'Sec-Purpose': purpose })
    .flatMap(([name, value]): Pairs => (value === undefined ? [] : [[name, value]]));

const withPixel = (facts: Facts, query: Pairs, headers = headersOf(facts)) => sent(PIXEL_REQUEST, { headers, query, sourceIp: facts.ip ?? null });
const withBeacon = (facts: Facts, body: string, headers = headersOf(facts)) => sent(BEACON_REQUEST, { headers, body, sourceIp: facts.ip ?? null });

/** What core/collect.ts makes of the same. */
const corePixel = (facts: Facts, query: Pairs) =>
  pixelEnvelope({ id: ID, at: NOW, ...facts }, new URLSearchParams(query.map(([name, value]): [string, string] => [name, value ?? ''])));
const coreBeacon = (facts: Facts, body: string) => beaconEnvelope({ id: ID, at: NOW, ...facts }, body);

// ---- Envelopes

const HOSTILE = [
  '"', "'", '\\', "\\'", '\\"', "\\\\'", "''", '\\u0041', '\\n', '/', '</script><script>alert(1)</script>',
  '\0', '\b\t\n\v\f\r', '\x1b[31m', '\x7f', '\x80\x9f', 'é', 'ÿĀ', 'Ω\u0fff\u1000', '\u2028\u2029', '\ufeff', '\ufffd', '\ufffe\uffff',
  '😀', '👩‍👩‍👧', '\u{10ffff}', 'Ünï cödé', ' ', '{}', '[]', 'null', 'true', '0', '-1e999',
  '#set($facts = 1)', '#if(true)x#end', '#foreach($a in [1..9])$a#end', '$context', '$!context.extendedRequestId', '${q}', '$q', '$facts',
  '##', '#*', '*#', '#[[x]]#', '\\$q', '\\#set', '","ip":"6.6.6.6', '"}\n{"v":1', '%STREAM%', '%0A', '+', '&=;',
  '__proto__', 'constructor', 'hasOwnProperty', 'x'.repeat(8000), '"'.repeat(3000), "\\'".repeat(3000),
];

for (const text of HOSTILE) {
  test(`Both doors keep ${JSON.stringify(text).slice(0, 50)} as it came, wherever it stands`, () => {
    const facts: Facts = { ip: '203.0.113.7', userAgent: text, referer: `a${text}`, language: `${text}b`, country: text + text, purpose: text };
    const query: Pairs = [['site', text], [text, 'value'], [`p.${text}`, `a${text}b`], ['last', '']];
    assert.deepEqual(withPixel(facts, query), corePixel(facts, query));
    for (const body of [text, `{"site":"shop","events":[{"name":${JSON.stringify(text)}}]}`]) {
      assert.deepEqual(withBeacon(facts, body), coreBeacon(facts, body));
    }
  });
}

const PLAIN: Facts = {
  ip: '2001:db8::7', userAgent: 'Mozilla/5.0 (X11; Linux)', referer: 'https://shop.example/a?b=c', language: 'de-DE,de;q=0.9', country: 'DE', purpose: 'prefetch',
};
const EXPECTED = {
  id: ID, at: NOW, ip: '2001:db8::7', ua: 'Mozilla/5.0 (X11; Linux)', referer: 'https://shop.example/a?b=c', language: 'de-DE,de;q=0.9', country: 'DE',
  purpose: 'prefetch',
};

test('The pixel\'s envelope holds the facts and the parameters', () => {
  assert.deepEqual(withPixel(PLAIN, [['site', 'shop'], ['p.color', 'blue']]), { v: 1, via: 'pixel', ...EXPECTED, query: { 'site': 'shop', 'p.color': 'blue' } });
});

test('The beacon\'s envelope holds the facts and the body, whatever it is', () => {
  assert.deepEqual(withBeacon(PLAIN, 'not "JSON"'), { v: 1, via: 'beacon', ...EXPECTED, body: 'not "JSON"' });
});

test('A beacon\'s events can be read from its envelope', () => {
  const body = '{"site":"shop","events":[{"name":"purchase","value":19.99,"props":{"note":"it\'s \\"new\\"\\n"}}]}';
  const parsed = parse(JSON.stringify(withBeacon(PLAIN, body)));
  assert.ok(!(parsed instanceof Undeliverable));
  assert.deepEqual([parsed.claimed, parsed.events], ['shop', [{ name: 'purchase', value: 19.99, props: { note: 'it\'s "new"\n' } }]]);
});

test('Facts that are not known, are empty or have no value are absent', () => {
  const bare = { v: 1, id: ID, at: NOW };
  const empty = headersOf({ userAgent: '', referer: '', language: '', country: '', purpose: '' });
  for (const headers of [[], empty, empty.map(([name]): Pairs[number] => [name, null])]) {
    for (const ip of ['', undefined]) {
      assert.deepEqual(withPixel({ ip }, [], headers), { ...bare, via: 'pixel', query: {} });
      assert.deepEqual(withBeacon({ ip }, '{}', headers), { ...bare, via: 'beacon', body: '{}' });
    }
  }
});

test('A parameter without a value is an empty one, and takes nothing from the one before it', () => {
  assert.deepEqual(withPixel({}, [['a', 'value'], ['b', null], ['c', ''], ['', 'd']]).query, { 'a': 'value', 'b': '', 'c': '', '': 'd' });
});

test('Of a parameter given twice the last one counts', () => {
  assert.deepEqual(withPixel({}, [['a', '1'], ['b', '2'], ['a', '3']]).query, { a: '3', b: '2' });
});

test('A parameter called __proto__ stays a parameter', () => {
  assert.deepEqual(Object.entries(withPixel({}, [['__proto__', 'x'], ['constructor', 'y']]).query!), [['__proto__', 'x'], ['constructor', 'y']]);
});

test('An empty body, which API Gateway gives as an empty object, is refused like an empty one', () => {
  const refusal = (envelope: Envelope) => {
    const parsed = parse(JSON.stringify(envelope));
    return parsed instanceof Undeliverable || !(parsed.events instanceof Refused) ? parsed : [parsed.claimed, parsed.events.reason];
  };
  assert.deepEqual(refusal(withBeacon({}, '')), ['', 'bad_body']);
  assert.deepEqual(refusal(withBeacon({}, '')), refusal(coreBeacon({}, '')));
});

// ---- Envelopes of whatever comes

const text = fc.oneof(
  fc.constantFrom(...HOSTILE.filter(({ length }) => length < 100)),
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.array(fc.constantFrom(...'"\'\\/$#!{}()%\0\n\u2028😀é a'), { maxLength: 12 }).map((characters) => characters.join('')),
);
const perhaps = fc.option(fc.oneof(fc.constant(''), text), { nil: undefined });
const facts: fc.Arbitrary<Facts> = fc.record({
  ip: fc.constantFrom(undefined, '', '203.0.113.7', '2001:db8::7'), userAgent: perhaps, referer: perhaps, language: perhaps, country: perhaps, purpose: perhaps,
});
const pairs: fc.Arbitrary<Pairs> = fc.array(fc.tuple(fc.oneof(fc.constantFrom('site', 'url', 'p.a', '__proto__', ''), text), fc.option(text)), { maxLength: 8 });
const others = fc.array(fc.tuple(fc.constantFrom('Cookie', 'X-Forwarded-For', 'Host', '__proto__', 'constructor', 'toString'), text), { maxLength: 3 });
/** The names of headers in whatever case, in whatever order, among others. */
const headersIn = (of: Facts) => fc.tuple(others, fc.infiniteStream(fc.nat(3))).chain(([more, cases]) => {
  const inCase = (name: string) =>
    [name, name.toLowerCase(), name.toUpperCase(), name.replace(/^./, (first) => first.toLowerCase())][cases.next().value as number]!;
  const all = [...headersOf(of), ...more].map(([name, value]): Pairs[number] => [inCase(name), value]);
  return fc.shuffledSubarray(all, { minLength: all.length });
});
const calls = facts.chain((of) => fc.record({ of: fc.constant(of), headers: headersIn(of), query: pairs, body: text.filter((body) => body !== '') }));

test('Both doors make the envelopes of core/collect.ts, whatever comes', (t) => {
  t.diagnostic(`TEMPLATES_SEED=${SEED}`);
  fc.assert(fc.property(calls, ({ of, headers, query, body }) => {
    assert.deepEqual(withPixel(of, query, headers), corePixel(of, query));
    assert.deepEqual(withBeacon(of, body, headers), coreBeacon(of, body));
  }), { numRuns: 300, seed: SEED });
});

// ---- The size of a beacon

const CHARACTERS: [bytes: number, character: string][] = [[1, 'a'], [2, 'é'], [3, '€'], [4, '😀']];
const LIMIT = LIMITS.beacon.bytes;

for (const [bytes, character] of CHARACTERS) {
  for (const size of [LIMIT - 1, LIMIT, LIMIT + 1, LIMIT + 2, LIMIT + 3]) {
    test(`A body of ${size} bytes in characters of ${bytes} is ${size <= LIMIT ? 'stored whole' : 'one that Kinesis has to refuse'}`, () => {
      const body = character.repeat(Math.floor(size / bytes)) + '.'.repeat(size % bytes);
      assert.equal(Buffer.byteLength(body), size);
      if (size <= LIMIT) assert.deepEqual(withBeacon(PLAIN, body), coreBeacon(PLAIN, body));
      else assert.deepEqual(asked(BEACON_REQUEST, { headers: headersOf(PLAIN), body }), { StreamName: 'clicks' });
    });
  }
}

test('A body of many times the limit is not sent on', () => {
  assert.deepEqual(asked(BEACON_REQUEST, { body: 'x'.repeat(9_000_000) }), { StreamName: 'clicks' });
});

test('The record of the largest body is one that Kinesis takes, even if every character has to be escaped', () => {
  const { Data } = asked(BEACON_REQUEST, { headers: headersOf({ ...PLAIN, userAgent: '\0'.repeat(8000) }), body: '\0'.repeat(LIMIT) });
  assert.ok(Buffer.from(Data!, 'base64').length <= 1024 * 1024);
});

// ---- The answers

test('The pixel\'s answer is the GIF in base64 and not a character more', () => {
  const rendered = render(PIXEL_RESPONSE, { body: '{"SequenceNumber":"1","ShardId":"shardId-000000000000"}' });
  assert.deepEqual(rendered, { text: PIXEL.toString('base64'), status: undefined, headers: {} });
  assert.deepEqual(Buffer.from(rendered.text, 'base64'), PIXEL);
});

/** An answer of a door, as far as both deployments give it. */
interface Answer { status: unknown; headers: Record<string, unknown>; body: unknown }

const TOLD = ['content-type', 'cache-control', 'access-control-allow-origin', 'retry-after'];

describe('One machine and API Gateway', () => {
  let records: string[] = [];
  let full = false;
  const put = async (more: readonly string[]) => {
    if (full) throw new StreamUnavailable('the disk is full');
    records.push(...more);
  };
  const server = httpServer({ stream: { put }, handlers: {} as never, clock: () => NOW, trustProxy: false, onError: (error) => { throw error; } });
  before(() => new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); }));
  after(() => new Promise((resolve) => { server.close(resolve); }));

  function send(method: string, path: string, headers: Record<string, string> = {}, body = ''): Promise<Answer> {
    const { port } = server.address() as AddressInfo;
    return new Promise((resolve, reject) => {
      const sending = request({ host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
        response.setEncoding('utf8').toArray().then((chunks) => {
          const told = TOLD.flatMap((name) => (response.headers[name] === undefined ? [] : [[name, response.headers[name]]]));
          const content = chunks.join('');
          const isProblem = response.headers['content-type'] === 'application/problem+json';
          resolve({ status: response.statusCode, headers: Object.fromEntries(told) as Record<string, unknown>, body: isProblem ? JSON.parse(content) as unknown : content });
        }, reject);
      });
      sending.on('error', reject).end(body);
    });
  }

  /** What the template makes of Kinesis' answer. */
  function refused(answer: string): Answer {
    const { text: content, status, headers } = render(REFUSED, { body: answer });
    return { status, headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])), body: JSON.parse(content) };
  }

  const PURPOSES: Record<string, string>[] = [
    {}, { 'Sec-Purpose': 'prefetch;prerender' }, { 'Purpose': 'prefetch' }, { 'X-Moz': 'prefetch' },
    { 'X-Moz': 'c', 'Purpose': 'b', 'Sec-Purpose': 'a' }, { 'sec-purpose': 'a', 'PURPOSE': 'b', 'x-moz': 'c' },
    { 'PURPOSE': 'b', 'x-MOZ': 'c' }, { 'X-Moz': 'c', 'Purpose': 'b' }, { 'Sec-Purpose': '', 'Purpose': 'b' }, { 'Purpose': 'b', 'Sec-Purpose': '' }, { 'Purpose': '', 'X-Moz': 'c' },
    { 'user-agent': 'it\'s "one"', 'Referer': 'https://a.example/?\\', 'ACCEPT-LANGUAGE': 'de' },
  ];
  for (const headers of PURPOSES) {
    test(`make the same envelopes of the headers ${JSON.stringify(headers)}`, async () => {
      records = [];
      await send('GET', "/p.gif?site=shop&p.a=%22it's%22+%5C&p.b", headers);
      await send('POST', '/e', headers, '{"site":"shop"}');
      const [pixel, beacon] = records.map((record) => JSON.parse(record) as Envelope);
      const callOf = ({ id, ip }: Envelope) => ({ headers: Object.entries(headers), extendedRequestId: id, sourceIp: ip! });
      assert.deepEqual(sent(PIXEL_REQUEST, { ...callOf(pixel!), query: [['site', 'shop'], ['p.a', '"it\'s" \\'], ['p.b', null]] }), pixel);
      assert.deepEqual(sent(BEACON_REQUEST, { ...callOf(beacon!), body: '{"site":"shop"}' }), beacon);
    });
  }

  const INVALID = '2 validation errors detected: Value null at \'partitionKey\' failed to satisfy constraint: Member must not be null';
  for (const type of ['ValidationException', 'com.amazonaws.kinesis.v20131202#ValidationException', 'com.amazon.coral.validate#ValidationException']) {
    test(`give the same 413 to a body that is too large: Kinesis says ${type}`, async () => {
      const answered = await send('POST', '/e', {}, 'x'.repeat(LIMIT + 1));
      assert.equal(answered.status, 413);
      for (const answer of [JSON.stringify({ __type: type, message: INVALID }), JSON.stringify({ message: INVALID, __type: type }, undefined, 1)]) {
        assert.deepEqual(refused(answer), answered);
      }
    });
  }

  const TYPES = [
    'ProvisionedThroughputExceededException', 'LimitExceededException', 'KMSThrottlingException', 'KMSAccessDeniedException', 'KMSDisabledException',
    'KMSInvalidStateException', 'ResourceNotFoundException', 'AccessDeniedException', 'InvalidArgumentException', 'SerializationException', 'InternalFailure',
    'InternalFailureException', 'ServiceUnavailable',
  ];
  const UNAVAILABLE = [
    ...TYPES.map((type) => JSON.stringify({ __type: type, message: 'Rate exceeded for shard shardId-000000000000 in stream clicks' })),
    ...TYPES.map((type) => JSON.stringify({ __type: `com.amazonaws.kinesis.v20131202#${type}`, message: null })),
    JSON.stringify({ __type: 'ProvisionedThroughputExceededException', message: '"ValidationException" #ValidationException" ValidationException' }),
    JSON.stringify({ __type: 'NotAValidationException' }), '{}', '', '<html><body>503 Service Unavailable</body></html>', 'null',
  ];
  for (const answer of UNAVAILABLE) {
    test(`give the same 503 where nothing was stored: Kinesis says ${answer.slice(0, 80)}`, async () => {
      full = true;
      const answered = await send('POST', '/e', {}, '{}');
      full = false;
      assert.deepEqual([answered.status, answered.headers['retry-after']], [503, '5']);
      assert.deepEqual(refused(answer), answered);
    });
  }
});

// ---- The model

test('The model escapes as commons-lang does', () => {
  assert.equal(escapeJavaScript('a"b\'c\\d/e'), 'a\\"b\\\'c\\\\d\\/e');
  assert.equal(escapeJavaScript('\b\t\n\f\r\0\x0f\x1f'), '\\b\\t\\n\\f\\r\\u0000\\u000F\\u001F');
  assert.equal(escapeJavaScript(' ~\x7f\x80ÿ\u0fff\u1000\u2028😀'), ' ~\x7f\\u0080\\u00FF\\u0FFF\\u1000\\u2028\\uD83D\\uDE00');
});

const BEYOND: [what: string, template: string, message: RegExp][] = [
  ['a variable that is not set', '$nothing', /\$nothing is not set/],
  ['a variable of API Gateway that the model lacks', '$context.requestId', /no requestId/],
  ['a function that the model lacks', '$util.parseJson("{}")', /no parseJson/],
  ['a string\'s method that the model lacks', '#set($a = "b")$a.trim()', /no trim/],
  ['a map\'s method that the model lacks', '$input.params().header.size()', /no size/],
  ['a string\'s property', '#set($a = "b")$a.length', /no length/],
  ['an override that the model lacks', '#set($context.requestOverride.path.a = "b")', /no requestOverride/],
  ['an override set twice', '#set($context.responseOverride.status = 413)#set($context.responseOverride.status = 503)', /status is overridden twice/],
  ['a header set twice', '#set($context.responseOverride.header.A-B = "1")#set($context.responseOverride.header.A-B = "2")', /A-B is overridden twice/],
  ['null where text is printed', '$context.identity.sourceIp', /sourceIp is null/],
  ['null assigned to a variable', '#set($a = $context.identity.sourceIp)', /null is assigned/],
  ['a string for a condition', '#set($a = "")#if($a)b#end', /accepts a comparison/],
  ['a string for a part of a condition', '#set($a = "")#if($a && 1 == 1)b#end', /accepts a comparison/],
  ['a number compared with a string', '#if("1" == 1)b#end', /accepts two strings or two numbers/],
  ['a sum', '#if(1 + 1 == 2)b#end', /the operator \+/],
  ['a division', '#set($a = 1 / 2)', /the operator \//],
  ['a break', '#foreach($a in [1, 2])#break#end', /the directive break/],
  ['a macro', '#macro(a)b#end#a()', /the directive macro/],
  ['a loop of more than 1,000 rounds', '#foreach($a in $input.params().querystring.keySet())$a#end', /accepts at most 1000/],
];
for (const [what, beyond, message] of BEYOND) {
  test(`The model throws on ${what}`, () => {
    const query = Array.from({ length: 1001 }, (_, i): [string, string] => [`p${i}`, '']);
    assert.throws(() => render(beyond, { sourceIp: null, query }), message);
  });
}
