// Generators that are hostile to a reader of records.
import fc from "fast-check";

/** Strings that hold what stands between records, and characters of every width. */
const hostileString = fc
  .array(
    fc.constantFrom(
      "}{",
      '}{"',
      '"',
      "\\",
      "\n",
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      "é",
      "日本",
      "😀",
      "\ufffd",
      "\ufeff",
      "\u2028",
      " ",
      "a",
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.join(""));

const leaf = fc.oneof(
  hostileString,
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.boolean(),
  fc.constant(null),
);

const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    leaf,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(hostileString, tie("value"), { maxKeys: 3 }),
  ),
}));

/** An object, as records are. */
export const hostileJson: fc.Arbitrary<Record<string, unknown>> = fc.dictionary(hostileString, value, {
  maxKeys: 4,
});

/** What is nearly JSON, nearly framed: every token that a reader decides by. */
export const jsonPieces: fc.Arbitrary<string> = fc
  .array(
    fc.constantFrom(
      '{"a":1}',
      '{"a":',
      '{"',
      "{",
      "}",
      "[",
      "]",
      '"',
      ":",
      ",",
      "\\",
      "\n",
      "\r\n",
      "\r",
      " ",
      "1",
      "-",
      "true",
      "x",
      "é",
      '"b"',
      '}{"',
      "{}",
      "\ufeff",
      '{"a":"}{"}',
      '{ "a": { "b": [\n  {\n"c" : 1}, {"d":2} ] } }',
      '"a": ',
      "} {",
      ",\n {",
      '{\n"a"',
      "{ ",
      "\t",
      "\0",
    ),
    { maxLength: 24 },
  )
  .map((parts) => parts.join(""));
