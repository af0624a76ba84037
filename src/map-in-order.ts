// Look-ups several at once, their results in the order of what was looked up.

/**
 * Calls `look` for every value, `atOnce` calls at most at a time, and yields the results in the values' order. A call
 * that rejects ends the iteration with its error, once those before it are yielded. Memory: `atOnce` results.
 */
export async function* mapInOrder<T, R>(
  values: AsyncIterable<T> | Iterable<T>,
  atOnce: number,
  look: (value: T) => Promise<R>,
): AsyncGenerator<R> {
  const open: Promise<R>[] = [];
  try {
    for await (const value of values) {
      const result = look(value);
      // It is awaited below, in its turn: until then its failure is nobody's unhandled rejection.
      result.catch(() => {});
      open.push(result);
      const [first] = open;
      if (open.length < atOnce || first === undefined) continue;
      open.shift();
      yield await first;
    }
    while (open.length > 0) {
      const first = open.shift();
      if (first !== undefined) yield await first;
    }
  } finally {
    await Promise.allSettled(open);
  }
}
