// What twins of AWS services with a JSON protocol share: requests by X-Amz-Target, errors by __type.
import { randomUUID } from "node:crypto";
import type { TwinHandler } from "../../src/testing/twin.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** What an operation throws to be answered as an error of the service's. */
export class AwsRefusal extends Error {
  readonly type: string;
  readonly status: number;
  constructor(type: string, message: string, status = 400) {
    super(message);
    this.type = type;
    this.status = status;
  }
}

/** https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html */
export function awsJson(options: {
  /** Before the dot of X-Amz-Target. */
  readonly service: string;
  readonly version: "1.0" | "1.1";
  readonly operations: Readonly<Record<string, (input: Fields) => Fields | Promise<Fields>>>;
}): TwinHandler {
  const { service, version, operations } = options;
  const type = `application/x-amz-json-${version}`;
  const answer = (status: number, body: Fields) =>
    Response.json(body, { status, headers: { "content-type": type, "x-amzn-requestid": randomUUID() } });
  return async (request) => {
    const [name, operation = ""] = (request.headers.get("x-amz-target") ?? "").split(".");
    const act = name === service ? operations[operation] : undefined;
    if (act === undefined) return answer(400, { __type: "UnknownOperationException" });
    if (request.headers.get("content-type") !== type)
      return answer(400, { __type: "SerializationException" });
    if (!(request.headers.get("authorization") ?? "").startsWith("AWS4-HMAC-SHA256 ")) {
      return answer(400, { __type: "MissingAuthenticationTokenException" });
    }
    try {
      const input: unknown = await request.json();
      return answer(200, await act(fieldsOf(input)));
    } catch (error) {
      if (!(error instanceof AwsRefusal)) throw error;
      return answer(error.status, { __type: error.type, message: error.message });
    }
  };
}

export function fieldsOf(value: unknown): Fields {
  if (typeof value !== "object" || value === null)
    throw new AwsRefusal("SerializationException", "no object");
  // A non-null object may be asked for any name; what it answers stays unknown.
  return value as Fields;
}

export function listOf(value: unknown): readonly Fields[] {
  if (!Array.isArray(value)) throw new AwsRefusal("SerializationException", "no list");
  return value.map(fieldsOf);
}

export function textOf(value: unknown): string {
  if (typeof value !== "string") throw new AwsRefusal("SerializationException", "no text");
  return value;
}

/** @param otherwise when the request does not say; without one it must. */
export function numberOf(value: unknown, otherwise?: number): number {
  const number = value ?? otherwise;
  if (typeof number !== "number") throw new AwsRefusal("SerializationException", "no number");
  return number;
}
