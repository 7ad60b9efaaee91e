import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bot } from '../../../core/deliver/bot.ts';
import type { Envelope, Event } from '../../../core/event.ts';
import { contextOf, draftOf, envelopeOf } from '../../memory.ts';
import { saidBy } from './said-by.ts';

const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0';
const GOOGLEBOT = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)';

const CASES: [name: string, envelope: Partial<Envelope>, event: Partial<Event>, expected: boolean][] = [
  ['a browser is none', { ua: BROWSER }, {}, false],
  ['no user agent is none', {}, {}, false],
  ['an empty user agent is none', { ua: '' }, {}, false],
  ['Googlebot is one', { ua: GOOGLEBOT }, {}, true],
  ['bingbot is one', { ua: 'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36' }, {}, true],
  ['GPTBot is one', { ua: 'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)' }, {}, true],
  ['a browser without a head is one', { ua: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36' }, {}, true],
  ['curl is one', { ua: 'curl/8.5.0' }, {}, true],
  ['a script is one', { ua: 'python-requests/2.31.0' }, {}, true],
  ['a prefetched page counts as one (Sec-Purpose)', { ua: BROWSER, purpose: 'prefetch' }, {}, true],
  ['so does a prerendered one', { ua: BROWSER, purpose: 'prefetch;prerender' }, {}, true],
  ['the old header in capitals counts too', { ua: BROWSER, purpose: 'Prefetch' }, {}, true],
  ['another purpose does not', { ua: BROWSER, purpose: 'preview' }, {}, false],
  ['the server door: the server itself is not asked', { via: 'api', ua: 'curl/8.5.0' }, {}, false],
  ['the server door: the user agent it speaks for is', { via: 'api', ua: BROWSER }, { user_agent: GOOGLEBOT }, true],
  ['the server door: a browser it speaks for is none', { via: 'api' }, { user_agent: BROWSER }, false],
];
for (const [name, envelope, event, expected] of CASES) {
  test(name, () => {
    assert.deepEqual(saidBy(bot, draftOf({ envelope: envelopeOf(envelope), event: { name: 'page_view', ...event } }), contextOf()), { bot: expected });
  });
}
