// What a role of the template lets its function do at S3 and Secrets Manager: everything else is denied.
import type { Statement } from "../../infra/template.ts";
import type { TwinHandler } from "../../src/testing/index.ts";
import { s3Refusal } from "../support/s3-twin.ts";

export interface Guard {
  readonly handle: TwinHandler;
  /** `action resource`, once each: what was asked for in vain. */
  readonly denied: Set<string>;
  /** Actions that were granted, once each. */
  readonly used: Set<string>;
}

/** `arns`: bucket → its ARN as the template writes it. */
export function guardS3(
  handle: TwinHandler,
  statements: () => readonly Statement[],
  arns: Readonly<Record<string, string>>,
): Guard {
  const denied = new Set<string>();
  const used = new Set<string>();
  return {
    denied,
    used,
    async handle(request) {
      const [, bucket = "", key = ""] = /^\/([^/]*)\/?(.*)$/s.exec(new URL(request.url).pathname) ?? [];
      const arn = arns[bucket] ?? bucket;
      const action = key === "" ? "s3:ListBucket" : objectActions[request.method];
      const resource = key === "" ? arn : `${arn}/${decodeURIComponent(key)}`;
      if (action === undefined || !isAllowed(statements(), action, resource)) {
        denied.add(`${action ?? request.method} ${resource}`);
        const { status, headers, body } = s3Refusal(403, "AccessDenied");
        return new Response(request.method === "HEAD" ? null : (body ?? null), {
          status,
          headers: headers ?? {},
        });
      }
      used.add(action);
      return await handle(request);
    },
  };
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html */
const objectActions: Readonly<Record<string, string>> = {
  GET: "s3:GetObject",
  HEAD: "s3:GetObject",
  PUT: "s3:PutObject",
  DELETE: "s3:DeleteObject",
};

/** Secrets Manager with these secrets, each a JSON object of variables. */
export function secretsTwin(
  secrets: Readonly<Record<string, string>>,
  statements: () => readonly Statement[],
): TwinHandler {
  const refuse = (type: string) => Response.json({ __type: type, message: "a-message" }, { status: 400 });
  return async (request) => {
    const { SecretId: name } = (await request.json()) as { SecretId: string };
    if (request.headers.get("x-amz-target") !== "secretsmanager.GetSecretValue") {
      return refuse("InvalidRequestException");
    }
    // Six characters of the service's own end an ARN.
    const arn = `arn:<AWS::Partition>:secretsmanager:<AWS::Region>:<AWS::AccountId>:secret:${name}-Ab3dEf`;
    if (!isAllowed(statements(), "secretsmanager:GetSecretValue", arn))
      return refuse("AccessDeniedException");
    const value = secrets[name];
    if (value === undefined) return refuse("ResourceNotFoundException");
    return Response.json({ Name: name, SecretString: value });
  };
}

function isAllowed(statements: readonly Statement[], action: string, resource: string): boolean {
  return statements.some(
    ({ effect, actions, resources }) =>
      effect === "Allow" &&
      actions.includes(action) &&
      resources.some((pattern) => patternOf(pattern).test(resource)),
  );
}

function patternOf(text: string): RegExp {
  const escaped = text.replaceAll(/[\\^$.|+()[\]{}]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`, "s");
}
