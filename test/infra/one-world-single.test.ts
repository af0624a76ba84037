// All functions of the topology `single` meet: see one-world.ts.
import { describe } from "vitest";
import { describeWorld } from "./one-world.ts";

describe("topology single", () => describeWorld("single"));
