// The threads that run V8's background tasks in a forked child (step B6 of the recipe).
#pragma once

#include <v8-platform.h>

#include <memory>

namespace prefork {

// Empties the pool and takes it into use in this process: to be called once in every forked child,
// where none of the parent's threads exist. `threads` is how many may be started.
void ResetBackgroundPool(int threads);

int BackgroundPoolSize();
int BackgroundThreadsStarted();

void PostBackgroundTask(std::unique_ptr<v8::Task> task, double delay_in_seconds);

// Blocks until every task that is due has run.
void DrainBackgroundPool();

// Between the two calls posted tasks are counted and dropped: tells whether a post arrives here.
void BeginPostProbe();
int EndPostProbe();

}  // namespace prefork
