// Numbers by sink, as variables and settings write them: `mixpanel=15,segment=500`.

/** One or more sinks with a number above 0 each. */
export const ratesForm =
  /^[a-z0-9-]+=(?!0+(\.0+)?(,|$))\d+(\.\d+)?(,[a-z0-9-]+=(?!0+(\.0+)?(,|$))\d+(\.\d+)?)*$/;

/** Sink → number. The text must have the form of {@link ratesForm}, or be empty. */
export function numbersBySink(text: string): Readonly<Record<string, number>> {
  const pairs = text.split(",").filter((pair) => pair !== "");
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      return [pair.slice(0, at), Number(pair.slice(at + 1))];
    }),
  );
}
