// All functions of the topology `per-sink` meet: see one-world.ts.
import { describe } from "vitest";
import { describeWorld } from "./one-world.ts";

describe("topology per-sink", () => describeWorld("per-sink"));
