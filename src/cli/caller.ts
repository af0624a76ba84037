// Who gives a command: for audits and for what is dropped.

import os from "node:os";
import { awsAgents } from "../delivery/proxy.ts";

/** The AWS caller's ARN where the stores are S3's, else the user of the operating system. */
export async function callerOf(addresses: readonly string[]): Promise<string> {
  if (addresses.some((address) => /^s3:/i.test(address))) {
    const { GetCallerIdentityCommand, STSClient } = await import("@aws-sdk/client-sts");
    const client = new STSClient({ requestHandler: awsAgents() });
    try {
      const { Arn: arn } = await client.send(new GetCallerIdentityCommand());
      if (arn !== undefined) return arn;
    } catch {
      // Whoever may write to the bucket need not be able to ask who it is: the machine's user is better than nobody.
    } finally {
      client.destroy();
    }
  }
  const { username } = userInfo();
  return `${username}@${os.hostname()}`;
}

/** In a container there may be no user of that number. */
function userInfo(): { readonly username: string } {
  try {
    return os.userInfo();
  } catch {
    return { username: `uid ${process.getuid?.() ?? "unknown"}` };
  }
}
