// Requests that we sign ourselves have the signature that the vendor's SDK would have given them.
import { TimestreamWriteClient, WriteRecordsCommand } from "@aws-sdk/client-timestream-write";
import { expect, test } from "vitest";
import { signed } from "../../adapters/timestream/signature.ts";

interface Sent {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

const region = "eu-central-1";
const keys = { accessKeyId: "AKID", secretAccessKey: "s3cret/+key" };
const added = ["x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];

test.each([
  "https://timestream.test",
  "https://timestream.test:8443/behind",
  "https://timestream.test/behind/",
  "https://timestream.test/be%20hind/%C3%BC",
  "https://timestream.test/be@hind/~x!'(*)",
  "https://timestream.test/be//hind/",
  "http://[::1]:4567",
])("at %s, whatever the session", async (endpoint) => {
  for (const sessionToken of [undefined, "", "session", " two  blanks "]) {
    const credentials = sessionToken === undefined ? keys : { ...keys, sessionToken };
    const { path, headers, body } = await sentBySdk(endpoint, credentials);
    const names = /SignedHeaders=([^,]+)/.exec(headers["authorization"] ?? "")?.[1]?.split(";") ?? [];
    const given = names.filter((name) => !added.includes(name));
    expect(given).toContain("host");
    const ours = signed({
      path,
      region,
      credentials,
      time: timeOf(headers["x-amz-date"]),
      headers: Object.fromEntries(given.map((name) => [name, headers[name] ?? ""])),
      body: typeof body === "string" ? Buffer.from(body) : body,
    });
    expect(ours).toEqual(
      Object.fromEntries([...names, "authorization"].map((name) => [name, headers[name]])),
    );
  }
});

async function sentBySdk(
  endpoint: string,
  credentials: typeof keys & { readonly sessionToken?: string },
): Promise<Sent> {
  const seen: Sent[] = [];
  const client = new TimestreamWriteClient({
    endpoint,
    region,
    credentials,
    requestHandler: {
      handle: async (request: Sent) => {
        seen.push(request);
        return { response: { statusCode: 200, headers: {}, body: Buffer.from("{}") } };
      },
    },
  });
  const parts = { DatabaseName: "metrics", TableName: "acme", Records: [] };
  await client.send(new WriteRecordsCommand(parts));
  const [sent] = seen;
  if (sent === undefined) throw new Error("the SDK has sent nothing");
  return sent;
}

/** Of 20261120T120000Z. */
function timeOf(date = ""): number {
  return Date.parse(date.replace(/^(....)(..)(..T..)(..)(..Z)$/, "$1-$2-$3:$4:$5"));
}
