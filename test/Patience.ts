/**
 * How long the tests wait, in milliseconds of real time, for what must come. Only a test that fails ever waits so long,
 * so it is generous: a machine that is busy with other things may be slow, and is no fault of the hub's.
 */
export const patience = 60_000
