import { once } from "node:events";
import { type AddressInfo, createServer, type NetConnectOpts, type Server, Socket } from "node:net";
import type { Random } from "./random.ts";

/** One direction of a proxied connection. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  #held = 0;
  #delayMs = 0;
  /** What is delayed, in its order: one timer for all, since timers of their own could overtake each other. */
  readonly #delayed: { readonly dueMs: number; readonly work: () => void }[] = [];
  #bytesLeft = Number.POSITIVE_INFINITY;

  constructor(from: Socket, to: Socket) {
    this.#from = from;
    this.#to = to;
    from.on("data", (chunk) => this.#pass(chunk));
    from.on("end", () => this.#later(() => to.end()));
    from.on("error", () => to.destroy());
    from.on("close", () => {
      if (from.errored || !from.readableEnded) to.destroy();
    });
    to.on("drain", () => this.#flow());
  }

  /** Passes nothing until as many calls of `release` came. */
  hold(): void {
    this.#held++;
    this.#from.pause();
  }

  release(): void {
    this.#held--;
    this.#flow();
  }

  /** Everything from here on comes later by so many ms, in its order. */
  set delayMs(ms: number) {
    this.#delayMs = ms;
  }

  /** Breaks the connection, with both ends, when so many more bytes have passed. */
  cutAfter(bytes: number): void {
    this.#bytesLeft = bytes;
    if (bytes === 0) this.cut();
  }

  cut(): void {
    this.#from.destroy();
    this.#to.destroy();
  }

  /** Says that nothing more comes, in this direction only. */
  halfClose(): void {
    this.#from.removeAllListeners("data").resume();
    this.#to.end();
  }

  #pass(chunk: Buffer): void {
    const part = chunk.subarray(0, this.#bytesLeft);
    this.#bytesLeft -= part.length;
    const isLast = this.#bytesLeft === 0;
    this.#later(() => {
      if (!this.#to.writable) return;
      const hasRoom = this.#to.write(part, () => isLast && this.cut());
      if (!hasRoom) this.#from.pause();
    });
  }

  #flow(): void {
    if (this.#held === 0 && !this.#to.writableNeedDrain) this.#from.resume();
  }

  /** At once, unless something is delayed: then behind it. */
  #later(work: () => void): void {
    if (this.#delayMs === 0 && this.#delayed.length === 0) {
      work();
      return;
    }
    this.#delayed.push({ dueMs: performance.now() + this.#delayMs, work });
    if (this.#delayed.length === 1) this.#workOff();
  }

  #workOff(): void {
    const next = this.#delayed[0];
    if (!next) return;
    const waitMs = next.dueMs - performance.now();
    if (waitMs > 0) {
      setTimeout(() => this.#workOff(), waitMs);
      return;
    }
    next.work();
    this.#delayed.shift();
    this.#workOff();
  }
}

/** Both directions of a proxied connection. */
interface Link {
  readonly up: Pipe;
  readonly down: Pipe;
}

/** A TCP proxy on loopback that can do to connections what networks do. */
export class TcpProxy {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  /** Where it leads; undefined: nobody is there, and connections are refused. */
  target: NetConnectOpts | undefined;
  #port = 0;

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
  }

  /** Listens on a free port. */
  static async start(): Promise<TcpProxy> {
    const proxy = new TcpProxy();
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    proxy.#port = (proxy.#server.address() as AddressInfo).port;
    return proxy;
  }

  /** Where it listens; also where it did, when it is closed. */
  get port(): number {
    return this.#port;
  }

  /** Connections that are open. */
  get size(): number {
    return this.#links.size;
  }

  /** A share of the connections, at least one if there are any. */
  some(share: number, random: Random): Link[] {
    const links = [...this.#links];
    const count = Math.min(links.length, Math.max(1, Math.round(share * links.length)));
    return links
      .map((link) => ({ link, order: random.next() }))
      .toSorted((a, b) => a.order - b.order)
      .slice(0, count)
      .map(({ link }) => link);
  }

  close(): void {
    this.#server.close();
    for (const { up } of this.#links) up.cut();
  }

  #accept(client: Socket): void {
    if (!this.target) {
      client.resetAndDestroy();
      return;
    }
    const service = new Socket({ allowHalfOpen: true });
    const link = { up: new Pipe(client, service), down: new Pipe(service, client) };
    this.#links.add(link);
    client.on("close", () => this.#links.delete(link));
    service.connect(this.target);
    service.setNoDelay();
  }
}
