// Which object a notification means: its bucket, and the key as the bucket knows it, or the keys that it may be.

/** An object to read. */
export interface ObjectRef {
  readonly bucket: string;
  /** As the bucket knows it, decoded. */
  readonly key: string;
  /** The version id of a versioned bucket, else the ETag; absent when the notification names neither. */
  readonly version?: string;
  /**
   * The keys to try, in this order, when there is no object of that `key`. Whoever made the notification may have
   * encoded its key or not, and the notification does not say; see {@link encodedKeys} and {@link rawKeys}.
   */
  readonly alternativeKeys?: readonly string[];
}

/** An object under one key. */
export type ExactRef = Omit<ObjectRef, "alternativeKeys">;

type Keys = Pick<ObjectRef, "key" | "alternativeKeys">;

/**
 * A key that should be form-encoded (`+` is a space, everything else unusual is `%XX` of UTF-8), as S3 encodes it. It
 * is raw where somebody's input transformer copied it from an EventBridge event, and an encoder that is not S3's
 * may leave a `+` as it is.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html: "URL encoded".
 */
export function encodedKeys(key: unknown): Keys | undefined {
  return isKey(key) ? inOrder(formDecoded(key), percentDecoded(key), key) : undefined;
}

/** A key that should be raw: nothing says whether EventBridge encodes its keys, nor whether CloudTrail does. */
export function rawKeys(key: unknown): Keys | undefined {
  return isKey(key) ? inOrder(key, formDecoded(key), percentDecoded(key)) : undefined;
}

/** Without s3:ListBucket, S3 denies what is not there. */
const missing = new Set(["NOT_FOUND", "DENIED"]);

/**
 * Calls `attempt` with one key after the other, until there is an object under one. When there is none, the answer is
 * that of the first key.
 *
 * @param codeOf the code of a failed attempt; undefined for one that did not fail.
 */
export async function firstFound<T>(
  { alternativeKeys = [], ...ref }: ObjectRef,
  attempt: (ref: ExactRef) => Promise<T>,
  codeOf: (outcome: T) => string | undefined,
): Promise<T> {
  const first = await attempt(ref);
  if (!missing.has(codeOf(first) ?? "")) return first;
  for (const key of alternativeKeys) {
    const other = await attempt({ ...ref, key });
    const code = codeOf(other) ?? "";
    // Under this key there is an object of another version: it is not the one that the notification means.
    if (!missing.has(code) && code !== "CHANGED") return other;
  }
  return first;
}

/** Each reading once. */
function inOrder(...readings: readonly (string | undefined)[]): Keys | undefined {
  const [key, ...alternativeKeys] = new Set(readings.filter((each) => each !== undefined));
  if (key === undefined) return undefined;
  return alternativeKeys.length === 0 ? { key } : { key, alternativeKeys };
}

const formDecoded = (key: string) => percentDecoded(key.replaceAll("+", " "));

function percentDecoded(key: string): string | undefined {
  try {
    return decodeURIComponent(key);
  } catch {
    return undefined;
  }
}

function isKey(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
