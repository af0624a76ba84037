// All functions of the topology `single` meet: see one-world.ts.
import { describeWorld } from "./one-world.ts";

describeWorld("single");
