// Where Firehose keeps what its transform refused: no events are there.

/** The stream's `ErrorOutputPrefix` of this project's pipelines, and Firehose's own when a stream has none.
 * https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html */
export const defaultErrorPrefixes: readonly string[] = ["Error/", "processing-failed/"];
