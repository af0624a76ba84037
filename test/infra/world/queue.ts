// A queue with a dead-letter queue behind it, as an event source mapping of Lambda polls it.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
import { randomUUID } from "node:crypto";

export interface Message {
  readonly id: string;
  readonly body: string;
  readonly sentAt: number;
  receives: number;
  visibleAt: number;
  handle: string;
}

export interface Queue {
  readonly name: string;
  readonly messages: Map<string, Message>;
  send(body: string): void;
  /** Messages that are visible now, hidden by this for the queue's visibility timeout; those received too often move. */
  receive(most: number): Message[];
  delete(handle: string): void;
  /** False when nobody has the message under this handle. */
  changeVisibility(handle: string, seconds: number): boolean;
  /** When the next message that is hidden comes back, in milliseconds since the epoch. */
  nextAt(): number | undefined;
}

export interface QueueOptions {
  readonly name: string;
  readonly now: () => number;
  readonly visibilityMs: number;
  readonly redrive?: { readonly maxReceiveCount: number; readonly to: () => Queue };
}

export function createQueue({ name, now, visibilityMs, redrive }: QueueOptions): Queue {
  const messages = new Map<string, Message>();
  const byHandle = (handle: string) => [...messages.values()].find((each) => each.handle === handle);
  return {
    name,
    messages,
    send(body) {
      const id = randomUUID();
      messages.set(id, { id, body, sentAt: now(), receives: 0, visibleAt: now(), handle: "" });
    },
    receive(most) {
      const given: Message[] = [];
      for (const message of messages.values()) {
        if (given.length === most) break;
        if (message.visibleAt > now()) continue;
        if (redrive !== undefined && message.receives >= redrive.maxReceiveCount) {
          messages.delete(message.id);
          redrive.to().messages.set(message.id, { ...message, receives: 0, visibleAt: now() });
          continue;
        }
        message.receives++;
        message.visibleAt = now() + visibilityMs;
        message.handle = randomUUID();
        given.push(message);
      }
      return given;
    },
    delete(handle) {
      const message = byHandle(handle);
      if (message !== undefined) messages.delete(message.id);
    },
    changeVisibility(handle, seconds) {
      const message = byHandle(handle);
      if (message === undefined) return false;
      message.visibleAt = now() + seconds * 1000;
      return true;
    },
    nextAt() {
      const times = [...messages.values()].map(({ visibleAt }) => visibleAt).filter((at) => at > now());
      return times.length === 0 ? undefined : Math.min(...times);
    },
  };
}
