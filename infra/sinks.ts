// Which sinks can be deployed, and what each one needs beside its code.
import { ConfigError } from "../src/index.ts";

export interface DeployableSink {
  /** The folder in adapters/. */
  readonly adapter: string;
  /**
   * Whether its variables come from a secret, which is named after the adapter; see docs/deploy.md. Without one it is
   * a service of AWS's, which the function's role opens.
   */
  readonly secret: boolean;
  /** Whether one worker at a time sends to it; the same as its `limits.writers`. */
  readonly oneWriter?: true;
}

/** By name, as `SINKS` knows it. A sink of your own is one more line. */
export const deployableSinks: Readonly<Record<string, DeployableSink>> = {
  timestream: { adapter: "timestream", secret: false },
  segment: { adapter: "segment", secret: true },
  "segment-groups": { adapter: "segment", secret: true },
  mixpanel: { adapter: "mixpanel", secret: true },
  "hubspot-events": { adapter: "hubspot", secret: true },
  "hubspot-companies": { adapter: "hubspot", secret: true, oneWriter: true },
  webhook: { adapter: "webhook", secret: true },
};

/** @throws {ConfigError} when there is no such sink to deploy. */
export function deployableSink(name: string): DeployableSink {
  const sink = Object.hasOwn(deployableSinks, name) ? deployableSinks[name] : undefined;
  if (sink !== undefined) return sink;
  const known = Object.keys(deployableSinks).join(", ");
  throw new ConfigError([`the sink ${name} cannot be deployed; known are ${known}`]);
}

/** What a bundle of these sinks must hold, each adapter once. */
export function adaptersOf(sinks: readonly string[]): readonly string[] {
  return [...new Set(sinks.map((name) => deployableSink(name).adapter))];
}

/** The adapters that have a secret. */
export function secretsOf(sinks: readonly string[]): readonly string[] {
  return adaptersOf(sinks.filter((name) => deployableSink(name).secret));
}

/** Whether one worker at a time sends to the sink; of the lane of the invalid records, which is none, it is false. */
export function hasOneWriter(name: string): boolean {
  return Object.hasOwn(deployableSinks, name) && deployableSinks[name]?.oneWriter === true;
}
