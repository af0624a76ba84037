// The core's log in a function: Powertools' lines of JSON.
import { Logger as PowertoolsLogger } from "@aws-lambda-powertools/logger";
import type { Logger } from "../log.ts";

export function defaultLogger(): PowertoolsLogger {
  return new PowertoolsLogger({ serviceName: "firehose-fanout" });
}

export function adapt(logger: PowertoolsLogger): Logger {
  return {
    debug: (message, fields = {}) => logger.debug(message, { ...fields }),
    info: (message, fields = {}) => logger.info(message, { ...fields }),
    warn: (message, fields = {}) => logger.warn(message, { ...fields }),
    error: (message, fields = {}) => logger.error(message, { ...fields }),
  };
}
