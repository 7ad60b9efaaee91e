// What browsers send to many shops: requests of visitors who go on with their visits, put together from pieces that are
// made beforehand, so that a request costs its sender little more than the copying of its bytes.
// before: bench/load.ts; next: the server's doors
import { pick, randomFrom, type Random } from '../local/demo-shop.ts';
import { LANGUAGES, USER_AGENTS, eventName, shopEvent, type EventOptions } from './events.ts';

export interface TrafficOptions {
  /** The same options make the same traffic. */
  seed: number;
  /** From 1 to 100,000. */
  sites: number;
  /** Visitors who are there at once. */
  visitors: number;
  /** Events of a beacon, 1 to 100. */
  events: number;
  /** A few letters or digits: where they differ, no transaction of two traffics is the same. */
  name: string;
}

const SITE_DIGITS = 5;
/** Events of a visit, on average; where a beacon has more than that, a visit is a beacon and a half. */
const VISIT_EVENTS = 5;
const LEAST_BEACONS = 1.5;
const BOT = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)';
const BOT_SHARE = 0.02;

// Pieces that differ; what is frequent in a shop, is so among them.
const LANDINGS = 4_000;
const LATER = 16_000;
const PIXELS = 2_000;
/** Of a shop; a product has two pages, a collection one. */
const PRODUCTS = 150;
const COLLECTIONS = 40;

/** The id of a site by its number; all ids are equally long. */
export function siteId(number: number): string {
  return `shop-${String(number).padStart(SITE_DIGITS, '0')}`;
}

/** Draws numbers from 0 to n − 1, the first the most often, the k-th k times less often (Zipf's law, exponent 1). */
export function zipf(n: number): (random: Random) => number {
  const sums = new Float64Array(n);
  for (let k = 1, sum = 0; k <= n; k++) sums[k - 1] = sum += 1 / k;
  return (random) => {
    const wanted = random() * sums[n - 1]!;
    let low = 0;
    for (let high = n - 1; low < high;) {
      const middle = (low + high) >> 1;
      if (sums[middle]! > wanted) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

// What differs from request to request stands in a piece as one of these, as long as what is written over it.
const SITE = 'S'.repeat(SITE_DIGITS);
const SHOP = siteId(0).replace(/\d+/, SITE);
const ADDRESS = 'A'.repeat('255.255.255.255'.length);
const LENGTH = 'L'.repeat(6);
const TRANSACTION = 'T'.repeat(10);
const AGE = 987_654;
const AGE_DIGITS = String(AGE).length;

const [SPACE, ZERO, COMMA, DOT] = [32, 48, 44, 46];
const BODY_END = Buffer.from(']}');

/** Bytes of a request, and where in them something is written each time; -1 = nowhere. */
interface Piece { bytes: Buffer; sites: readonly number[]; address: number; length: number; transaction: number; age: number }

function pieceOf(text: string): Piece {
  const sites = [...text.matchAll(new RegExp(SITE, 'g'))].map(({ index }) => index);
  const [address, length, transaction, age] = [ADDRESS, LENGTH, TRANSACTION, String(AGE)].map((mark) => text.indexOf(mark));
  return { bytes: Buffer.from(text), sites, address: address!, length: length!, transaction: transaction!, age: age! };
}

/** Copies a piece, with the number of the site in it; tells where it ends. */
function put({ bytes, sites }: Piece, into: Buffer, at: number, site: number): number {
  bytes.copy(into, at);
  for (const offset of sites) putNumber(into, at + offset, SITE_DIGITS, site, ZERO);
  return at + bytes.length;
}

/** Writes a number, and `before` it as often as its digits leave room. */
function putNumber(into: Buffer, at: number, width: number, number: number, before: number): void {
  for (let i = at + width - 1, left = number; i >= at; i--) {
    into[i] = left > 0 || i === at + width - 1 ? ZERO + (left % 10) : before;
    left = Math.floor(left / 10);
  }
}

/** Sends on behalf of visitors who are there: each comes, sends some requests, and goes, and another comes. */
export class Traffic {
  readonly #random: Random;
  readonly #site: (random: Random) => number;
  readonly #events: number;
  /** How probable it is that a visitor sends one more request. */
  readonly #goesOn: number;
  readonly #beacon = pieceOf('POST /e HTTP/1.1\r\n');
  readonly #beaconHead = pieceOf(`Content-Type: text/plain;charset=UTF-8\r\nContent-Length: ${LENGTH}\r\n\r\n`);
  readonly #bodyStart = pieceOf(`{"site":"${SHOP}","events":[`);
  readonly #headEnd = pieceOf('\r\n');
  readonly #browsers: Piece[];
  readonly #landings: Piece[];
  readonly #later: Piece[];
  readonly #pixels: Piece[];
  // Of each who is there: by what number the address is made, the site, the browser (the last one is a bot), and whether
  // the visit has begun. Plain numbers, since there are hundreds of thousands.
  readonly #numbers: Uint32Array;
  readonly #sites: Uint32Array;
  readonly #agents: Uint16Array;
  readonly #began: Uint8Array;
  #arrived = 0;
  #transactions = 0;

  constructor({ seed, sites, visitors, events, name }: TrafficOptions) {
    const random = randomFrom(seed);
    this.#random = random;
    this.#site = zipf(sites);
    this.#events = events;
    this.#goesOn = 1 - 1 / Math.max(VISIT_EVENTS / events, LEAST_BEACONS);
    const [products, collections] = [zipf(PRODUCTS), zipf(COLLECTIONS)];
    const event = (its: Pick<EventOptions, 'name' | 'from'>) => shopEvent(random, {
      ...its, site: SHOP, product: `${SITE}-trail-running-shoe-${products(random)}`, collection: collections(random), transaction: `${name}-${TRANSACTION}`,
    });
    const landing = () => event({ name: 'page_view', from: pick(random, ['nowhere', 'nowhere', 'link', 'campaign'] as const) });
    const piece = (made: Record<string, unknown>) => pieceOf(JSON.stringify({ ...made, age: AGE }));
    this.#landings = Array.from({ length: LANDINGS }, () => piece(landing()));
    this.#later = Array.from({ length: LATER }, () => piece(event({ name: eventName(random), from: 'shop' })));
    this.#pixels = Array.from({ length: PIXELS }, () => {
      const { url, referrer = '' } = landing() as { url: string; referrer?: string };
      return pieceOf(`GET /p.gif?${new URLSearchParams({ site: SHOP, url, referrer, 'p.template': 'product-detail' }).toString()} HTTP/1.1\r\n`);
    });
    this.#browsers = [...USER_AGENTS.flatMap((agent) => LANGUAGES.map((language) => [agent, language] as const)), [BOT, 'en'] as const].map(([agent, language]) => pieceOf(
      `Host: 127.0.0.1\r\nUser-Agent: ${agent}\r\nAccept: */*\r\nAccept-Language: ${language}\r\nAccept-Encoding: gzip, deflate, br\r\n` +
      `Origin: https://${SHOP}.example\r\nReferer: https://${SHOP}.example/\r\nX-Forwarded-For: ${ADDRESS}\r\n`,
    ));
    this.#numbers = new Uint32Array(visitors);
    this.#sites = new Uint32Array(visitors);
    this.#agents = new Uint16Array(visitors);
    this.#began = new Uint8Array(visitors);
    for (let i = 0; i < visitors; i++) {
      this.#arrive(i);
      // As if they had been coming for long: of most, the visit has begun before.
      if (random() < this.#goesOn) this.#began[i] = 1;
    }
  }

  /** A site, as often as visitors come to it. */
  site(): number {
    return this.#site(this.#random);
  }

  /** Writes a beacon's request to the beginning of `into`; tells its length. */
  beacon(into: Buffer): number {
    const who = this.#next();
    const site = this.#sites[who]!;
    const head = this.#putHead(this.#beacon, who, into);
    const body = put(this.#beaconHead, into, head, site);
    let at = put(this.#bodyStart, into, body, site);
    for (let left = this.#events - 1; left >= 0; left--) {
      at = this.#putEvent(pick(this.#random, this.#began[who] === 0 ? this.#landings : this.#later), into, at, site, left);
      this.#began[who] = 1;
      if (left > 0) into[at++] = COMMA;
    }
    at += BODY_END.copy(into, at);
    putNumber(into, head + this.#beaconHead.length, LENGTH.length, at - body, SPACE);
    this.#goOn(who);
    return at;
  }

  /** Writes a pixel's request to the beginning of `into`; tells its length. */
  pixel(into: Buffer): number {
    const who = this.#next();
    const at = put(this.#headEnd, into, this.#putHead(pick(this.#random, this.#pixels), who, into), 0);
    this.#goOn(who);
    return at;
  }

  /** @param left events of the beacon that come after it: the pauses between them make it older */
  #putEvent(event: Piece, into: Buffer, at: number, site: number, left: number): number {
    const end = put(event, into, at, site);
    const chance = this.#random();
    const pause = chance < 0.9 ? 1_500 * this.#random() : chance < 0.99 ? 20_000 * this.#random() : 600_000 * this.#random();
    putNumber(into, at + event.age, AGE_DIGITS, Math.floor(pause) + left * 2_000, SPACE);
    if (event.transaction !== -1) putNumber(into, at + event.transaction, TRANSACTION.length, this.#transactions++, ZERO);
    return end;
  }

  #putHead(line: Piece, who: number, into: Buffer): number {
    const site = this.#sites[who]!;
    const start = put(line, into, 0, site);
    const browser = this.#browsers[this.#agents[who]!]!;
    const end = put(browser, into, start, site);
    putAddress(into, start + browser.address, this.#numbers[who]!);
    return end;
  }

  /** Who sends next: anybody who is there, so that the pauses of each are as long as chance has it. */
  #next(): number {
    return Math.floor(this.#random() * this.#numbers.length);
  }

  #goOn(who: number): void {
    this.#began[who] = 1;
    if (this.#random() >= this.#goesOn) this.#arrive(who);
  }

  #arrive(who: number): void {
    this.#numbers[who] = this.#arrived++;
    this.#sites[who] = this.site();
    this.#agents[who] = this.#random() < BOT_SHARE ? this.#browsers.length - 1 : Math.floor(this.#random() * (this.#browsers.length - 1));
    this.#began[who] = 0;
  }
}

/** Writes an address from anywhere, another for each number (below 2^30 or so), and spaces after it. */
function putAddress(into: Buffer, at: number, number: number): void {
  const mixed = Math.imul(number, 2_654_435_761) >>> 0;
  let end = at;
  for (const [i, part] of [11 + ((mixed >>> 24) % 116), (mixed >>> 16) & 255, (mixed >>> 8) & 255, mixed & 255].entries()) {
    if (i > 0) into[end++] = DOT;
    const width = part > 99 ? 3 : part > 9 ? 2 : 1;
    putNumber(into, end, width, part, ZERO);
    end += width;
  }
  into.fill(SPACE, end, at + ADDRESS.length);
}
