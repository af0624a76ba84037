// Firehose's PutRecordBatch as its documentation describes it.
import { randomUUID } from "node:crypto";
import type { TwinHandler } from "../../src/testing/twin.ts";
import { AwsRefusal, awsJson, type Fields, listOf, textOf } from "./aws-json.ts";

export interface FirehoseTwinOptions {
  /** The delivery streams that exist. Default `["product-events"]`. */
  readonly streams?: readonly string[];
}

export interface FirehoseTwin {
  readonly handle: TwinHandler;
  /** What each stream took, in order, as text. */
  readonly taken: ReadonlyMap<string, readonly string[]>;
  /** Records of each call that was answered with 200. */
  readonly calls: readonly number[];
  /** Decides which records of a call are refused, and with which code. Default: none. */
  refuse: (record: string, index: number, call: number) => string | undefined;
}

/** https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html */
const [mostRecords, mostBytes, longestRecord] = [500, 4 * 1024 * 1024, 1000 * 1024] as const;

export function createFirehoseTwin({ streams = ["product-events"] }: FirehoseTwinOptions = {}): FirehoseTwin {
  const taken = new Map<string, string[]>(streams.map((name) => [name, []]));
  const calls: number[] = [];
  const twin: FirehoseTwin = {
    taken,
    calls,
    refuse: () => undefined,
    handle: awsJson({
      service: "Firehose_20150804",
      version: "1.1",
      operations: {
        PutRecordBatch(input: Fields) {
          const name = textOf(input["DeliveryStreamName"]);
          const stream = taken.get(name);
          if (stream === undefined) throw new AwsRefusal("ResourceNotFoundException", `no stream ${name}`);
          const records = listOf(input["Records"]).map((record) =>
            Buffer.from(textOf(record["Data"]), "base64"),
          );
          if (records.length === 0 || records.length > mostRecords) {
            throw new AwsRefusal("ValidationException", "Records must have 1 to 500 members");
          }
          const bytes = records.reduce((sum, { byteLength }) => sum + byteLength, 0);
          if (bytes > mostBytes || records.some(({ byteLength }) => byteLength > longestRecord)) {
            throw new AwsRefusal("InvalidArgumentException", "the records are too large");
          }
          calls.push(records.length);
          const replies = records.map((data, index) => {
            const record = data.toString("utf8");
            const code = twin.refuse(record, index, calls.length);
            if (code !== undefined) return { ErrorCode: code, ErrorMessage: messages[code] ?? "Not taken." };
            stream.push(record);
            return { RecordId: randomUUID() };
          });
          const FailedPutCount = replies.filter((reply) => "ErrorCode" in reply).length;
          return { Encrypted: false, FailedPutCount, RequestResponses: replies };
        },
      },
    }),
  };
  return twin;
}

const messages: Readonly<Record<string, string>> = {
  ServiceUnavailableException: "Slow down.",
  InternalFailure: "An internal error occurred.",
};
