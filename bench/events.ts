// Made-up but realistic: what browsers send. The same random numbers give the same events.
import { pick, type Random } from '../local/demo-shop.ts';

function text(random: Random, length: number): string {
  let made = '';
  while (made.length < length) made += Math.floor(random() * 36 ** 8).toString(36);
  return made.slice(0, length);
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const CHROMES = range(90, 142);

/** User agents of browsers, several hundred, none of them a bot's. */
export const USER_AGENTS: readonly string[] = [
  ...CHROMES.map((v) => `Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${v}.0.0.0 Safari/537.36`),
  ...CHROMES.map((v) => `Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${v}.0.0.0 Mobile Safari/537.36`),
  ...CHROMES.map((v) => `Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${v}.0.0.0 Safari/537.36 Edg/${v}.0.0.0`),
  ...CHROMES.map((v) => `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${v}.0.0.0 Safari/537.36`),
  ...range(90, 144).map((v) => `Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:${v}.0) Gecko/20100101 Firefox/${v}.0`),
  ...range(13, 18).flatMap((v) => range(0, 7).map((w) => `Mozilla/5.0 (iPhone; CPU iPhone OS ${v}_${w} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/${v}.${w} Mobile/15E148 Safari/604.1`)),
  ...range(13, 18).flatMap((v) => range(0, 7).map((w) => `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/${v}.${w} Safari/605.1.15`)),
  ...range(20, 28).map((v) => `Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/${v}.0 Chrome/130.0.0.0 Mobile Safari/537.36`),
];

export const LANGUAGES = ['de-DE,de;q=0.9,en;q=0.8', 'en-US,en;q=0.9', 'fr-FR,fr;q=0.9,en-US;q=0.8,en;q=0.7', 'nl-NL,nl;q=0.9', 'it-IT,it;q=0.9', 'pl-PL,pl;q=0.9'];
const REFERRERS = ['https://www.google.com/', 'https://www.bing.com/', 'https://l.instagram.com/', 'https://m.facebook.com/', 'https://duckduckgo.com/', 'https://trail-notes.example/best-boots'];
const CAMPAIGNS = ['utm_source=google&utm_medium=cpc&utm_campaign=autumn-shoes&utm_term=trail%20boots', 'utm_source=newsletter&utm_medium=email&utm_campaign=weekend-sale', 'utm_source=instagram&utm_medium=paid_social&utm_campaign=parka-days&utm_content=story-2'];

export interface Visitor { ip: string; userAgent: string; language: string }

/** A visitor with an address from anywhere and one of the user agents. */
export function visitor(random: Random): Visitor {
  const byte = (from: number, to: number) => from + Math.floor(random() * (to - from + 1));
  return { ip: `${byte(11, 126)}.${byte(0, 255)}.${byte(0, 255)}.${byte(1, 254)}`, userAgent: pick(random, USER_AGENTS), language: pick(random, LANGUAGES) };
}

/** A name of an event, as often as shops have it: mostly page views, some commerce. */
export function eventName(random: Random): string {
  const what = random();
  return what < 0.7 ? 'page_view' : what < 0.85 ? 'view_item' : what < 0.93 ? 'add_to_cart' : what < 0.97 ? 'begin_checkout' : 'purchase';
}

export interface EventOptions {
  site: string;
  name: string;
  /** The part of the address that names the product. */
  product: string;
  /** What led to the page: another one of the shop's, a link of elsewhere, an advertisement, or nothing that is known. */
  from: 'shop' | 'link' | 'campaign' | 'nowhere';
  /** From 0 to below 40: the collection that was looked at before, or is now. */
  collection: number;
  transaction: string;
}

/** An event of a shop as the tracker sends it, of about 550 bytes as JSON; it has no id. */
export function shopEvent(random: Random, { site, name, product, from, collection, transaction }: EventOptions): Record<string, unknown> {
  const page = `/collections/outdoor-and-trail/page-${collection}`;
  const path = pick(random, [`/products/shoes/${product}`, page, `/blog/how-to-choose-${product}`]);
  const price = 20 + Math.floor(random() * 20_000) / 100;
  const commerce = name === 'page_view' ? {} : {
    value: price, currency: 'EUR',
    ...(name === 'purchase' && { transaction_id: transaction }),
    items: [{ id: product.slice(0, 60), name: 'Trail running shoe', quantity: 1, price }],
  };
  return {
    name,
    url: `https://${site}.example${path}?variant=${text(random, 12)}${from === 'campaign' ? `&${pick(random, CAMPAIGNS)}` : ''}`,
    ...(from !== 'nowhere' && { referrer: from === 'shop' ? `https://${site}.example${page}?sort=best-selling` : pick(random, REFERRERS) }),
    age: Math.floor(random() * 1500),
    ...commerce,
    props: {
      title: `How to choose a trail running shoe, part ${Math.floor(random() * 90)}`,
      description: 'Grip, cushioning and fit: what matters on rock, on mud and on the road home',
      template: 'product-detail', theme: 'dawn-2026.3', viewport: pick(random, ['390x844', '1536x864', '1920x1080', '412x915']), experiment: `layout-${Math.floor(random() * 4)}`,
      logged_in: random() < 0.2, cart_items: Math.floor(random() * 5), load_ms: Math.floor(random() * 3000),
    },
  };
}

/** An event of about 600 bytes as JSON that is like no other. */
function uniqueEvent(random: Random, site: string): Record<string, unknown> {
  const product = `${text(random, 8)}-trail-running-shoe-${Math.floor(random() * 500)}`;
  const id = `${text(random, 8)}-${text(random, 4)}-${text(random, 4)}-${text(random, 12)}`;
  const from = random() < 0.4 ? 'campaign' : 'shop';
  return { id, ...shopEvent(random, { site, product, from, name: eventName(random), collection: Math.floor(random() * 40), transaction: `order-${text(random, 10)}` }) };
}

/** A beacon's body with so many events, each with an id of its own. */
export function beaconBody(random: Random, site: string, events: number): string {
  return JSON.stringify({ site, events: Array.from({ length: events }, () => uniqueEvent(random, site)) });
}
