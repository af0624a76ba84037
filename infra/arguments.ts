// The settings of a command that CDK's own does not start: `-c name=value`, again and again, and `context` of cdk.json.
import { readFileSync } from "node:fs";
import path from "node:path";
import { fieldsOf } from "./template.ts";

export interface Arguments {
  readonly context: Readonly<Record<string, string>>;
  /** Everything else, in its order. */
  readonly rest: readonly string[];
}

/** What the arguments say wins over what is kept in cdk.json. */
export function contextIn(args: readonly string[]): Arguments {
  const file: unknown = JSON.parse(readFileSync(path.resolve(import.meta.dirname, "../cdk.json"), "utf8"));
  const kept = Object.entries(fieldsOf(fieldsOf(file)["context"]));
  const context: Record<string, string> = Object.fromEntries(
    kept.map(([name, value]) => [name, String(value)]),
  );
  const rest: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? "";
    const pair = /^(?:-c|--context)$/.test(arg) ? (args[++at] ?? "") : /^--context=(.*)$/s.exec(arg)?.[1];
    if (pair === undefined) rest.push(arg);
    else context[pair.replace(/=.*$/s, "")] = pair.replace(/^[^=]*=?/, "");
  }
  return { context, rest };
}
