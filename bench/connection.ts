// A keep-alive connection of HTTP/1.1 that knows of an answer only its status and where it ends: Node's own clients, and
// those built on them, take several times the processor time, which the measured server then lacks.
// before: bench/load.ts; next: the server
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** The most a request may have: head, and a body as large as the beacon's door accepts. */
const REQUEST_BYTES = 80 * 1024;
const READ_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);
const HEAD_END = Buffer.from('\r\n\r\n');
const LENGTH = /\r\ncontent-length: *(\d+)/i;
/** Statuses whose answers have no body. */
const BODILESS = [204, 304];

/** Is told what becomes of the requests of a connection. */
export interface Outcomes {
  answered: (connection: Connection, status: number) => void;
  /** The connection is closed. `waiting`: a request had no answer yet. `reason`: what the system said, such as ECONNRESET. */
  closed: (connection: Connection, waiting: boolean, reason: string) => void;
}

/** Takes one request at a time: no pipelining. */
export class Connection {
  /** Holds the bytes of the request; may be written to whenever none waits for its answer. */
  readonly request = Buffer.alloc(REQUEST_BYTES);
  /** When the request that waits was due (`performance.now()`); kept for whoever sends it. */
  dueAt = 0;
  readonly #read = Buffer.alloc(READ_BYTES);
  readonly #socket: Socket;
  readonly #outcomes: Outcomes;

  /** An answer's head as far as it has come, and the bytes its body still lacks. */
  #head = NOTHING;
  #bodyLeft = 0;
  #status = 0;
  #waiting = false;
  #reason = 'closed by the server';
  #over = false;

  private constructor(port: number, outcomes: Outcomes) {
    this.#outcomes = outcomes;
    // One buffer for all that is ever read: a stream of chunks costs as much as all the rest of a request.
    const onread = { buffer: this.#read, callback: (bytes: number) => this.#take(bytes) };
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true, onread });
    this.#socket.on('error', (error: NodeJS.ErrnoException) => { this.#reason = error.code ?? error.message; });
  }

  /** A connection to a port of this machine. Rejects where nothing listens. */
  static async open(port: number, outcomes: Outcomes): Promise<Connection> {
    const connection = new Connection(port, outcomes);
    await once(connection.#socket, 'connect');
    connection.#socket.once('close', () => { if (!connection.#over) outcomes.closed(connection, connection.#waiting, connection.#reason); });
    return connection;
  }

  /** Sends the first `length` bytes of `request`. */
  send(length: number): void {
    this.#waiting = true;
    this.#socket.write(this.request.subarray(0, length));
  }

  /** Closes the connection, whatever it waits for; nobody is told. */
  close(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  /** Takes in what was read; says that there may be more. */
  #take(bytes: number): true {
    const read = this.#read.subarray(0, bytes);
    if (this.#bodyLeft > 0) this.#bodyLeft -= bytes;
    else this.#takeHead(this.#head.length === 0 ? read : Buffer.concat([this.#head, read]));
    if (this.#status !== 0 && this.#bodyLeft <= 0) {
      const status = this.#status;
      this.#status = 0;
      this.#waiting = false;
      this.#outcomes.answered(this, status);
    }
    return true;
  }

  #takeHead(read: Buffer): void {
    const end = read.indexOf(HEAD_END);
    if (end === -1) {
      this.#head = Buffer.from(read);
      return;
    }
    this.#head = NOTHING;
    const status = Number(read.toString('latin1', 9, 12));
    const length = BODILESS.includes(status) ? 0 : Number(LENGTH.exec(read.toString('latin1', 0, end))?.[1]);
    if (!(status >= 200 && length >= 0)) {
      this.#socket.destroy(new Error(`an answer that begins with ${JSON.stringify(read.toString('latin1', 0, Math.min(end, 60)))}: accepts a final status and a Content-Length`));
      return;
    }
    this.#status = status;
    this.#bodyLeft = length - (read.length - end - HEAD_END.length);
  }
}
