// The settings of a command line, as CDK's own takes them: `-c name=value`, again and again.

export interface Arguments {
  readonly context: Readonly<Record<string, string>>;
  /** Everything else, in its order. */
  readonly rest: readonly string[];
}

export function contextIn(args: readonly string[]): Arguments {
  const context: Record<string, string> = {};
  const rest: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? "";
    const pair = /^(?:-c|--context)$/.test(arg) ? (args[++at] ?? "") : /^--context=(.*)$/s.exec(arg)?.[1];
    if (pair === undefined) rest.push(arg);
    else context[pair.replace(/=.*$/s, "")] = pair.replace(/^[^=]*=?/, "");
  }
  return { context, rest };
}
