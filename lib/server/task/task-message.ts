/** The kind of a task message: that of its payload, and who gets the result. */
import { MAX_KIND } from '../bus/message';

/** Bits of the payload's kind (payload.ts). */
export const KIND_MASK = 3;

/**
 * Set in a task whose results are for the finish event, and in these. So they arrive also where the task is
 * not known any more: at the successor of who has submitted it, or after its handler has ended.
 */
export const FOR_EVENT = MAX_KIND - KIND_MASK;
