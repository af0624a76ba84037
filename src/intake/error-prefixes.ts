// Where Firehose keeps what its transform refused: no events are there.

/** The stream's `ErrorOutputPrefix` of this project's pipelines, and Firehose's own when a stream has none.
 * https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html */
export const defaultErrorPrefixes: readonly string[] = ["Error/", "processing-failed/"];

/** The prefix for which an object is left out of a source; none of one that was named by such a prefix itself. */
export function errorPrefixOf(key: string, sourcePrefix: string): string | undefined {
  const prefix = defaultErrorPrefixes.find((each) => key.startsWith(each));
  return prefix === undefined || sourcePrefix.startsWith(prefix) ? undefined : prefix;
}
