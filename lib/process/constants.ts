/** The numbers of Swoole\Process that callers write by name. */

export const PIPE_TYPE_NONE = 0;
export const PIPE_TYPE_STREAM = 1;
export const PIPE_TYPE_DGRAM = 2;

/** Which part of the pipe `close()` closes. */
export const PIPE_MASTER = 1;
export const PIPE_WORKER = 2;
export const PIPE_READ = 3;
export const PIPE_WRITE = 4;

/** Added to a queue mode: push and pop do not block. */
export const IPC_NOWAIT = 256;
/** Every Process object has a mailbox of its own. */
export const QUEUE_ORIENT = 1;
/** All processes with the same key compete for the messages. */
export const QUEUE_BALANCE = 2;

/** What kind of pipe a Process has: none, bytes, or whole messages. */
export type PipeType = typeof PIPE_TYPE_NONE | typeof PIPE_TYPE_STREAM | typeof PIPE_TYPE_DGRAM;
