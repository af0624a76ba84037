// The catalog that ships: every file of this folder is a metric. A bundle has its catalog beside it, as one JSON file.
import { loadCatalog } from "../../src/index.ts";

export default await loadCatalog(new URL(".", import.meta.url));
