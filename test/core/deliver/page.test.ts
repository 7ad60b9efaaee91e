import assert from 'node:assert/strict';
import { test } from 'node:test';
import { page } from '../../../core/deliver/page.ts';
import { contextOf, draftOf } from '../../memory.ts';
import { saidBy } from './said-by.ts';

const PLAIN = { host: 'shop.example', path: '/' };
const CASES: [name: string, url: string | undefined, expected: object][] = [
  ['no page', undefined, {}],
  ['host and path', 'https://shop.example/p/1', { host: 'shop.example', path: '/p/1' }],
  ['no path is the root', 'https://shop.example', PLAIN],
  ['the host in small letters, without port and user', 'https://me:secret@SHOP.Example:8443/', PLAIN],
  ['query and fragment are not part of the path', 'https://shop.example/?session=42#top', PLAIN],
  ['a path keeps its capitals and its percent-encoding', 'https://shop.example/A%20b', { host: 'shop.example', path: '/A%20b' }],
  ['letters beyond ASCII are encoded, the host in punycode', 'https://münchen.example/größe', { host: 'xn--mnchen-3ya.example', path: '/gr%C3%B6%C3%9Fe' }],
  ['dots in the path are resolved', 'https://shop.example/a/../b', { host: 'shop.example', path: '/b' }],
  ['all five fields of a campaign', 'https://shop.example/?utm_source=News&utm_medium=email&utm_campaign=spring&utm_content=top&utm_term=red+shoes',
    { ...PLAIN, utm_source: 'News', utm_medium: 'email', utm_campaign: 'spring', utm_content: 'top', utm_term: 'red shoes' }],
  ['percent-encoding in a campaign is decoded', 'https://shop.example/?utm_campaign=20%25%20off%20%F0%9F%98%80', { ...PLAIN, utm_campaign: '20% off 😀' }],
  ['an empty campaign field counts as absent', 'https://shop.example/?utm_source=&utm_medium=email', { ...PLAIN, utm_medium: 'email' }],
  ['a campaign field of blanks counts as absent', 'https://shop.example/?utm_source=%20%20&utm_medium=email', { ...PLAIN, utm_medium: 'email' }],
  ['a campaign field of control characters counts as absent', 'https://shop.example/?utm_source=%00%0A&utm_medium=email', { ...PLAIN, utm_medium: 'email' }],
  ['blanks around a campaign field are taken off', 'https://shop.example/?utm_source=%20news%20', { ...PLAIN, utm_source: 'news' }],
  ['control characters in a campaign field become a space', 'https://shop.example/?utm_source=a%00%0Ab', { ...PLAIN, utm_source: 'a b' }],
  ['broken UTF-8 in a campaign field is replaced', 'https://shop.example/?utm_source=%FF', { ...PLAIN, utm_source: '\ufffd' }],
  ['the first of two counts', 'https://shop.example/?utm_source=a&utm_source=b', { ...PLAIN, utm_source: 'a' }],
  ['256 characters of a campaign field are kept', `https://shop.example/?utm_term=${'x'.repeat(300)}`, { ...PLAIN, utm_term: 'x'.repeat(256) }],
  ['an emoji cut in two by that limit is replaced', `https://shop.example/?utm_term=${'x'.repeat(255)}%F0%9F%98%80`, { ...PLAIN, utm_term: `${'x'.repeat(255)}\ufffd` }],
  ['other parameters are not looked at', 'https://shop.example/?UTM_SOURCE=a&__proto__=b&utm_id=c', PLAIN],
];
for (const [name, url, expected] of CASES) {
  test(name, () => { assert.deepEqual(saidBy(page, draftOf({ event: { name: 'page_view', ...(url !== undefined && { url }) } }), contextOf()), expected); });
}
