// What a value from outside must look like: small checks that compose, and say where it does not, never what stood there.
// A library for it would be half of what a worker's cold start loads.

/** Told what is wrong, and where: keys with dots between them; the value itself has no path. */
export type Tell = (path: string, message: string) => void;

/** Whether a value is a T. It tells everything that is wrong, not the first thing alone. */
export type Shape<T> = (value: unknown, tell?: Tell, path?: string) => value is T;

/** Every problem as one sentence; none when the value fits. @param whole What the value itself is called. */
export function problemsOf(shape: Shape<unknown>, value: unknown, whole: string): string[] {
  const problems: string[] = [];
  shape(value, (path, message) => problems.push(`${path === "" ? whole : path}: ${message}`));
  return problems;
}

/** @param message Or what makes one of the value: say its kind there, see {@link expected}, not the value. */
export function must<T>(
  be: (value: unknown) => value is T,
  message: string | ((value: unknown) => string),
): Shape<T> {
  return (value, tell, path = ""): value is T => {
    if (be(value)) return true;
    tell?.(path, typeof message === "string" ? message : message(value));
    return false;
  };
}

/** NaN is a number here, so let `fits` refuse it: each comparison with it is false. */
export function number(fits: (value: number) => boolean, message: string): Shape<number> {
  return must((value): value is number => typeof value === "number" && fits(value), message);
}

export const text: Shape<string> = must((value) => typeof value === "string", expected("string"));

export function optional<T>(shape: Shape<T>): Shape<T | undefined> {
  return (value, tell, path): value is T | undefined => value === undefined || shape(value, tell, path);
}

export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return (value, tell, path): value is T | null => value === null || shape(value, tell, path);
}

/** @param says What to say of another kind of value, and of a list with nothing in it, which else is right, too. */
export function list<T>(
  of: Shape<T>,
  says: { readonly other?: string; readonly empty?: string } = {},
): Shape<T[]> {
  const isList = must<readonly unknown[]>(Array.isArray, says.other ?? expected("array"));
  return (value, tell, path = ""): value is T[] => {
    if (!isList(value, tell, path)) return false;
    if (value.length === 0 && says.empty !== undefined) {
      tell?.(path, says.empty);
      return false;
    }
    let fits = true;
    for (const [index, entry] of value.entries()) fits = of(entry, tell, below(path, String(index))) && fits;
    return fits;
  };
}

/** Any keys, and under each of them the same kind of thing. */
export function record<T>(of: Shape<T>): Shape<Record<string, T>> {
  return (value, tell, path = ""): value is Record<string, T> => {
    if (!isRecord(value, tell, path)) return false;
    let fits = true;
    for (const [key, entry] of Object.entries(value)) fits = of(entry, tell, below(path, key)) && fits;
    return fits;
  };
}

/** Not what a class makes, such as a Map: its entries are no keys. */
const isRecord = must(
  (value): value is Readonly<Record<string, unknown>> => kindOf(value) === "object",
  expected("record"),
);

/** So a member without a check does not compile. */
type Members<T> = { readonly [K in keyof T]-?: Shape<T[K]> };

interface ObjectRules<T> {
  /** What to say of members that are not listed, such as {@link unrecognized}. Default: nobody looks at them. */
  readonly closed?: (strange: readonly string[]) => string;
  /** Asked when every member is right: which one does not go with the others, and why. */
  readonly together?: (value: T) => readonly [key: string, message: string] | undefined;
}

export function object<T extends object>(members: Members<T>, rules: ObjectRules<T> = {}): Shape<T> {
  const shapes = Object.entries<Shape<unknown>>(members);
  return (value, tell, path = ""): value is T => {
    if (!isObject(value, tell, path)) return false;
    let fits = true;
    for (const [key, shape] of shapes) fits = shape(value[key], tell, below(path, key)) && fits;
    const strange =
      rules.closed === undefined ? [] : Object.keys(value).filter((key) => !Object.hasOwn(members, key));
    if (strange.length > 0) tell?.(path, rules.closed?.(strange) ?? "");
    // Every member has just been proven.
    const clash = fits ? rules.together?.(value as T) : undefined;
    if (clash !== undefined) tell?.(below(path, clash[0]), clash[1]);
    fits &&= strange.length === 0 && clash === undefined;
    return fits;
  };
}

const isObject = must(
  (value): value is Readonly<Record<string, unknown>> =>
    typeof value === "object" && value !== null && !Array.isArray(value),
  expected("object"),
);

export function unrecognized(strange: readonly string[]): string {
  return `Unrecognized key${strange.length > 1 ? "s" : ""}: ${strange.map((key) => `"${key}"`).join(", ")}`;
}

/** Says what was expected and what kind of thing was there. */
export function expected(kind: string): (value: unknown) => string {
  return (value) => `Invalid input: expected ${kind}, received ${kindOf(value)}`;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (typeof value !== "object") return typeof value;
  const made: unknown = Object.getPrototypeOf(value)?.constructor;
  return typeof made === "function" && made.name !== "Object" ? made.name : "object";
}

function below(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}
