/** Of package.json, which a bundle does not carry; a test holds them against each other. */
export const version = "0.1.0";
