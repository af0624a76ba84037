// What IAM decides about one request, as its documentation describes it, from the statements of a template.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
import { fieldsOf, flatten, listOf, type Statement } from "../../../infra/template.ts";

/** Who wants to do what with what. */
export interface Access {
  /** The role's ARN, or the name of a service that comes in its own name. */
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  /** Condition key → its value in this request; keys that the request does not have are missing. */
  readonly context: Readonly<Record<string, string>>;
}

export interface Policies {
  /** Of the role. */
  readonly identity: readonly Statement[];
  /** Of the bucket or queue that is asked for. */
  readonly resource: readonly Statement[];
}

/** Every request of this world comes over TLS, from the account itself. */
export const usualContext = { "aws:SecureTransport": "true", "s3:TlsVersion": "1.3" } as const;

/** A Deny wins; else an Allow of the role is needed. Resource policies of one account's own only deny here. */
export function isAllowed(policies: Policies, access: Access): boolean {
  const all = [...policies.identity, ...policies.resource];
  if (all.some((each) => each.effect === "Deny" && applies(each, access))) return false;
  return policies.identity.some((each) => each.effect === "Allow" && applies(each, access));
}

export function applies(statement: Statement, access: Access): boolean {
  const { actions, resources, conditions, principal } = statement;
  return (
    actions.some((pattern) => patternOf(pattern, "i").test(access.action)) &&
    (resources.length === 0 || resources.some((pattern) => patternOf(pattern).test(access.resource))) &&
    isAbout(principal, access) &&
    Object.entries(conditions).every(([operator, keys]) =>
      Object.entries(fieldsOf(keys)).every(([key, values]) =>
        holds(operator, access.context[key] ?? own(key, access), listOf(values).map(flatten)),
      ),
    )
  );
}

function own(key: string, { principal }: Access): string | undefined {
  return key === "aws:PrincipalArn" ? principal : undefined;
}

function isAbout(principal: unknown, access: Access): boolean {
  if (principal === undefined || principal === "*") return true;
  const { AWS: accounts, Service: services } = fieldsOf(principal);
  // A statement for a service is about none of the roles.
  if (services !== undefined && accounts === undefined) return listOf(services).includes(access.principal);
  return listOf(accounts)
    .map(flatten)
    .some((each) => each === "*" || each === access.principal);
}

type Test = (value: string, wanted: string) => boolean;
const equal: Test = (value, wanted) => value === wanted;
const like: Test = (value, wanted) => patternOf(wanted).test(value);

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html */
const operators: Readonly<Record<string, { readonly test: Test; readonly negated?: true }>> = {
  StringEquals: { test: equal },
  StringLike: { test: like },
  StringNotEquals: { test: equal, negated: true },
  StringNotLike: { test: like, negated: true },
  ArnEquals: { test: like },
  ArnLike: { test: like },
  ArnNotEquals: { test: like, negated: true },
  ArnNotLike: { test: like, negated: true },
  Bool: { test: (value, wanted) => value.toLowerCase() === wanted.toLowerCase() },
  NumericLessThan: { test: (value, wanted) => Number(value) < Number(wanted) },
};

function holds(operator: string, value: string | undefined, wanted: readonly string[]): boolean {
  if (operator === "Null") return wanted.includes(String(value === undefined));
  const isIfExists = operator.endsWith("IfExists");
  const known = operators[operator.replace(/IfExists$/, "")];
  if (known === undefined) throw new Error(`this world does not know the condition operator ${operator}`);
  // A key that is missing fulfils "…IfExists" and what is negated, and nothing else.
  if (value === undefined) return isIfExists || known.negated === true;
  const isAny = wanted.some((each) => known.test(value, each));
  return known.negated === true ? !isAny : isAny;
}

function patternOf(text: string, flags = ""): RegExp {
  const escaped = text.replaceAll(/[\\^$.|+()[\]{}]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`, `s${flags}`);
}
