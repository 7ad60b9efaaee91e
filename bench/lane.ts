// A stream of requests of one kind over connections of its own: as they are due, or as fast as they are answered.
// before: bench/load.ts; next: bench/connection.ts
import { Connection } from './connection.ts';
import { Histogram } from './histogram.ts';

export interface LaneOptions {
  /** What the requests are, for those who read the result. */
  name: string;
  /** Requests that are due a second, whether or not those before were answered; absent: the next as soon as one is answered. */
  perSecond?: number;
  connections: number;
}

export interface LaneResult {
  name: string;
  /** Requests that were due, and sent; of these, those answered with 2xx, with another status, and not at all. */
  due: number;
  sent: number;
  good: number;
  bad: number;
  lost: number;
  /** Statuses other than 2xx, and what was said of connections that broke; each with how often. */
  reasons: Record<string, number>;
  /** Requests of that time that were answered with 2xx, in the end, a second of it. */
  perSecond: number;
  /** From when it was due (where nothing was, sent) to its answer, ms; of the answers with 2xx. */
  p50: number;
  p99: number;
  max: number;
  /** All that was sent, bytes. */
  bytes: number;
}

/** Connections that are opened anew in the course of a run: more is no server that works. */
const MOST_REOPENED = 1000;

/** Sends from `begin` on, when `pump` is called or something is answered, until its time is over or `end` is called. */
export class Lane {
  readonly #options: LaneOptions;
  readonly #port: number;
  readonly #write: (into: Buffer) => number;
  readonly #times = new Histogram();
  readonly #reasons = new Map<string, number>();
  readonly #free: Connection[] = [];
  readonly #open = new Set<Connection>();
  #opening = 0;
  #reopened = 0;
  #began = Infinity;
  #until = Infinity;
  #ended = false;
  #waiting = 0;
  #sent = 0;
  #bad = 0;
  #lost = 0;
  #bytes = 0;

  /** @param write writes the next request to the beginning of a buffer, and tells its length */
  constructor(port: number, options: LaneOptions, write: (into: Buffer) => number) {
    this.#port = port;
    this.#options = options;
    this.#write = write;
  }

  /** Opens the connections. Rejects where nothing listens. */
  async open(): Promise<void> {
    await Promise.all(Array.from({ length: this.#options.connections }, () => this.#connect()));
  }

  /** @param until when its time is over; both as `performance.now()` tells them */
  begin(now: number, until = Infinity): void {
    this.#began = now;
    this.#until = until;
    this.pump(now);
  }

  /** No request is sent from now on. */
  end(): void {
    this.#ended = true;
  }

  /** Whether nothing more will come of it: all is sent and answered, or the server is gone. */
  get isOver(): boolean {
    return this.#open.size + this.#opening === 0 || (this.#ended && this.#waiting === 0);
  }

  /** Sends what is due. */
  pump(now: number): void {
    const { perSecond } = this.#options;
    while (!this.#ended && this.#free.length > 0) {
      const dueAt = perSecond === undefined ? now : this.#began + (this.#sent * 1000) / perSecond;
      if (!(dueAt <= now && dueAt < this.#until)) return;
      // In turns, so that none is idle until the server closes it.
      const connection = this.#free.shift()!;
      connection.dueAt = dueAt;
      const length = this.#write(connection.request);
      this.#sent++;
      this.#waiting++;
      this.#bytes += length;
      connection.send(length);
    }
  }

  close(): void {
    this.#ended = true;
    for (const connection of this.#open) connection.close();
  }

  /** @param seconds how long it went on */
  result(seconds: number): LaneResult {
    const { name, perSecond } = this.#options;
    const { count: good, max } = this.#times;
    const [due, sent, lost] = [perSecond === undefined ? this.#sent : Math.ceil(perSecond * seconds), this.#sent, this.#lost + this.#waiting];
    return {
      name, due, sent, good, bad: this.#bad, lost, reasons: Object.fromEntries(this.#reasons), bytes: this.#bytes,
      perSecond: good / seconds, p50: this.#times.percentile(0.5), p99: this.#times.percentile(0.99), max,
    };
  }

  async #connect(): Promise<void> {
    this.#opening++;
    try {
      const connection = await Connection.open(this.#port, { answered: (one, status) => { this.#answered(one, status); }, closed: (one, waiting, reason) => { this.#closed(one, waiting, reason); } });
      this.#open.add(connection);
      this.#free.push(connection);
    } finally {
      this.#opening--;
    }
  }

  #answered(connection: Connection, status: number): void {
    const now = performance.now();
    this.#waiting--;
    if (status < 300) this.#times.add(now - connection.dueAt);
    else {
      this.#bad++;
      this.#note(String(status));
    }
    this.#free.push(connection);
    this.pump(now);
  }

  #closed(connection: Connection, waiting: boolean, reason: string): void {
    this.#open.delete(connection);
    if (waiting) {
      this.#waiting--;
      this.#lost++;
      this.#note(reason);
    } else this.#free.splice(this.#free.indexOf(connection), 1);
    if (this.#ended || this.#reopened++ >= MOST_REOPENED) return;
    this.#connect().then(() => { this.pump(performance.now()); }, (error: NodeJS.ErrnoException) => { this.#note(error.code ?? error.message); });
  }

  #note(reason: string): void {
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
  }
}
