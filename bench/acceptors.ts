// The four vendors, reduced to taking everything: a benchmark's figures are the worker's, not a twin's.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { gunzipSync } from "node:zlib";

/** `hanging` answers nothing at all, `rejecting` is a Mixpanel that refuses every event. */
const vendors = ["timestream", "segment", "mixpanel", "hubspot", "hanging", "rejecting"] as const;

export type VendorUrls = Readonly<Record<(typeof vendors)[number], string>>;

type Answer = (
  request: IncomingMessage,
  body: Buffer,
) => { readonly status: number; readonly body: string } | undefined;

const answers: Record<(typeof vendors)[number], Answer> = {
  timestream(request, body) {
    const isWrite = request.headers["x-amz-target"]?.toString().endsWith("WriteRecords") === true;
    // Each record has one.
    const total = isWrite ? count(body, '"Time":') : 0;
    return { status: 200, body: JSON.stringify({ RecordsIngested: { Total: total } }) };
  },
  segment: () => ({ status: 200, body: '{"success":true}' }),
  mixpanel(request, body) {
    // The vendor's SDK sends a form, and wants to read nothing but this.
    if (request.headers["content-type"]?.includes("form") === true) return { status: 200, body: "1" };
    const imported = count(body, '"$insert_id":');
    return { status: 200, body: JSON.stringify({ code: 200, num_records_imported: imported, status: "OK" }) };
  },
  hubspot: () => ({ status: 204, body: "" }),
  hanging: () => undefined,
  rejecting(_request, body) {
    const failed = Array.from({ length: count(body, '"$insert_id":') }, (_, index) => ({
      index,
      field: "properties.time",
      message: "'properties.time' is invalid: must be specified as seconds since epoch",
    }));
    const reply = { code: 400, num_records_imported: 0, status: "Bad Request", failed_records: failed };
    return { status: 400, body: JSON.stringify(reply) };
  },
};

function count(body: Buffer, text: string): number {
  let found = 0;
  for (let at = body.indexOf(text); at !== -1; at = body.indexOf(text, at + text.length)) found++;
  return found;
}

function serve(answer: Answer): Promise<string> {
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const sent = Buffer.concat(chunks);
      const reply = answer(request, request.headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent);
      if (reply === undefined) return;
      response.writeHead(reply.status, { "content-type": "application/json" }).end(reply.body);
    });
  });
  // Contenders take turns, and a socket that was closed meanwhile would be measured with who comes upon it first.
  server.keepAliveTimeout = 10 * 60_000;
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(`http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`);
    });
  });
}

// A process of its own: it tells its parent where it listens, and ends with it.
const urls = await Promise.all(vendors.map(async (name) => [name, await serve(answers[name])] as const));
process.send?.(Object.fromEntries(urls));
process.on("disconnect", () => process.exit());
