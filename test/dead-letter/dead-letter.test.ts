import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fingerprint, type Stage } from "../../src/dead-letter/dead-letter.ts";

const print = (reason: string) => fingerprint("send", "acme", "REFUSED", reason);

/** A detail as records bring them: each kind of it may take the place of another of its kind. */
const details = {
  "a number": fc.oneof(
    fc.integer().map(String),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.nat().map((value) => value.toLocaleString("en")),
  ),
  "a count of bytes": fc
    .tuple(fc.nat(), fc.constantFrom(" byte", " bytes", " KB", " MiB", "kB", "GB"))
    .map((parts) => parts.join("")),
  "a UUID": fc.oneof(
    fc.uuid(),
    fc.uuid().map((uuid) => uuid.toUpperCase()),
  ),
  "a hexadecimal id": fc.stringMatching(/^(?:[0-9a-f]{8,64}|[0-9A-F]{8,64}|0x[0-9a-f]{1,16})$/),
  "a name in double quotes": fc.string({ unit: "grapheme" }).map((name) => `"${name.replaceAll('"', "?")}"`),
  "a name in single quotes": fc.string({ unit: "grapheme" }).map((name) => `'${name.replaceAll("'", "?")}'`),
  "a name in backticks": fc.string({ unit: "grapheme" }).map((name) => `\`${name.replaceAll("`", "?")}\``),
};

/** Where a detail may stand; apostrophes around it must not matter. */
const sentences: readonly ((detail: string) => string)[] = [
  (detail) => detail,
  (detail) => `the field ${detail} of data's own list isn't known`,
  (detail) => `Acme's answer: ${detail}, which its tenants' others don't have`,
  (detail) => `it isn't one (at=${detail}), nor '${detail}'`,
  (detail) => `bytes ${detail} to ${detail}`,
];

describe("a fingerprint", () => {
  test.each(Object.entries(details))("is the same whatever %s in the reason is", (_, detail) => {
    fc.assert(
      fc.property(fc.constantFrom(...sentences), detail, detail, (sentence, one, other) => {
        // A quoted sentence ends where its detail brings the same quote.
        fc.pre(!/['"`]/.test(`${one}${other}`) || !sentence("").includes("''"));
        expect(print(sentence(one))).toBe(print(sentence(other)));
      }),
    );
  });

  test("does not take an apostrophe for a quote: what stands between two of them counts", () => {
    expect(print("data's first field isn't text")).not.toBe(print("data's second field isn't text"));
    expect(print(`the tenants' name "a" is another's`)).not.toBe(print(`the tenants' id "a" is another's`));
    expect(print(`data's "x" is data's`)).toBe(print(`data's "it's y" is data's`));
    expect(print("'it's x' is none")).toBe(print("'y' is none"));
  });

  test("is another one where the words are others", () => {
    const reasons = [
      "the field is too long",
      "the field is too deep",
      "the fields are too long",
      "the field is facade",
      "the field is decade",
      "",
    ];
    expect(new Set(reasons.map(print)).size).toBe(reasons.length);
  });

  test("is never shared by another stage, sink or code, whatever the reason", () => {
    const cause = fc.record({
      stage: fc.constantFrom<Stage>("intake", "encode", "send"),
      // Few letters, and what could be taken for the end of a part.
      sink: fc.string({ unit: fc.constantFrom("a", "\n", '"', ",", "\\"), maxLength: 4 }),
      code: fc.string({ unit: fc.constantFrom("a", "\n", '"', ",", "\\"), maxLength: 4 }),
      reason: fc.string({ unit: fc.constantFrom("a", "1", "\n", '"', ","), maxLength: 4 }),
    });
    fc.assert(
      fc.property(cause, cause, (one, other) => {
        const [left, right] = [one, other].map(({ stage, sink, code }) =>
          JSON.stringify([stage, sink, code]),
        );
        fc.pre(left !== right);
        expect(fingerprint(one.stage, one.sink, one.code, one.reason)).not.toBe(
          fingerprint(other.stage, other.sink, other.code, other.reason),
        );
      }),
      { numRuns: 1000 },
    );
    expect(fingerprint("send", "a", "b\nc", "d")).not.toBe(fingerprint("send", "a", "b", "c\nd"));
  });

  test("is 12 hexadecimal digits, and stays the same from version to version", () => {
    expect(print('the field "a" has 300 bytes; Acme takes 256')).toBe("d6a196102ecd");
  });
});
