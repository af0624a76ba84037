import fc from "fast-check";
import { expect, test } from "vitest";
import { bodyOf } from "../../src/delivery/body.ts";

const value = fc.oneof(
  fc.jsonValue(),
  fc.record({ text: fc.string({ unit: fc.constantFrom("a", '"', "é", "日", "😀", "\ud800") }) }),
);

const itemOf = (payload: string) => ({ payload, bytes: Buffer.byteLength(payload) + 1 });

test("the body is what stands before, the items' JSON between commas, and what stands after, in UTF-8", () => {
  fc.assert(
    fc.property(fc.array(value), fc.string(), (values, end) => {
      const texts = values.map((each) => JSON.stringify(each));
      const before = '{"é":[';
      const after = `]}${end.toWellFormed()}`;
      expect(bodyOf(before, texts.map(itemOf), after).toString()).toBe(`${before}${texts.join()}${after}`);
    }),
  );
});

test("items that counted their bytes wrong are sent whole all the same, and so are those beside them", () => {
  const payload = '"日本"';
  const right = Buffer.byteLength(payload) + 1;
  const counts = fc.oneof(fc.constant(right), fc.integer({ min: 0, max: 900 }));
  fc.assert(
    fc.property(fc.array(counts, { minLength: 1, maxLength: 5 }), (bytes) => {
      const items = bytes.map((each) => ({ payload, bytes: each }));
      expect(bodyOf("[", items, "é]").toString()).toBe(`[${items.map(() => payload).join()}é]`);
    }),
    { examples: [[[1, 900]], [[right - 1, right + 1]], [[right, right + 1]], [[right - 1]]] },
  );
});

test("a text that was counted too short is not cut, also where the room for it ends inside of a character", () => {
  for (const payload of ['"日本"', '{"a":"中😀中中"}', '"é😀"']) {
    for (let bytes = 0; bytes <= Buffer.byteLength(payload) + 2; bytes++) {
      expect(bodyOf("", [{ payload, bytes }], "]").toString()).toBe(`${payload}]`);
    }
  }
});
