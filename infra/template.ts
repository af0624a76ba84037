// Reads a synthesised template: what stands in it, and who may do what.

export interface Resource {
  readonly id: string;
  readonly type: string;
  readonly properties: Fields;
}

export type Fields = Readonly<Record<string, unknown>>;

/** A statement of a role, of a policy that roles have, or of a bucket's or queue's own policy. */
export interface Statement {
  /** The logical id of the resource in which it stands. */
  readonly of: string;
  readonly effect: string;
  readonly actions: readonly string[];
  /** As text, in which `<…>` stands for what CloudFormation fills in. */
  readonly resources: readonly string[];
  /** Whom it is about, as the template writes it; undefined in a role's own policy. */
  readonly principal: unknown;
  /** Operator → key → values. */
  readonly conditions: Fields;
}

export function resourcesOf(template: unknown): readonly Resource[] {
  return Object.entries(fieldsOf(fieldsOf(template)["Resources"])).map(([id, value]) => {
    const { Type: type, Properties: properties } = fieldsOf(value);
    return { id, type: String(type), properties: fieldsOf(properties) };
  });
}

export function statementsOf(resources: readonly Resource[]): readonly Statement[] {
  return resources.flatMap(({ id, type, properties }) => {
    const policies =
      type === "AWS::IAM::Role"
        ? listOf(properties["Policies"])
        : /^AWS::IAM::(Managed)?Policy$/.test(type)
          ? [properties]
          : [];
    return policies.flatMap((policy) => statementsIn(id, fieldsOf(policy)["PolicyDocument"]));
  });
}

/** The statements of one policy document, which stands in the resource `of`. */
export function statementsIn(of: string, document: unknown): readonly Statement[] {
  return listOf(fieldsOf(document)["Statement"]).map((value): Statement => {
    const fields = fieldsOf(value);
    return {
      of,
      effect: String(fields["Effect"]),
      actions: listOf(fields["Action"]).map(String),
      resources: listOf(fields["Resource"]).map(flatten),
      principal: fields["Principal"],
      conditions: fieldsOf(fields["Condition"]),
    };
  });
}

export function hasWildcard({ actions, resources }: Statement): boolean {
  return [...actions, ...resources].some((text) => /[*?]/.test(text));
}

/** Text with its references in place: `{"Fn::GetAtt": ["Books", "Arn"]}` is `<Books.Arn>`. */
export function flatten(value: unknown): string {
  if (typeof value === "string") return value;
  const { Ref: ref, "Fn::GetAtt": attribute, "Fn::Join": join } = fieldsOf(value);
  if (typeof ref === "string") return `<${ref}>`;
  if (attribute !== undefined) return `<${listOf(attribute).map(String).join(".")}>`;
  if (join === undefined) return JSON.stringify(value);
  const [separator, parts] = listOf(join);
  return listOf(parts).map(flatten).join(String(separator));
}

/** A list, or the one thing that stands for a list of one. */
export function listOf(value: unknown): readonly unknown[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}

export function fieldsOf(value: unknown): Fields {
  // A non-null object can be asked for any key; what it answers stays unknown.
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}
