// What brought the visitor? Source and channel, by the campaign, the click id and the referrer. Channels have the
// names of GA4's default channel groups, so that merchants find the words they know.
import { getDomain, getDomainWithoutSuffix, getSubdomain } from 'tldts';
import QuickLRU from 'quick-lru';
import { partsOf } from '../url.ts';
import type { Step } from './draft.ts';

type Kind = 'search' | 'social' | 'video' | 'shopping' | 'email' | 'assistant';
type Origin = readonly [source: string, kind: Kind];

// By name under any public suffix: google.co.in, yandex.ru.
const BRANDS: Record<string, Origin> = {
  google: ['google', 'search'], bing: ['bing', 'search'], yahoo: ['yahoo', 'search'], yandex: ['yandex', 'search'],
  baidu: ['baidu', 'search'], duckduckgo: ['duckduckgo', 'search'], ecosia: ['ecosia', 'search'], qwant: ['qwant', 'search'],
  startpage: ['startpage', 'search'], naver: ['naver', 'search'], seznam: ['seznam', 'search'], sogou: ['sogou', 'search'],
  kagi: ['kagi', 'search'], ask: ['ask', 'search'], aol: ['aol', 'search'],
  facebook: ['facebook', 'social'], instagram: ['instagram', 'social'], twitter: ['twitter', 'social'],
  linkedin: ['linkedin', 'social'], pinterest: ['pinterest', 'social'], reddit: ['reddit', 'social'], tiktok: ['tiktok', 'social'],
  tumblr: ['tumblr', 'social'], quora: ['quora', 'social'], whatsapp: ['whatsapp', 'social'], weibo: ['weibo', 'social'],
  snapchat: ['snapchat', 'social'], threads: ['threads', 'social'], vk: ['vk', 'social'],
  youtube: ['youtube', 'video'], vimeo: ['vimeo', 'video'], twitch: ['twitch', 'video'], dailymotion: ['dailymotion', 'video'],
  amazon: ['amazon', 'shopping'], ebay: ['ebay', 'shopping'], etsy: ['etsy', 'shopping'], idealo: ['idealo', 'shopping'],
  chatgpt: ['chatgpt', 'assistant'], perplexity: ['perplexity', 'assistant'], claude: ['claude', 'assistant'],
};

// By host or registered domain, before the brands.
const HOSTS: Record<string, Origin> = {
  't.co': ['twitter', 'social'], 'x.com': ['twitter', 'social'], 'lnkd.in': ['linkedin', 'social'], 'fb.com': ['facebook', 'social'],
  'fb.me': ['facebook', 'social'], 't.me': ['telegram', 'social'], 'web.telegram.org': ['telegram', 'social'],
  'bsky.app': ['bluesky', 'social'], 'mastodon.social': ['mastodon', 'social'], 'news.ycombinator.com': ['hackernews', 'social'],
  'redd.it': ['reddit', 'social'], 'pin.it': ['pinterest', 'social'], 'youtu.be': ['youtube', 'video'],
  'search.brave.com': ['brave', 'search'],
  'mail.google.com': ['gmail', 'email'], 'outlook.live.com': ['outlook', 'email'], 'outlook.office.com': ['outlook', 'email'],
  'mail.yahoo.com': ['yahoo mail', 'email'], 'mail.proton.me': ['proton mail', 'email'],
  'chat.openai.com': ['chatgpt', 'assistant'], 'gemini.google.com': ['gemini', 'assistant'],
  'copilot.microsoft.com': ['copilot', 'assistant'],
};

// A click id says that the click was paid for, even where the campaign is not named.
const CLICK_IDS: Record<string, Origin> = {
  gclid: ['google', 'search'], gbraid: ['google', 'search'], wbraid: ['google', 'search'], msclkid: ['bing', 'search'],
  ttclid: ['tiktok', 'social'], li_fat_id: ['linkedin', 'social'], twclid: ['twitter', 'social'],
};
const CLICK_ID = new RegExp(`[?&](${Object.keys(CLICK_IDS).join('|')})=[^&]`);

interface Referrer { host: string; origin: Origin | undefined }
const referrers = new QuickLRU<string, Referrer>({ maxSize: 20_000 });

function referrerOf(hostname: string): Referrer {
  let referrer = referrers.get(hostname);
  if (!referrer) {
    const host = withoutWww(hostname);
    const origin = own(HOSTS, host) ?? own(HOSTS, getDomain(host) ?? '') ?? brandOf(host);
    referrer = { host, origin };
    referrers.set(hostname, referrer);
  }
  return referrer;
}

// What search engines call the hosts of their results; their other hosts (documents, accounts) are no search.
const RESULTS = /^$|search|^(m|cn|images|news|lens|maps|encrypted|html|lite)$/;

function brandOf(host: string): Origin | undefined {
  const origin = own(BRANDS, getDomainWithoutSuffix(host) ?? '');
  return origin?.[1] === 'search' && !RESULTS.test(getSubdomain(host) ?? '') ? undefined : origin;
}

function own<T>(table: Record<string, T>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

function withoutWww(host: string): string {
  return host.startsWith('www.') ? host.slice(4) : host;
}

export const source: Step = (draft) => {
  const { event, host, utm_source, utm_medium } = draft;
  const from = event.referrer === undefined ? undefined : partsOf(event.referrer).host;
  // The page before on the same host brought nobody.
  const referrer = from === undefined || withoutWww(from) === withoutWww(host ?? '') ? undefined : referrerOf(from);
  const clickId = event.url === undefined ? undefined : CLICK_ID.exec(event.url)?.[1];
  const clicked = clickId === undefined ? undefined : CLICK_IDS[clickId];
  const campaign = utm_source?.toLowerCase();
  const named = campaign === undefined ? undefined : (own(BRANDS, campaign) ?? own(HOSTS, campaign) ?? brandOfHost(campaign));
  const origin = named ?? (campaign === undefined ? (clicked ?? referrer?.origin) : undefined);
  const medium = utm_medium?.toLowerCase() ?? '';
  draft.referrer_host = referrer?.host;
  draft.source = campaign ?? origin?.[0] ?? referrer?.host ?? '(direct)';
  draft.channel = channelOf(medium, clicked !== undefined, origin?.[1], campaign ?? '', referrer !== undefined);
  return undefined;
};

function brandOfHost(campaign: string): Origin | undefined {
  return campaign.includes('.') ? referrerOf(campaign).origin : undefined;
}

const PAID = /^(.*cp.*|ppc|retargeting|paid.*)$/;
const DISPLAY = /^(display|banner|expandable|interstitial|cpm)$/;
const EMAIL = /^(e[-_ ]?mail|newsletter)$/;
const SOCIAL = /^(social|social[-_ ]network|social[-_ ]media|sm)$/;
const PUSH = /push$|mobile|notification/;
const PAID_CHANNEL: Partial<Record<Kind, string>> = { search: 'Paid Search', social: 'Paid Social', video: 'Paid Video', shopping: 'Paid Shopping' };

/** The channel, by the first rule that fits, in the order of GA4's definitions. */
function channelOf(medium: string, clicked: boolean, kind: Kind | undefined, campaign: string, referred: boolean): string {
  const paid = clicked || PAID.test(medium);
  const paidChannel = paid && kind ? PAID_CHANNEL[kind] : undefined;
  if (paidChannel !== undefined) return paidChannel;
  if (DISPLAY.test(medium)) return 'Display';
  if (paid) return 'Paid Other';
  if (kind === 'shopping') return 'Organic Shopping';
  if (kind === 'social' || SOCIAL.test(medium)) return 'Organic Social';
  if (kind === 'video' || medium.includes('video')) return 'Organic Video';
  if (kind === 'search' || medium === 'organic') return 'Organic Search';
  if (kind === 'assistant') return 'AI Assistants';
  if (/^(referral|app|link)$/.test(medium)) return 'Referral';
  if (kind === 'email' || EMAIL.test(medium) || EMAIL.test(campaign)) return 'Email';
  if (/^affiliates?$/.test(medium)) return 'Affiliates';
  if (medium === 'audio') return 'Audio';
  if (medium === 'sms' || campaign === 'sms') return 'SMS';
  if (PUSH.test(medium)) return 'Mobile Push';
  if (referred && campaign === '') return 'Referral';
  return campaign !== '' || medium !== '' ? 'Unassigned' : 'Direct';
}
