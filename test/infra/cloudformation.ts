// CloudFormation, STS and SSM as far as `cdk import` asks them: what stack there is, what it may do, and one change set.
import type { TwinHandler } from "../../src/testing/index.ts";

export interface CloudFormationTwin {
  readonly handle: TwinHandler;
  /** The parameters of every change set that was made. */
  readonly changeSets: readonly Readonly<Record<string, string>>[];
  /** Names of operations, in order. */
  readonly operations: readonly string[];
}

export interface CloudFormationOptions {
  readonly account: string;
  readonly region: string;
  /** The template of the stack that is there. Default: there is none. */
  readonly deployed?: string;
}

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html */
export function createCloudFormationTwin(options: CloudFormationOptions): CloudFormationTwin {
  const { account, region, deployed } = options;
  const changeSets: Readonly<Record<string, string>>[] = [];
  const operations: string[] = [];
  let status = deployed === undefined ? undefined : "UPDATE_COMPLETE";
  const arn = (resource: string) => `arn:aws:cloudformation:${region}:${account}:${resource}`;

  const answers: Readonly<Record<string, (input: Readonly<Record<string, string>>) => string | undefined>> = {
    GetCallerIdentity: () =>
      `<Arn>arn:aws:iam::${account}:user/someone</Arn><UserId>someone</UserId><Account>${account}</Account>`,
    DescribeStacks({ StackName: name = "" }) {
      if (status === undefined) return undefined;
      return `<Stacks><member><StackId>${arn(`stack/${name}/1`)}</StackId><StackName>${name}</StackName><CreationTime>2026-12-01T00:00:00Z</CreationTime><StackStatus>${status}</StackStatus></member></Stacks>`;
    },
    GetTemplate: () =>
      deployed === undefined ? undefined : `<TemplateBody>${escaped(deployed)}</TemplateBody>`,
    CreateChangeSet(input) {
      changeSets.push(input);
      status = "REVIEW_IN_PROGRESS";
      return `<Id>${arn("changeSet/import/1")}</Id><StackId>${arn(`stack/${input["StackName"]}/1`)}</StackId>`;
    },
    DescribeChangeSet: () =>
      `<ChangeSetId>${arn("changeSet/import/1")}</ChangeSetId><ChangeSetName>import</ChangeSetName><StackId>${arn("stack/fanout/1")}</StackId><StackName>fanout</StackName><CreationTime>2026-12-01T00:00:00Z</CreationTime><Status>CREATE_COMPLETE</Status><ExecutionStatus>AVAILABLE</ExecutionStatus><Changes><member><Type>Resource</Type></member></Changes>`,
    ExecuteChangeSet() {
      status = "IMPORT_COMPLETE";
      return "";
    },
    DescribeStackEvents: () => "<StackEvents/>",
    DescribeEvents: () => "<OperationEvents/>",
  };
  return {
    changeSets,
    operations,
    async handle(request) {
      const text = await request.text();
      const target = request.headers.get("x-amz-target");
      if (target !== null) {
        operations.push(target);
        // The version of the bootstrap.
        return Response.json({ Parameter: { Name: "version", Type: "String", Value: "30" } });
      }
      const input = Object.fromEntries(new URLSearchParams(text));
      const action = input["Action"] ?? "";
      operations.push(action);
      const answer = answers[action]?.(input);
      const headers = { "content-type": "text/xml" };
      if (answer === undefined) {
        // Roles of the bootstrap cannot be taken here, and a stack that is not there is an error.
        const error = `<Error><Type>Sender</Type><Code>ValidationError</Code><Message>Stack with id ${input["StackName"]} does not exist</Message></Error>`;
        return new Response(`<ErrorResponse>${error}<RequestId>1</RequestId></ErrorResponse>`, {
          status: 400,
          headers,
        });
      }
      return new Response(
        `<${action}Response xmlns="http://example/"><${action}Result>${answer}</${action}Result></${action}Response>`,
        { headers },
      );
    },
  };
}

const escaped = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
