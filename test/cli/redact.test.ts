import { describe, expect, test } from "vitest";
import { redact } from "../../src/cli/redact.ts";
import type { JsonObject, Metric, MetricEvent } from "../../src/index.ts";

const event = (metadata: JsonObject, data: JsonObject): MetricEvent => ({
  id: "e1",
  metricName: "user_invited",
  tenantId: "acme",
  time: 0,
  metadata,
  data,
});

const personal = { visibleTo: ["crm"] };
const field = { type: "string", from: "$.x", description: "x" } as const;
const metric: Metric = {
  name: "user_invited",
  title: "User invited",
  description: "x",
  when: "x",
  owner: "x",
  source: { bus: "b", source: "s", detailType: "d" },
  sample: {},
  tenantId: "$.t",
  dimensions: { user_id: { ...field, personal }, role: field },
  data: { code: { ...field, personal }, names: { ...field, personal } },
  sinks: { crm: {} },
};

test("personal data of the catalog is taken out wherever a mapping has put it, and nothing else is", () => {
  const of = event({ user_id: "u-204", role: "admin" }, { code: 42, names: ["Ada", "Grace Hopper"] });
  const payload = {
    who: "u-204",
    text: "u-204 (admin) and Grace Hopper",
    parts: [{ code: "42" }, 42, "42nd", "Ada", "Adagio"],
    role: "admin",
    at: new Date(0),
    no: undefined,
  };
  expect(redact(payload, of, [metric])).toEqual({
    who: "‹personal›",
    text: "‹personal› (admin) and ‹personal›",
    parts: [{ code: "‹personal›" }, "‹personal›", "42nd", "‹personal›", "Adagio"],
    role: "admin",
    at: "1970-01-01T00:00:00.000Z",
  });
});

test("credentials by their names and e-mail addresses are taken out, whatever the catalog says", () => {
  const payload = {
    api_key: "k",
    Authorization: "Bearer x",
    sessionToken: "t",
    secrets_found: 7,
    note: "write to ada.lovelace+x@mail.example.org, now",
    key: "kept",
    deep: { password: { value: "p" } },
  };
  expect(redact(payload, event({}, {}), [])).toEqual({
    api_key: "‹secret›",
    Authorization: "‹secret›",
    sessionToken: "‹secret›",
    secrets_found: 7,
    note: "write to ‹e-mail›, now",
    key: "kept",
    deep: { password: { value: "‹secret›" } },
  });
});

test.each([
  ["Authorization: Bearer eyJhbGciOi.J9-_x", "Authorization: Bearer ‹secret›"],
  [
    "https://a.test/x?page=2&access_token=abc&n=1#top",
    "https://a.test/x?page=2&access_token=‹secret›&n=1#top",
  ],
  ["postgres://app:hunter2@db/x", "postgres://app:‹secret›@db/x"],
  [
    "a basic subscription, the bearer of news; https://a.test:8080/x",
    "a basic subscription, the bearer of news; https://a.test:8080/x",
  ],
])("credentials inside a text are taken out: %s", (text, shown) => {
  expect(redact({ note: text }, event({}, {}), [])).toEqual({ note: shown });
});

describe("JSON that is text", () => {
  const text = `${JSON.stringify({ token: "t", user: "u-204", n: 1 })}\n`;
  const of = event({ user_id: "u-204" }, {});
  const shown = { token: "‹secret›", user: "‹personal›", n: 1 };

  test("and the payload is shown as what it says", () => {
    expect(redact(text, of, [metric])).toEqual(shown);
    expect(redact(`[${text}]`, of, [metric])).toEqual([shown]);
  });

  test("and stands beside texts alone, such as its id, is shown as what it says", () => {
    const payload = { id: "1", text, user: "u-204" };
    expect(redact(payload, of, [metric])).toEqual({ id: "1", text: shown, user: "‹personal›" });
  });

  test("and a field of what is sent stays JSON with its end of line", () => {
    const field = `${JSON.stringify(shown)}\n`;
    for (const payload of [{ n: 1, field: text }, { deep: { field: text } }, [text]]) {
      const expected = JSON.parse(
        JSON.stringify(payload).replace(JSON.stringify(text), JSON.stringify(field)),
      );
      expect(redact(payload, of, [metric])).toEqual(expected);
      expect(redact(JSON.stringify(payload), of, [metric])).toEqual(expected);
    }
  });
});
