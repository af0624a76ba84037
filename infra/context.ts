// What a command of CDK's was given with `-c name=value`, checked.
import type { Node } from "constructs";
import type * as z from "zod";
import { ConfigError } from "../src/index.ts";

/**
 * The settings that a schema names; every one is text, as the command line gives it.
 *
 * @throws {ConfigError} one sentence for each setting that is wrong.
 */
export function readContext<T extends z.ZodObject>(node: Node, schema: T): z.output<T> {
  const given = Object.fromEntries(
    Object.keys(schema.shape).flatMap((name) => {
      const value: unknown = node.tryGetContext(name);
      return value === undefined ? [] : [[name, String(value)]];
    }),
  );
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  throw new ConfigError(result.error.issues.map(({ path, message }) => `-c ${path.join(".")} ${message}`));
}
