// What a request says, whichever coding its body is in.
import { gunzipSync } from "node:zlib";
import type { HttpRequest } from "../../src/index.ts";

/** Of a request as an adapter makes it. */
export function bodyText({ headers, body = "" }: Pick<HttpRequest, "headers" | "body">): string {
  return decode(Buffer.from(body), headers["content-encoding"]);
}

/** Of a request as a twin gets it, which can still be read afterwards. */
export async function requestText(request: Request): Promise<string> {
  const bytes = Buffer.from(await request.clone().arrayBuffer());
  return decode(bytes, request.headers.get("content-encoding"));
}

function decode(bytes: Buffer, coding: string | null | undefined): string {
  return (coding === "gzip" ? gunzipSync(bytes) : bytes).toString();
}
