import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { stableUuid } from "../../src/index.ts";

test("the first id of a process is one, also that of nothing", async () => {
  vi.resetModules();
  const { stableUuid: fresh } = await import("../../src/delivery/ids.ts");
  expect(fresh()).toBe("e3b0c442-98fc-8c14-9afb-f4c8996fb924");
});

const parts = fc.array(fc.string({ unit: "binary" }), { maxLength: 4 });

test("an id is a UUID of RFC 9562: version 8, variant 10, lower case", () => {
  fc.assert(
    fc.property(parts, (any) => {
      expect(stableUuid(...any)).toMatch(
        /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      );
    }),
  );
});

/** The first 32 digits of `printf '3:foo3:bar' | sha256sum` and so on, with the version's and the variant's bits set. */
test.each([
  [["foo", "bar"], "4e415c93-c59c-8760-8c64-faa587c5263c"],
  [[], "e3b0c442-98fc-8c14-9afb-f4c8996fb924"],
  [["tenant-7", "findings_upload_completed", "e1"], "2cd2a811-0287-886b-acdd-d4a205f82f56"],
  [["ü€😀"], "acef2417-1af8-8868-aa66-8575fade8eb9"],
])("the id of %j is the same for ever and in every process", (given, id) => {
  expect(stableUuid(...given)).toBe(id);
});

test("other parts make another id, also when they are the same text cut elsewhere", () => {
  fc.assert(
    fc.property(parts, parts, (one, other) => {
      fc.pre(JSON.stringify(one) !== JSON.stringify(other));
      expect(stableUuid(...one)).not.toBe(stableUuid(...other));
    }),
  );
  const cuts = [["a", "bc"], ["ab", "c"], ["abc"], ["abc", ""], ["", "abc"], ["1:a", "bc"], ["a2:bc"], []];
  expect(new Set(cuts.map((cut) => stableUuid(...cut))).size).toBe(cuts.length);
});

test("every bit that is not fixed depends on the parts", () => {
  const digits = Array.from({ length: 36 }, () => new Set<string>());
  for (let n = 0; n < 400; n++) {
    for (const [position, digit] of [...stableUuid(String(n))].entries()) digits[position]?.add(digit);
  }
  const sizes = digits.map((seen) => seen.size);
  const fixed = new Map([8, 13, 14, 18, 23].map((position) => [position, 1]));
  expect(sizes).toEqual(sizes.map((_, position) => fixed.get(position) ?? (position === 19 ? 4 : 16)));
});

test("parts that differ in half a character alone have different ids", () => {
  expect(stableUuid("a\ud800")).not.toBe(stableUuid("a\ud801"));
  expect(stableUuid("a\ud800")).not.toBe(stableUuid("a\ufffd"));
});
