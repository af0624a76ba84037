import { describe, expect, test } from "vitest";
import { classifyReply, type HttpReply, isSinkUnavailable, sinkUnavailable } from "../../src/index.ts";

const replyOf = (status: number, change: Partial<HttpReply> = {}): HttpReply => ({
  status,
  headers: { "x-secret": "secret" },
  body: "secret",
  ...change,
});

/** What a status comes to: an outcome's status, "read" for a success that the adapter reads, or "unavailable". */
function meaningOf(status: number): string {
  try {
    return classifyReply("Vendor", replyOf(status))?.status ?? "read";
  } catch (error) {
    if (isSinkUnavailable(error)) return "unavailable";
    throw error;
  }
}

const from = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);
const refused = [400, 409, 413, 414, 415, 422];
const transient = [408, 423, 425, 429];
const otherClientErrors = from(400, 499).filter((status) => ![...refused, ...transient].includes(status));

describe("a status means the same at every vendor", () => {
  test.each([
    ["a success is read by the adapter", from(200, 299), "read"],
    ["what can be a record's fault is refused, for the core to halve", refused, "refused"],
    ["what time cures is transient", transient, "transient"],
    [
      "a server's fault is transient, also one with a number that no RFC knows",
      [...from(500, 599), 999],
      "transient",
    ],
    [
      "a redirect, and what is no final status, is the configuration's fault",
      [0, ...from(100, 199), ...from(300, 399)],
      "unavailable",
    ],
    [
      "any other 4xx comes from a wrong key, host or plan, and costs no record its life",
      otherClientErrors,
      "unavailable",
    ],
  ])("%s", (_, statuses, meaning) => {
    expect(statuses.map((status) => [status, meaningOf(status)])).toEqual(
      statuses.map((status) => [status, meaning]),
    );
  });

  test.each([
    [401, "Vendor answered 401: check its credentials and their permissions"],
    [403, "Vendor answered 403: check its credentials and their permissions"],
    [302, "Vendor answered 302, a redirect or no final status: check its configured host"],
    [402, "Vendor answered 402: check its configured host and the account's plan"],
    [404, "Vendor answered 404: check its configured host and the account's plan"],
  ])("%i tells the operator what to check", (status, message) => {
    expect(() => classifyReply("Vendor", replyOf(status))).toThrow(message);
  });

  test("the reason names the vendor and the status, and shows nothing of the reply", () => {
    expect(classifyReply("Vendor", replyOf(413))).toEqual({
      status: "refused",
      reason: "Vendor answered 413",
      code: "HTTP_413",
    });
    expect(classifyReply("Vendor", replyOf(503))).toEqual({
      status: "transient",
      reason: "Vendor answered 503",
    });
  });

  test("a wait that the vendor asks for is passed on, none at all included", () => {
    for (const retryAfterMs of [7_000, 0]) {
      for (const status of [429, 503]) {
        expect(classifyReply("Vendor", replyOf(status, { retryAfterMs }))).toMatchObject({ retryAfterMs });
      }
    }
  });
});

describe("a fact about the whole sink", () => {
  test("is an error with a brand, and with the wait if there is one", () => {
    const error = sinkUnavailable("the quota is spent", { retryAfterMs: 5_000 });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      message: "the quota is spent",
      code: "SINK_UNAVAILABLE",
      retryAfterMs: 5_000,
    });
    expect("retryAfterMs" in sinkUnavailable("the token is not valid")).toBe(false);
  });

  test("is recognised by its brand, whoever made it; nothing else is taken for it", () => {
    expect(isSinkUnavailable(sinkUnavailable("no"))).toBe(true);
    expect(isSinkUnavailable(Object.assign(new TypeError("no"), { code: "SINK_UNAVAILABLE" }))).toBe(true);
    const others = [
      new Error("SINK_UNAVAILABLE"),
      { code: "SINK_UNAVAILABLE" },
      "SINK_UNAVAILABLE",
      null,
      undefined,
    ];
    expect(others.filter(isSinkUnavailable)).toEqual([]);
  });
});
