import { expect, test } from "vitest";
import { valuesOf } from "../../src/cli/payload.ts";

const values = { id: "e1", list: [1, { a: null }], text: '{"nested":1}' };
const text = JSON.stringify(values);

test.each<[string, unknown, unknown]>([
  ["JSON alone", text, values],
  ["a line of JSON", `${text}\n`, values],
  ["a list as JSON", `[${text}]`, [values]],
  ["JSON beside texts alone", { id: "e1", text }, { id: "e1", text: values }],
  ["an object of the same JSON", { toJSON: () => values }, values],
  [
    "what JSON leaves out or writes in its own way",
    { at: new Date(0), no: undefined },
    { at: "1970-01-01T00:00:00.000Z" },
  ],
])("a payload that is %s is shown as what it says", (_, payload, said) => {
  expect(valuesOf(payload)).toEqual(said);
});

test.each<[string, unknown]>([
  ["a field's text, which is sent as a text", { n: 1, text }],
  ["a nested one", { deep: { text } }],
  ["one in a list", [text]],
  ["a text that only begins like JSON", "{half"],
  ["a part that only begins like JSON", { id: "1", text: "[half" }],
  ["the text of a number, which an id may be", "17"],
  ["a text of such parts", { id: "17", text: "true" }],
  ["nothing", null],
])("%s stays as it is", (_, payload) => {
  expect(valuesOf(payload)).toEqual(payload);
});
