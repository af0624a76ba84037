// A bundle as Lambda runs it: a process of its own, one environment, one event, and what it writes.
import { execFile } from "node:child_process";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { fieldsOf } from "../../infra/template.ts";

export interface Invoked {
  /** 0 unless the cold start failed. */
  readonly code: number;
  readonly answer: unknown;
  readonly thrown: unknown;
  /** Everything that it wrote, line by line. */
  readonly lines: readonly string[];
}

/** One cold start and one invocation with 60 s. Nothing but loopback is reached. */
export function invoke(
  directory: string,
  event: unknown,
  env: Readonly<Record<string, string>>,
): Promise<Invoked> {
  const script = `
    const { handler } = await import(${JSON.stringify(pathToFileURL(path.join(directory, "index.mjs")).href)});
    const context = { awsRequestId: "request-1", getRemainingTimeInMillis: () => 60_000 };
    const result = await handler(${JSON.stringify(event)}, context).then(
      (answer) => ({ answer }),
      (error) => ({ thrown: error.message }),
    );
    console.log("RESULT" + JSON.stringify(result));
    process.exit();`;
  const loopbackOnly = new URL("../../.ci/loopback-only.mjs", import.meta.url).href;
  return new Promise((resolve) => {
    const args = [`--import=${loopbackOnly}`, "--input-type=module", "--eval", script];
    execFile(process.execPath, args, { env: { ...env } }, (error, stdout, stderr) => {
      const lines = `${stdout}${stderr}`.split("\n").filter((line) => line !== "");
      const result = fieldsOf(
        JSON.parse(lines.find((line) => line.startsWith("RESULT"))?.slice("RESULT".length) ?? "{}"),
      );
      resolve({
        code: error === null ? 0 : Number(error.code ?? -1),
        answer: result["answer"],
        thrown: result["thrown"],
        lines: lines.filter((line) => !line.startsWith("RESULT")),
      });
    });
  });
}
