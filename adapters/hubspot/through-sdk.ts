// Calls of HubSpot's SDK that leave over the core's HTTP client.
import type { HttpReply, HttpRequest, SendContext } from "../../src/index.ts";

/** What the SDK's generated `RequestContext`, one class a submodule, has in common. */
interface BuiltRequest {
  getHttpMethod(): string;
  getUrl(): string;
  getHeaders(): Record<string, string>;
  getBody(): unknown;
}

/** An SDK's `httpApi.send` that hands the request over and never answers. */
export type Transport = (request: BuiltRequest) => Promise<never>;

/**
 * Runs one call of the SDK over `context.http` and returns the raw reply. The SDK does not get to read it: it
 * throws for most 2xx, loses the status of a body that does not parse, and puts every header in its messages.
 */
export function throughSdk(
  context: Pick<SendContext, "http" | "signal">,
  call: (transport: Transport) => Promise<unknown>,
): Promise<HttpReply> {
  return new Promise((resolve, reject) => {
    const transport: Transport = async (request) => {
      // Calls POST JSON text or GET; of an SDK that built anything else, nothing must be sent.
      const [method, body] = [request.getHttpMethod(), request.getBody()];
      const head = { url: request.getUrl(), headers: request.getHeaders() };
      let message: HttpRequest;
      if (method === "POST" && typeof body === "string") message = { ...head, method, body };
      else if (method === "GET" && body === undefined) message = { ...head, method };
      else throw new Error("hubspot: the SDK built a request without a JSON body");
      resolve(await context.http(message, context.signal));
      throw new Error("hubspot: the reply is read here, not by the SDK");
    };
    // Once the reply is there, this rejection comes too late to matter.
    call(transport).catch(reject);
  });
}
