import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agentOf } from '../../../core/deliver/agent.ts';
import { device, languageOf } from '../../../core/deliver/device.ts';
import { contextOf, draftOf, envelopeOf } from '../../memory.ts';
import { saidBy } from './said-by.ts';

const WEBKIT = 'AppleWebKit/537.36 (KHTML, like Gecko)';
const AGENTS: [name: string, userAgent: string, device: string | undefined, browser: string | undefined, os: string | undefined][] = [
  ['Chrome on Windows', `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/126.0.0.0 Safari/537.36`, 'desktop', 'Chrome', 'Windows'],
  ['Edge on Windows', `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0`, 'desktop', 'Microsoft Edge', 'Windows'],
  ['Opera on Windows', `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/124.0.0.0 Safari/537.36 OPR/110.0.0.0`, 'desktop', 'Opera', 'Windows'],
  ['Safari on a Mac', 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15', 'desktop', 'Safari', 'macOS'],
  ['Firefox on Linux', 'Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0', 'desktop', 'Firefox', 'Linux'],
  ['Chrome on a Chromebook', `Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${WEBKIT} Chrome/126.0.0.0 Safari/537.36`, 'desktop', 'Chrome', 'Chrome OS'],
  ['Safari on an iPhone', 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1', 'mobile', 'Safari', 'iOS'],
  ['Chrome on an iPhone', 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1', 'mobile', 'Chrome', 'iOS'],
  ['Safari on an iPad', 'Mozilla/5.0 (iPad; CPU OS 12_5_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1.2 Mobile/15E148 Safari/604.1', 'tablet', 'Safari', 'iOS'],
  ['Chrome on an Android phone', `Mozilla/5.0 (Linux; Android 10; K) ${WEBKIT} Chrome/126.0.0.0 Mobile Safari/537.36`, 'mobile', 'Chrome', 'Android'],
  ['Samsung Internet', `Mozilla/5.0 (Linux; Android 13; SM-S911B) ${WEBKIT} SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36`, 'mobile', 'Samsung Internet for Android', 'Android'],
  ['Firefox on an Android phone', 'Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0', 'mobile', 'Firefox', 'Android'],
  ['Chrome on an Android tablet', `Mozilla/5.0 (Linux; Android 9; SM-T515) ${WEBKIT} Chrome/126.0.0.0 Safari/537.36`, 'tablet', 'Chrome', 'Android'],
  ['a smart TV', `Mozilla/5.0 (Web0S; Linux/SmartTV) ${WEBKIT} Chrome/94.0.4606.128 Safari/537.36 WebAppManager`, 'tv', 'WebOS Browser', 'WebOS'],
  ['nothing', '', undefined, undefined, undefined],
  ['blanks', '   ', undefined, undefined, undefined],
  ['words without a version', 'my own program', undefined, undefined, undefined],
];
for (const [name, userAgent, of, browser, os] of AGENTS) {
  test(name, () => {
    const said = saidBy(device, draftOf({ envelope: envelopeOf({ ua: userAgent }) }), contextOf());
    assert.deepEqual(said, { device: of, browser, os, language: undefined });
  });
}

test('only the first 512 characters of a user agent are read', () => {
  const chrome = AGENTS[0]![1];
  assert.deepEqual(agentOf(chrome.padEnd(100_000, ' x')), agentOf(chrome.padEnd(512, ' x')));
});

// Whatever a client calls itself becomes a value of a dimension, so it has to be plain text of bounded length.
for (const [name, userAgent] of [
  ['100 KB of one letter', 'x'.repeat(100_000)],
  ['100 KB of brackets', '('.repeat(100_000)],
  ['100 KB of a browser', 'Mozilla/5.0 '.repeat(9_000)],
  ['a name of 490 letters', `${'N'.repeat(490)}/1.0 x`],
  ['a tab in the name', 'my\tbrowser/1.0 x'],
  ['a control character beyond ASCII in the name', 'my\u009bbrowser/1.0 x'],
  ['a lone surrogate in the name', 'my\ud800browser/1.0 x'],
  ['an emoji cut in two by the limit', `${'N'.repeat(511)}😀/1.0 x`],
  ['a name with a quotation mark', 'my"browser/1.0 x'],
  ['slashes', '/'.repeat(600)],
] as const) {
  test(`a user agent of ${name} makes at most a short, clean name`, () => {
    for (const value of [agentOf(userAgent).device, agentOf(userAgent).browser, agentOf(userAgent).os]) {
      if (value === undefined) continue;
      assert.ok(value.length <= 256, `${value.length} characters`);
      assert.ok(!/\p{Cc}/u.test(value) && value.isWellFormed(), JSON.stringify(value));
    }
  });
}

const LANGUAGES: [header: string | undefined, expected: string | undefined][] = [
  ['en-US,en;q=0.9', 'en-US'],
  ['en', 'en'],
  ['de-DE;q=0.8,fr', 'de-DE'],
  ['EN-us', 'en-US'],
  ['zh-Hant-TW', 'zh-TW'],
  ['sr-Latn', 'sr'],
  ['fil-PH', 'fil-PH'],
  ['es-419,es;q=0.9', 'es-419'],
  [undefined, undefined],
  ['', undefined],
  ['*', undefined],
  ['english', undefined],
  ['e', undefined],
  ['en_US', undefined],
  ['<script>', undefined],
  ['en\n', undefined],
  ['1-2', undefined],
];
for (const [header, expected] of LANGUAGES) {
  test(`Accept-Language ${JSON.stringify(header)}: ${expected ?? 'unknown'}`, () => {
    assert.equal(languageOf(header), expected);
    const said = saidBy(device, draftOf({ envelope: envelopeOf(header === undefined ? {} : { language: header }) }), contextOf());
    assert.equal((said as { language?: string }).language, expected);
  });
}

test('the server door: the user agent it speaks for, and no language of the server\'s own', () => {
  const envelope = envelopeOf({ via: 'api', ua: 'curl/8.5.0', language: 'en' });
  const said = saidBy(device, draftOf({ envelope, event: { name: 'x', user_agent: AGENTS[0]![1] } }), contextOf());
  assert.deepEqual(said, { device: 'desktop', browser: 'Chrome', os: 'Windows', language: undefined });
});
