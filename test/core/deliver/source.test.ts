import assert from 'node:assert/strict';
import { test } from 'node:test';
import { page } from '../../../core/deliver/page.ts';
import { source } from '../../../core/deliver/source.ts';
import { contextOf, draftOf } from '../../memory.ts';
import { saidBy } from './said-by.ts';

/** Source and channel of a page view, with the columns the step before it found. */
function cameFrom(url: string | undefined, referrer?: string) {
  const draft = draftOf({ event: { name: 'page_view', ...(url !== undefined && { url }), ...(referrer !== undefined && { referrer }) } });
  page(draft, contextOf());
  return saidBy(source, draft, contextOf()) as { source: string; channel: string; referrer_host: string | undefined };
}
const PAGE = 'https://shop.example/p/1';

const REFERRERS: [referrer: string, source: string, channel: string][] = [
  ['https://www.google.com/', 'google', 'Organic Search'],
  ['https://www.google.de/', 'google', 'Organic Search'],
  ['https://www.google.co.uk/', 'google', 'Organic Search'],
  ['https://www.google.co.in/', 'google', 'Organic Search'],
  ['https://www.google.com.br/search?q=shoes', 'google', 'Organic Search'],
  ['https://google.fr/', 'google', 'Organic Search'],
  ['https://www.bing.com/', 'bing', 'Organic Search'],
  ['https://cn.bing.com/', 'bing', 'Organic Search'],
  ['https://search.yahoo.com/', 'yahoo', 'Organic Search'],
  ['https://search.yahoo.co.jp/', 'yahoo', 'Organic Search'],
  ['https://de.search.yahoo.com/', 'yahoo', 'Organic Search'],
  ['https://yandex.ru/', 'yandex', 'Organic Search'],
  ['https://yandex.com.tr/', 'yandex', 'Organic Search'],
  ['https://www.baidu.com/', 'baidu', 'Organic Search'],
  ['https://duckduckgo.com/', 'duckduckgo', 'Organic Search'],
  ['https://html.duckduckgo.com/', 'duckduckgo', 'Organic Search'],
  ['https://www.ecosia.org/', 'ecosia', 'Organic Search'],
  ['https://www.qwant.com/', 'qwant', 'Organic Search'],
  ['https://www.startpage.com/', 'startpage', 'Organic Search'],
  ['https://search.naver.com/', 'naver', 'Organic Search'],
  ['https://search.seznam.cz/', 'seznam', 'Organic Search'],
  ['https://kagi.com/', 'kagi', 'Organic Search'],
  ['https://search.brave.com/', 'brave', 'Organic Search'],
  ['https://www.facebook.com/', 'facebook', 'Organic Social'],
  ['https://l.facebook.com/l.php?u=x', 'facebook', 'Organic Social'],
  ['http://m.facebook.com/', 'facebook', 'Organic Social'],
  ['https://l.instagram.com/', 'instagram', 'Organic Social'],
  ['https://t.co/abc', 'twitter', 'Organic Social'],
  ['https://x.com/', 'twitter', 'Organic Social'],
  ['https://www.linkedin.com/feed/', 'linkedin', 'Organic Social'],
  ['https://lnkd.in/abc', 'linkedin', 'Organic Social'],
  ['https://www.pinterest.de/', 'pinterest', 'Organic Social'],
  ['https://www.pinterest.co.uk/', 'pinterest', 'Organic Social'],
  ['https://out.reddit.com/', 'reddit', 'Organic Social'],
  ['https://www.tiktok.com/', 'tiktok', 'Organic Social'],
  ['https://t.me/channel', 'telegram', 'Organic Social'],
  ['https://vk.com/', 'vk', 'Organic Social'],
  ['https://news.ycombinator.com/item?id=1', 'hackernews', 'Organic Social'],
  ['https://bsky.app/', 'bluesky', 'Organic Social'],
  ['https://www.threads.net/', 'threads', 'Organic Social'],
  ['https://www.youtube.com/watch?v=x', 'youtube', 'Organic Video'],
  ['https://m.youtube.com/', 'youtube', 'Organic Video'],
  ['https://youtu.be/x', 'youtube', 'Organic Video'],
  ['https://vimeo.com/1', 'vimeo', 'Organic Video'],
  ['https://www.twitch.tv/', 'twitch', 'Organic Video'],
  ['https://www.amazon.de/', 'amazon', 'Organic Shopping'],
  ['https://www.amazon.co.jp/', 'amazon', 'Organic Shopping'],
  ['https://www.ebay.com.au/', 'ebay', 'Organic Shopping'],
  ['https://www.etsy.com/', 'etsy', 'Organic Shopping'],
  ['https://mail.google.com/', 'gmail', 'Email'],
  ['https://outlook.live.com/', 'outlook', 'Email'],
  ['https://mail.yahoo.com/', 'yahoo mail', 'Email'],
  ['https://chatgpt.com/', 'chatgpt', 'AI Assistants'],
  ['https://chat.openai.com/', 'chatgpt', 'AI Assistants'],
  ['https://www.perplexity.ai/', 'perplexity', 'AI Assistants'],
  ['https://claude.ai/', 'claude', 'AI Assistants'],
  ['https://gemini.google.com/', 'gemini', 'AI Assistants'],
  ['https://copilot.microsoft.com/', 'copilot', 'AI Assistants'],
  ['https://blog.example/post', 'blog.example', 'Referral'],
  ['https://www.blog.example/post', 'blog.example', 'Referral'],
  ['https://a.b.blog.example/', 'a.b.blog.example', 'Referral'],
  // Hosts that would like to be somebody else.
  ['https://google.com.evil.example/', 'google.com.evil.example', 'Referral'],
  ['https://google.evil.example/', 'google.evil.example', 'Referral'],
  ['https://notgoogle.com/', 'notgoogle.com', 'Referral'],
  ['https://google-search.com/', 'google-search.com', 'Referral'],
  ['https://evil.example/?u=https://www.google.com/', 'evil.example', 'Referral'],
  ['https://www.google.com@evil.example/', 'evil.example', 'Referral'],
  ['https://t.co.evil.example/', 't.co.evil.example', 'Referral'],
  ['https://google/', 'google', 'Referral'],
  ['https://constructor/', 'constructor', 'Referral'],
  ['https://constructor.com/', 'constructor.com', 'Referral'],
  ['https://hasownproperty.net/', 'hasownproperty.net', 'Referral'],
  ['https://__proto__.com/', '__proto__.com', 'Referral'],
  ['https://127.0.0.1/', '127.0.0.1', 'Referral'],
  ['https://[2001:db8::1]/', '[2001:db8::1]', 'Referral'],
  ['https://localhost:3000/', 'localhost', 'Referral'],
  ['https://gооgle.com/', 'xn--ggle-55da.com', 'Referral'],
];
for (const [referrer, from, channel] of REFERRERS) {
  test(`from ${referrer}: ${from}, ${channel}`, () => {
    const said = cameFrom(PAGE, referrer);
    assert.deepEqual([said.source, said.channel], [from, channel]);
    assert.equal(said.referrer_host, new URL(referrer).hostname.replace(/^www\./, ''));
  });
}

const OWN: [name: string, url: string | undefined, referrer: string | undefined, source: string, channel: string, host: string | undefined][] = [
  ['no referrer is direct', PAGE, undefined, '(direct)', 'Direct', undefined],
  ['neither page nor referrer is direct', undefined, undefined, '(direct)', 'Direct', undefined],
  ['a referrer without page', undefined, 'https://www.google.com/', 'google', 'Organic Search', 'google.com'],
  ['the site itself brought nobody', PAGE, 'https://shop.example/', '(direct)', 'Direct', undefined],
  ['nor through http', PAGE, 'http://shop.example/', '(direct)', 'Direct', undefined],
  ['nor from www to without', PAGE, 'https://www.shop.example/', '(direct)', 'Direct', undefined],
  ['nor from without to www', 'https://www.shop.example/', 'https://shop.example/', '(direct)', 'Direct', undefined],
  ['nor in capitals', PAGE, 'https://SHOP.EXAMPLE/', '(direct)', 'Direct', undefined],
  ['another host of the same name did', PAGE, 'https://shop.test/', 'shop.test', 'Referral', 'shop.test'],
  ['a search engine that uses its own analytics', 'https://www.google.com/', 'https://www.google.com/', '(direct)', 'Direct', undefined],
];
for (const [name, url, referrer, from, channel, host] of OWN) {
  test(name, () => { assert.deepEqual(cameFrom(url, referrer), { source: from, channel, referrer_host: host }); });
}

// After GA4's default channel group: https://support.google.com/analytics/answer/9756891
const CAMPAIGNS: [query: string, referrer: string | undefined, source: string, channel: string][] = [
  ['utm_source=google&utm_medium=cpc', undefined, 'google', 'Paid Search'],
  ['utm_source=google&utm_medium=ppc', undefined, 'google', 'Paid Search'],
  ['utm_source=google&utm_medium=cpm', undefined, 'google', 'Paid Search'],
  ['utm_source=google&utm_medium=retargeting', undefined, 'google', 'Paid Search'],
  ['utm_source=bing&utm_medium=paidsearch', undefined, 'bing', 'Paid Search'],
  ['utm_source=google.com&utm_medium=cpc', undefined, 'google.com', 'Paid Search'],
  ['utm_source=Google&utm_medium=CPC', undefined, 'google', 'Paid Search'],
  ['utm_source=facebook&utm_medium=cpc', undefined, 'facebook', 'Paid Social'],
  ['utm_source=facebook&utm_medium=cpm', undefined, 'facebook', 'Paid Social'],
  ['utm_source=instagram&utm_medium=paid_social', undefined, 'instagram', 'Paid Social'],
  ['utm_source=tiktok&utm_medium=paid', undefined, 'tiktok', 'Paid Social'],
  ['utm_source=youtube&utm_medium=cpv', undefined, 'youtube', 'Paid Video'],
  ['utm_source=amazon&utm_medium=cpc', undefined, 'amazon', 'Paid Shopping'],
  ['utm_source=partner&utm_medium=cpc', undefined, 'partner', 'Paid Other'],
  ['utm_source=partner&utm_medium=cpa', undefined, 'partner', 'Paid Other'],
  ['utm_source=partner&utm_medium=cpl', undefined, 'partner', 'Paid Other'],
  ['utm_source=partner&utm_medium=retargeting', undefined, 'partner', 'Paid Other'],
  ['utm_source=partner&utm_medium=cpm', undefined, 'partner', 'Display'],
  ['utm_source=partner&utm_medium=display', undefined, 'partner', 'Display'],
  ['utm_source=partner&utm_medium=banner', undefined, 'partner', 'Display'],
  ['utm_source=partner&utm_medium=interstitial', undefined, 'partner', 'Display'],
  ['utm_source=spring-news&utm_medium=email', undefined, 'spring-news', 'Email'],
  ['utm_source=spring-news&utm_medium=e-mail', undefined, 'spring-news', 'Email'],
  ['utm_source=spring-news&utm_medium=e_mail', undefined, 'spring-news', 'Email'],
  ['utm_source=spring-news&utm_medium=e%20mail', undefined, 'spring-news', 'Email'],
  ['utm_source=email', undefined, 'email', 'Email'],
  ['utm_source=spring-news&utm_medium=email', 'https://mail.google.com/', 'spring-news', 'Email'],
  ['utm_source=partner&utm_medium=affiliate', undefined, 'partner', 'Affiliates'],
  ['utm_source=partner&utm_medium=affiliates', undefined, 'partner', 'Affiliates'],
  ['utm_source=partner&utm_medium=sms', undefined, 'partner', 'SMS'],
  ['utm_source=sms', undefined, 'sms', 'SMS'],
  ['utm_source=partner&utm_medium=audio', undefined, 'partner', 'Audio'],
  ['utm_source=partner&utm_medium=push', undefined, 'partner', 'Mobile Push'],
  ['utm_source=partner&utm_medium=web-push', undefined, 'partner', 'Mobile Push'],
  ['utm_source=partner&utm_medium=notification', undefined, 'partner', 'Mobile Push'],
  ['utm_source=partner&utm_medium=social', undefined, 'partner', 'Organic Social'],
  ['utm_source=partner&utm_medium=social-network', undefined, 'partner', 'Organic Social'],
  ['utm_source=partner&utm_medium=social%20media', undefined, 'partner', 'Organic Social'],
  ['utm_source=partner&utm_medium=sm', undefined, 'partner', 'Organic Social'],
  ['utm_source=facebook', undefined, 'facebook', 'Organic Social'],
  ['utm_source=t.co', undefined, 't.co', 'Organic Social'],
  ['utm_source=m.facebook.com&utm_medium=referral', undefined, 'm.facebook.com', 'Organic Social'],
  ['utm_source=youtube', undefined, 'youtube', 'Organic Video'],
  ['utm_source=partner&utm_medium=video', undefined, 'partner', 'Organic Video'],
  ['utm_source=partner&utm_medium=video-story', undefined, 'partner', 'Organic Video'],
  ['utm_source=google&utm_medium=organic', undefined, 'google', 'Organic Search'],
  ['utm_source=partner&utm_medium=organic', undefined, 'partner', 'Organic Search'],
  ['utm_source=etsy', undefined, 'etsy', 'Organic Shopping'],
  ['utm_source=chatgpt.com', undefined, 'chatgpt.com', 'AI Assistants'],
  ['utm_source=partner&utm_medium=referral', undefined, 'partner', 'Referral'],
  ['utm_source=partner&utm_medium=link', undefined, 'partner', 'Referral'],
  ['utm_source=partner&utm_medium=app', undefined, 'partner', 'Referral'],
  ['utm_source=partner&utm_medium=flyer', undefined, 'partner', 'Unassigned'],
  ['utm_source=partner', undefined, 'partner', 'Unassigned'],
  // The campaign speaks, not the referrer.
  ['utm_source=partner', 'https://www.google.com/', 'partner', 'Unassigned'],
  ['utm_source=facebook&utm_medium=cpc', 'https://www.google.com/', 'facebook', 'Paid Social'],
  ['utm_medium=email', undefined, '(direct)', 'Email'],
  ['utm_medium=cpc', 'https://www.google.com/', 'google', 'Paid Search'],
  // Names that mean something to JavaScript.
  ['utm_source=__proto__', undefined, '__proto__', 'Unassigned'],
  ['utm_source=constructor&utm_medium=constructor', undefined, 'constructor', 'Unassigned'],
  ['utm_source=toString&utm_medium=cpc', undefined, 'tostring', 'Paid Other'],
  ['utm_source=hasOwnProperty.com', undefined, 'hasownproperty.com', 'Unassigned'],
  // Names with dots that are no hosts.
  ['utm_source=....', undefined, '....', 'Unassigned'],
  ['utm_source=%C3%A9.%C3%A9', undefined, 'é.é', 'Unassigned'],
  ['utm_source=%FF.%FF', undefined, '\ufffd.\ufffd', 'Unassigned'],
  // Click ids: paid for, even where no campaign is named.
  ['gclid=abc', undefined, 'google', 'Paid Search'],
  ['gbraid=abc', 'https://www.google.com/', 'google', 'Paid Search'],
  ['a=b&wbraid=abc', undefined, 'google', 'Paid Search'],
  ['msclkid=abc', undefined, 'bing', 'Paid Search'],
  ['ttclid=abc', undefined, 'tiktok', 'Paid Social'],
  ['li_fat_id=abc', undefined, 'linkedin', 'Paid Social'],
  ['twclid=abc', undefined, 'twitter', 'Paid Social'],
  ['gclid=abc&utm_source=google&utm_medium=cpc', 'https://www.google.com/', 'google', 'Paid Search'],
  ['gclid=abc&utm_source=google', undefined, 'google', 'Paid Search'],
  ['gclid=', undefined, '(direct)', 'Direct'],
  ['gclid=&a=b', undefined, '(direct)', 'Direct'],
  ['xgclid=abc', undefined, '(direct)', 'Direct'],
  ['fbclid=abc', 'https://l.facebook.com/', 'facebook', 'Organic Social'],
];
for (const [query, referrer, from, channel] of CAMPAIGNS) {
  test(`?${query}${referrer === undefined ? '' : ` from ${referrer}`}: ${from}, ${channel}`, () => {
    const said = cameFrom(`${PAGE}?${query}`, referrer);
    assert.deepEqual([said.source, said.channel], [from, channel]);
  });
}

test('a click id in the path is none', () => {
  assert.equal(cameFrom('https://shop.example/gclid=abc').channel, 'Direct');
});
