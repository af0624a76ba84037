import { expect, test } from "vitest";
import { ConfigError, parseTenants, staticDirectory } from "../../src/index.ts";

const find = (text: string, id: string) =>
  staticDirectory(parseTenants(text, "tenants.json")).find(id, new AbortController().signal);

test("a tenant is found by its id, and only by its own", async () => {
  const text = '{"acme":{"name":"Acme","environment":"production"},"bare":{},"blank":{"name":" "}}';
  expect(await find(text, "acme")).toEqual({ name: "Acme", environment: "production" });
  expect(await find(text, "bare")).toEqual({});
  expect(await find(text, "blank")).toEqual({});
  for (const id of ["Acme", "constructor", "__proto__", ""]) expect(await find(text, id)).toBeUndefined();
});

test.each([
  ["{", "tenants.json: it is no JSON"],
  ["[]", "tenants.json: it must be an object of tenants by their ids"],
  [
    '{"acme":{"name":"s3cret","environment":5}}',
    "tenants.json: a tenant must be an object with name and environment, both text: acme",
  ],
])("%s is told in one sentence, without a value", (text, sentence) => {
  expect(() => parseTenants(text, "tenants.json")).toThrow(new ConfigError([sentence]));
});
