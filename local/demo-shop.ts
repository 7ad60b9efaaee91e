// The invented shop of `npm run demo` and its simulated visitors. Pure: the same random numbers give the same events.
// next: local/demo.ts sends them

/** A source of random numbers from 0 (included) to 1 (excluded). */
export type Random = () => number;

/** Who causes an event. */
export interface Person {
  /** First-party id; a bot has none. */
  visitor?: string;
  userAgent: string;
  /** ISO 3166-1 alpha-2. */
  country: string;
  /** From 198.18.0.0/15, the range for tests of networks: it is nobody's. */
  ip: string;
}

interface CartItem { id: string; name: string; quantity: number; price: number }

/** An event as both doors take it, without what only one of them does. */
export interface DemoEvent {
  name: 'page_view' | 'view_item' | 'add_to_cart' | 'begin_checkout' | 'purchase' | 'refund';
  url: string;
  referrer?: string;
  value?: number;
  currency?: string;
  transaction_id?: string;
  items?: CartItem[];
}

export interface TimedEvent {
  /** When it happens, epoch ms. */
  at: number;
  by: Person;
  event: DemoEvent;
}

/** Random numbers from a 32-bit seed (Mulberry32). */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

// ---- The shop

const SHOP = 'https://demo-shop.example';
const CURRENCY = 'EUR';

interface Product { id: string; name: string; category: string; price: number }

const PRODUCTS: readonly Product[] = [
  { id: 'fernweh-runner', name: 'Fernweh Runner', category: 'shoes', price: 89.9 },
  { id: 'kiesel-boot', name: 'Kiesel Boot', category: 'shoes', price: 149 },
  { id: 'lagune-sandal', name: 'Lagune Sandal', category: 'shoes', price: 39.95 },
  { id: 'morgentau-jacket', name: 'Morgentau Jacket', category: 'jackets', price: 119.5 },
  { id: 'nordlicht-parka', name: 'Nordlicht Parka', category: 'jackets', price: 229 },
  { id: 'passat-windbreaker', name: 'Passat Windbreaker', category: 'jackets', price: 74.9 },
  { id: 'rucola-daypack', name: 'Rucola Daypack', category: 'bags', price: 59 },
  { id: 'tramontana-duffel', name: 'Tramontana Duffel', category: 'bags', price: 94.5 },
  { id: 'wolke-socks', name: 'Wolke Socks', category: 'sale', price: 9.95 },
  { id: 'zirrus-cap', name: 'Zirrus Cap', category: 'sale', price: 17.5 },
];
const CATEGORIES = ['shoes', 'jackets', 'bags', 'sale'];

// ---- Who comes, and from where; each with how often

type Weighted<T> = readonly (readonly [weight: number, value: T])[];

const USER_AGENTS: Weighted<string> = [
  [26, 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36'],
  [24, 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1'],
  [4, 'Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1'],
  [5, 'Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36'],
  [20, 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36'],
  [7, 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0'],
  [6, 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0'],
  [8, 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15'],
];

const BOT_USER_AGENT = 'Mozilla/5.0 (compatible; ExampleBot/1.0; +https://bot.example/about)';

const COUNTRIES: Weighted<string> = [
  [40, 'DE'], [11, 'AT'], [10, 'CH'], [9, 'FR'], [8, 'NL'], [7, 'IT'], [6, 'GB'], [4, 'PL'], [3, 'US'], [1, 'JP'], [1, 'BR'],
];

interface Origin { path: string; referrer?: string }

/** Where a visit comes from and the page it lands on; no path = any page of the shop. */
const ORIGINS: Weighted<Partial<Origin>> = [
  [30, {}],
  [22, { referrer: 'https://www.google.com/' }],
  [5, { referrer: 'https://www.bing.com/' }],
  [4, { referrer: 'https://duckduckgo.com/' }],
  [8, { path: '/c/shoes?utm_source=google&utm_medium=cpc&utm_campaign=autumn-shoes', referrer: 'https://www.google.com/' }],
  [8, { referrer: 'https://www.instagram.com/' }],
  [5, { path: '/c/jackets?utm_source=instagram&utm_medium=paid_social&utm_campaign=parka-days', referrer: 'https://www.instagram.com/' }],
  [3, { referrer: 'https://www.reddit.com/' }],
  [10, { path: '/c/sale?utm_source=newsletter&utm_medium=email&utm_campaign=weekend-sale' }],
  [5, { path: '/p/kiesel-boot', referrer: 'https://trail-notes.example/best-boots' }],
];

/** One of the values, each as probable. */
export function pick<T>(random: Random, values: readonly T[]): T {
  return values[Math.floor(random() * values.length)]!;
}

function pickWeighted<T>(random: Random, choices: Weighted<T>): T {
  let left = random() * choices.reduce((sum, [weight]) => sum + weight, 0);
  return (choices.find(([weight]) => (left -= weight) < 0) ?? choices[0]!)[1];
}

/** So many people know the shop: some come again. */
const PEOPLE = 4000;

/** The same person each time they come: the number alone decides about device, country and address. */
function person(number: number): Person {
  const random = randomFrom(number);
  return {
    visitor: `demo-${number}`,
    userAgent: pickWeighted(random, USER_AGENTS),
    country: pickWeighted(random, COUNTRIES),
    ip: `198.${18 + (number >> 11)}.${(number >> 3) & 255}.${1 + Math.floor(random() * 254)}`,
  };
}

// ---- What they do

const BOT_SHARE = 0.04;
const MOST_PAGES = 12;

/** One visit that begins at a moment (epoch ms): its events in the order of their time. */
export function demoVisit(random: Random, now: number): TimedEvent[] {
  return random() < BOT_SHARE ? botVisit(random, now) : new Visit(random, now, person(Math.floor(random() * PEOPLE))).events();
}

function botVisit(random: Random, now: number): TimedEvent[] {
  const by: Person = { userAgent: BOT_USER_AGENT, country: 'US', ip: '198.19.255.1' };
  const pages = 2 + Math.floor(random() * 6);
  return Array.from({ length: pages }, (_, n) => ({ at: now + n * 1000, by, event: { name: 'page_view', url: `${SHOP}/p/${pick(random, PRODUCTS).id}` } }));
}

class Visit {
  readonly #random: Random;
  readonly #by: Person;
  readonly #events: TimedEvent[] = [];
  readonly #cart: CartItem[] = [];
  #at: number;
  #url: string | undefined;

  constructor(random: Random, now: number, by: Person) {
    this.#random = random;
    this.#by = by;
    this.#at = now;
  }

  events(): TimedEvent[] {
    this.#land();
    for (let pages = 1; pages < MOST_PAGES && this.#random() < 0.66; pages++) this.#browse();
    if (this.#cart.length > 0 && this.#random() < 0.6) this.#checkOut();
    return this.#events;
  }

  #land(): void {
    const { path, referrer } = pickWeighted(this.#random, ORIGINS);
    this.#open(path ?? pickWeighted(this.#random, [[4, '/'], [3, `/c/${pick(this.#random, CATEGORIES)}`], [3, `/p/${pick(this.#random, PRODUCTS).id}`]]), referrer);
  }

  #browse(): void {
    this.#linger();
    const { category, id } = pick(this.#random, PRODUCTS);
    this.#open(pickWeighted(this.#random, [[1, '/'], [4, `/c/${category}`], [7, `/p/${id}`]]));
  }

  /** A page is seen; on a product's page the product too, and now and then it goes into the cart. */
  #open(path: string, referrer = this.#url): void {
    this.#url = SHOP + path;
    this.#happens({ name: 'page_view', url: this.#url, ...(referrer !== undefined && { referrer }) });
    const product = PRODUCTS.find(({ id }) => path === `/p/${id}`);
    if (product === undefined) return;
    const item = { id: product.id, name: product.name, quantity: this.#random() < 0.85 ? 1 : 2, price: product.price };
    this.#happens({ name: 'view_item', ...this.#commerce([{ ...item, quantity: 1 }]) });
    if (this.#random() < 0.13) {
      this.#linger();
      this.#cart.push(item);
      this.#happens({ name: 'add_to_cart', ...this.#commerce([item]) });
    }
  }

  #checkOut(): void {
    this.#linger();
    this.#open('/cart');
    this.#linger();
    this.#open('/checkout');
    this.#happens({ name: 'begin_checkout', ...this.#commerce(this.#cart) });
    if (this.#random() < 0.35) return;
    this.#linger();
    this.#open('/thanks');
    const transaction = { transaction_id: `D-${Math.floor(this.#random() * 36 ** 8).toString(36).toUpperCase().padStart(8, '0')}` };
    this.#happens({ name: 'purchase', ...this.#commerce(this.#cart), ...transaction });
    if (this.#random() < 0.06) {
      this.#linger();
      this.#happens({ name: 'refund', ...this.#commerce(this.#cart), ...transaction });
    }
  }

  #commerce(items: CartItem[]): Omit<DemoEvent, 'name'> {
    const cents = items.reduce((sum, { quantity, price }) => sum + Math.round(price * 100) * quantity, 0);
    return { url: this.#url ?? SHOP, value: cents / 100, currency: CURRENCY, items: [...items] };
  }

  #happens(event: DemoEvent): void {
    this.#events.push({ at: this.#at, by: this.#by, event });
    // What follows without lingering is sent by the same page, a moment later.
    this.#at += 1;
  }

  /** Reading takes 3 seconds to 4 minutes, mostly about half a minute. */
  #linger(): void {
    this.#at += 3000 + Math.min(237_000, Math.floor(-Math.log(1 - this.#random()) * 25_000));
  }
}

const HOUR_MS = 3_600_000;
const VISITS_A_DAY = 150;
/** Share of a day's visits in each local hour, from midnight on: quiet nights, a bump at lunch, the most in the evening. */
const DAILY_CURVE = [6, 4, 2, 1, 1, 2, 6, 14, 20, 24, 27, 31, 36, 34, 30, 29, 31, 36, 44, 54, 58, 50, 32, 15];

/**
 * All events of some days that end at a moment (epoch ms), in the order of their time; about 150 visits a day.
 * @param localHour the hour of day, 0 to 23, of a moment where the shop is
 */
export function demoHistory(random: Random, now: number, days: number, localHour: (ms: number) => number): TimedEvent[] {
  const total = DAILY_CURVE.reduce((sum, share) => sum + share, 0);
  const events: TimedEvent[] = [];
  for (let hour = now - days * 24 * HOUR_MS; hour < now; hour += HOUR_MS) {
    const expected = (VISITS_A_DAY * (DAILY_CURVE[localHour(hour)] ?? 0)) / total;
    // Rounded up or down by chance: the sum over many hours is right.
    const visits = Math.floor(expected * (0.7 + random() * 0.6) + random());
    for (let n = 0; n < visits; n++) events.push(...demoVisit(random, Math.floor(hour + random() * HOUR_MS)));
  }
  return events.filter(({ at }) => at < now).sort((a, b) => a.at - b.at);
}
