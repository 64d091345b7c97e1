// What a forked child must do to the parent's event loop and signals before any JavaScript runs
// (steps B1, B2 and B5 of the recipe).
#pragma once

#include <uv.h>

namespace prefork {

// A fresh epoll, wake-up fds and signal pipe. Returns 0 or a libuv error.
int RenewLoop(uv_loop_t* loop);

// Inherited handles stay open and usable as fds, but fire no more and keep no loop alive.
void SilenceInheritedHandles(uv_loop_t* loop);

// Drops the parent's finished but undelivered thread pool work. wq_mutex must be held.
void DropInheritedWork(uv_loop_t* loop);

// Signals the parent handles have their default action again.
void ResetSignals(uv_loop_t* loop);

// Counts everything that keeps a loop running, but for requests inherited at the fork.
bool LoopAlive(const uv_loop_t* loop);
void RememberInheritedRequests(const uv_loop_t* loop);

}  // namespace prefork
