// The bound: nobody can deliver what is not inflated and parsed. Inflates the object in windows of 64 KB, and parses
// arrays of 64 KB that somebody else has made of it.
import { readFile } from "node:fs/promises";
import { createGunzip, gunzipSync } from "node:zlib";
import type { Contender, Order } from "../contender.ts";

const windowBytes = 64 * 1024;

export default async function ideal({ file }: Order): Promise<Contender> {
  const stored = await readFile(file);
  const texts = gunzipSync(stored)
    .toString("utf8")
    .split(/\n|(?<=\})(?=\{"metric_name")/)
    .filter((text) => text !== "");
  const arrays: Buffer[] = [];
  for (let from = 0, to = 0, bytes = 0; to <= texts.length; to++) {
    const next = Buffer.byteLength(texts[to] ?? "") + 1;
    if (bytes + next > windowBytes || to === texts.length) {
      arrays.push(Buffer.from(`[${texts.slice(from, to).join(",")}]`));
      from = to;
      bytes = 0;
    }
    bytes += next;
  }
  return {
    async round() {
      await inflate(stored);
      let records = 0;
      for (const array of arrays) {
        const values: unknown = JSON.parse(array.toString("utf8"));
        if (Array.isArray(values)) records += values.length;
      }
      return { records };
    },
  };
}

function inflate(stored: Buffer): Promise<void> {
  const gunzip = createGunzip({ chunkSize: windowBytes });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  gunzip
    .on("data", () => {})
    .on("end", resolve)
    .on("error", reject);
  const write = (at: number) => {
    if (at >= stored.length) gunzip.end();
    else gunzip.write(stored.subarray(at, at + windowBytes), () => write(at + windowBytes));
  };
  write(0);
  return promise;
}
