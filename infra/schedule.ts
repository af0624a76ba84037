// How often functions run by themselves.

/** Deferrals say when their next attempt is due; nothing is due more exactly than this. */
export const replayMinutes = 5;

/** How often objects are held against receipts: it costs listings alone, and what is found is older anyway. */
export const reconcileHours = 1;
