// Where things stand in the buckets. Apart from what makes the buckets, so that functions can know it without CDK.

/** How the keys begin of what the stream delivers, and of what its transform refused. */
export const dataPrefix = "Data/";
export const errorPrefix = "Error/";

/** Where the workers write in the bucket of their books. */
export const receiptsPrefix = "receipts";
export const deadLettersPrefix = "dead-letters";
