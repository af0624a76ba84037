// What nobody can leave out who keeps each record's bytes: inflates the object in windows, and parses it line by line.
import { readFile } from "node:fs/promises";
import { decompress } from "../../src/intake/decompress.ts";
import type { Contender, Order } from "../contender.ts";
import { heldObject } from "../held-object.ts";

const lineFeed = 0x0a;

export default async function lines({ file }: Order): Promise<Contender> {
  const stored = await readFile(file);
  const store = heldObject("object", stored);
  const { signal } = new AbortController();
  const object = { store, key: "object", version: "1", size: stored.length, signal };
  return {
    async round() {
      let records = 0;
      let rest: Buffer = Buffer.alloc(0);
      for await (const window of decompress(object)) {
        if (!Buffer.isBuffer(window)) throw new Error("the bench's object is damaged");
        const bytes = rest.length === 0 ? window : Buffer.concat([rest, window]);
        let start = 0;
        for (let end = bytes.indexOf(lineFeed); end !== -1; end = bytes.indexOf(lineFeed, start)) {
          JSON.parse(bytes.toString("utf8", start, end));
          records++;
          start = end + 1;
        }
        rest = bytes.subarray(start);
      }
      return { records };
    },
  };
}
