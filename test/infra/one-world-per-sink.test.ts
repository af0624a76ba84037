// All functions of the topology `per-sink` meet: see one-world.ts.
import { describeWorld } from "./one-world.ts";

describeWorld("per-sink");
