// What a forked child must do to the parent's event loop and signals before any JavaScript runs
// (steps B1, B2 and B5 of the recipe).
#pragma once

#include <uv.h>

namespace prefork {

// A fresh epoll, wake-up fds and signal pipe. Returns 0 or a libuv error.
int RenewLoop(uv_loop_t* loop);

// The same for a child, which does not watch the files that its parent watches: set up anew they would
// take an inotify instance for each child, of which a user has 128. The loop of libuv's that tells of changes
// may stand on this stack; until ForgetParentsTurn() it finds its lists, and an fd with nothing to read.
int RenewLoopOfChild(uv_loop_t* loop);

// Inherited I/O fires no more, and what this stack still has to write is put off until ForgetParentsTurn() drops it;
// the fds stay open and usable.
void SilenceInheritedIo(uv_loop_t* loop);

// Inherited handles keep the loop alive no more, and libuv's table of signals is empty. To be called when
// JavaScript has let go of Node's own: the handle behind setImmediate() counts as long as it is started,
// and a SignalWrap looks up its signal number when it is closed, which a stopped handle has lost.
void ReleaseInheritedHandles(uv_loop_t* loop);

// Drops the parent's finished but undelivered thread pool work. wq_mutex must be held.
void DropInheritedWork(uv_loop_t* loop);

// Signals the parent handles have their default action again.
void ResetSignals();

// No timer fires between the two calls. A start() in a microtask leaves V8 terminating until the first
// prepare tick, and Node's RunTimers tries for ever to call JavaScript then. Node's own timer must go on
// afterwards: it is not started again for a setTimeout() that is due later. The others, those of V8's
// delayed tasks among them, are the parent's.
void HoldTimers(uv_loop_t* loop);
void LetNodeTimerGo(uv_loop_t* loop);

// Counts everything that keeps a loop running, but for requests inherited at the fork.
bool LoopAlive(const uv_loop_t* loop);
void RememberInheritedRequests(const uv_loop_t* loop);

// What the turn of the loop in which the fork happened has still brought: requests that were finished
// do not count as inherited any more, ports with more messages are not woken again, and no file of the
// parent's is watched.
void ForgetParentsTurn(uv_loop_t* loop);

}  // namespace prefork
