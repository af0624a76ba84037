// What a frozen function finds when it thaws: a kept-alive socket that its vendor has closed meanwhile.
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createHttp, type HttpReply, systemClock, TransportError } from "../../src/index.ts";
import { createWorld, delivered, idsOf, scriptedSink } from "../support/world.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** A vendor that keeps what it is sent, by id. */
async function vendor() {
  const stored: string[] = [];
  const sockets: Socket[] = [];
  const server = http.createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    stored.push(...JSON.parse(body));
    response.end("ok");
  });
  server.on("connection", (socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  // A server that listens on TCP has an AddressInfo.
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, stored, sockets };
}

test.each([
  ["closed", (socket: Socket) => socket.destroy()],
  ["reset", (socket: Socket) => socket.resetAndDestroy()],
])(
  "a socket that was %s while nobody looked fails one request, which is sent again with the same ids",
  async (_, end) => {
    const { url, stored, sockets } = await vendor();
    const client = createHttp();
    closing.push(client.close);
    const outcomes: (HttpReply | TransportError)[] = [];
    const world = createWorld();
    world.putEvents("before", 3);
    world.putEvents("after", 5, (index) => ({ metadata: { tenant_id: "t", event_id: `after-${index}` } }));
    const sink = scriptedSink("vendor");
    let isFrozen = false;
    sink.reply = async ({ items }, { http: send, signal }) => {
      const body = JSON.stringify(items.map(({ payload }) => payload.id));
      // Between this and the request the process's own end of the socket hears of nothing, as in a freeze.
      if (isFrozen) for (const socket of sockets) end(socket);
      isFrozen = false;
      try {
        const reply = await send({ method: "POST", url, headers: {}, body }, signal);
        outcomes.push(reply);
        return delivered;
      } catch (error) {
        if (error instanceof TransportError) outcomes.push(error);
        throw error;
      }
    };
    const worker = world.worker([sink], {
      http: client.send,
      clock: systemClock,
      retry: { firstMs: 1 },
    });
    closing.push(() => worker.close());
    await worker.process({ bucket: "source", key: "before" });
    isFrozen = true;
    const report = await worker.process({ bucket: "source", key: "after" });

    expect(outcomes).toMatchObject([{ status: 200 }, { code: "TRANSPORT" }, { status: 200 }]);
    expect(sockets).toHaveLength(2);
    const ids = idsOf(5).map((id) => id.replace("e", "after-"));
    expect(sink.requests).toEqual([idsOf(3), ids, ids]);
    expect(stored).toEqual([...idsOf(3), ...ids]);
    expect(report.sinks["vendor"]).toMatchObject({ delivered: 5, pending: 0, requests: 2, retries: 1 });
  },
);
