// The four vendors, reduced to taking everything: a benchmark's figures are the worker's, not a twin's.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

type Answer = (request: IncomingMessage, body: Buffer) => { status: number; body: string };

const answers: Record<string, Answer> = {
  timestream(request, body) {
    const isWrite = request.headers["x-amz-target"]?.toString().endsWith("WriteRecords") === true;
    // Each record has one.
    const total = isWrite ? count(body, '"Time":') : 0;
    return { status: 200, body: JSON.stringify({ RecordsIngested: { Total: total } }) };
  },
  segment: () => ({ status: 200, body: '{"success":true}' }),
  mixpanel: (_request, body) => ({
    status: 200,
    body: JSON.stringify({ code: 200, num_records_imported: count(body, '"$insert_id":'), status: "OK" }),
  }),
  hubspot: () => ({ status: 204, body: "" }),
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
      const { status, body } = answer(request, Buffer.concat(chunks));
      response.writeHead(status, { "content-type": "application/x-amz-json-1.0" }).end(body);
    });
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(`http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`);
    });
  });
}

// A process of its own: it tells its parent where it listens, and ends with it.
const urls = await Promise.all(
  Object.entries(answers).map(async ([name, answer]) => [name, await serve(answer)] as const),
);
process.send?.(Object.fromEntries(urls));
process.on("disconnect", () => process.exit());
