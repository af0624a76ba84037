// Whether an event matches an event pattern, as EventBridge decides it with https://github.com/aws/event-ruler.
import type { JsonObject, JsonValue } from "../event.ts";
import { isList, isObject, type Leaf, meets } from "./event-condition.ts";

/**
 * Whether an event matches a pattern that EventBridge takes: `patternProblems` names the others.
 *
 * Names in objects and names with dots are the same path. A value of a list matches for the whole list, and what is
 * matched at several paths must stand in one element of each list. Only leaves exist: no object, no empty list.
 *
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
 */
export function matchesPattern(pattern: JsonObject, event: JsonObject): boolean {
  const fields = fieldsOf(event);
  return alternativesOf(pattern, "", [new Map()]).some((conditions) => isMetBy(conditions, fields));
}

/** Path → conditions, one of which must hold. */
type Conditions = ReadonlyMap<string, readonly JsonValue[]>;

/**
 * What a pattern asks for, without `$or`: each alternative of it is one of these. Of conditions at one path, the last
 * ones count, which `patternProblems` refuses.
 */
function alternativesOf(
  pattern: JsonObject,
  path: string,
  before: readonly Conditions[],
): readonly Conditions[] {
  return Object.entries(pattern).reduce<readonly Conditions[]>((found, [name, wanted]) => {
    if (name === "$or") {
      const branches = isList(wanted) ? wanted.filter(isObject) : [];
      return branches.flatMap((branch) => alternativesOf(branch, path, found));
    }
    if (isObject(wanted)) return alternativesOf(wanted, joined(path, name), found);
    const conditions = isList(wanted) ? wanted : [];
    return found.map((each) => new Map([...each, [joined(path, name), conditions]]));
  }, before);
}

/** A list of the event, by its number → which of its elements. */
type Place = ReadonlyMap<number, number>;

interface Field {
  readonly value: Leaf;
  /** In which elements of lists the value stands. Leaves of one list stand in the same place. */
  readonly place: Place;
}

/** Every path of the event's leaves → what stands there. */
function fieldsOf(event: JsonObject): ReadonlyMap<string, readonly Field[]> {
  const fields = new Map<string, Field[]>();
  let lists = 0;
  const add = (value: JsonValue, path: string, place: Place): void => {
    if (isList(value)) {
      const list = lists++;
      for (const [index, each] of value.entries()) {
        add(each, path, isList(each) || isObject(each) ? new Map([...place, [list, index]]) : place);
      }
    } else if (isObject(value)) {
      for (const [name, each] of Object.entries(value)) add(each, joined(path, name), place);
    } else {
      const known = fields.get(path);
      if (known === undefined) fields.set(path, [{ value, place }]);
      else known.push({ value, place });
    }
  };
  add(event, "", new Map());
  return fields;
}

/**
 * Path by path in the order of their names, as EventBridge does it: whether a field is missing is asked of the
 * elements that the paths before it have settled on.
 */
function isMetBy(conditions: Conditions, fields: ReadonlyMap<string, readonly Field[]>): boolean {
  let places: readonly Place[] = [new Map()];
  for (const path of [...conditions.keys()].sort()) {
    const wanted = conditions.get(path) ?? [];
    const found = fields.get(path) ?? [];
    const next = new Map<string, Place>();
    const inElement = byElement(found);
    for (const place of places) {
      const candidates = candidatesAt(place, found, inElement).flatMap((field) => {
        const both = together(place, field.place);
        return both === undefined ? [] : [{ value: field.value, both }];
      });
      if (candidates.length === 0 && wanted.some(asksForAbsence)) next.set(keyOf(place), place);
      for (const { value, both } of candidates) {
        const key = keyOf(both);
        if (!next.has(key) && wanted.some((each) => meets(each, value))) next.set(key, both);
      }
    }
    if (next.size === 0) return false;
    places = [...next.values()];
  }
  return true;
}

/** A list that all of the fields stand in → element → fields: so that of a long list one element is looked at. */
type ByElement = ReadonlyMap<number, ReadonlyMap<number, readonly Field[]>>;

function byElement(fields: readonly Field[]): ByElement {
  const lists = new Map<number, Map<number, Field[]>>();
  for (const field of fields) {
    for (const [list, element] of field.place) {
      const elements = lists.get(list) ?? new Map<number, Field[]>();
      lists.set(list, elements);
      const known = elements.get(element);
      if (known === undefined) elements.set(element, [field]);
      else known.push(field);
    }
  }
  for (const [list, elements] of lists) {
    const inside = [...elements.values()].reduce((sum, each) => sum + each.length, 0);
    if (inside < fields.length) lists.delete(list);
  }
  return lists;
}

/** The fields that can be in a place: those of its element of a list that holds them all. */
function candidatesAt(place: Place, fields: readonly Field[], inElement: ByElement): readonly Field[] {
  for (const [list, element] of place) {
    const elements = inElement.get(list);
    if (elements !== undefined) return elements.get(element) ?? [];
  }
  return fields;
}

function asksForAbsence(condition: JsonValue): boolean {
  return isObject(condition) && condition["exists"] === false;
}

/** Undefined when the two name different elements of one list. */
function together(one: Place, other: Place): Place | undefined {
  for (const [list, element] of other) {
    if ((one.get(list) ?? element) !== element) return undefined;
  }
  return new Map([...one, ...other]);
}

function keyOf(place: Place): string {
  return JSON.stringify([...place].sort(([one], [other]) => one - other));
}

function joined(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
