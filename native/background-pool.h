// The threads that run V8's background tasks in a forked child (step B6 of the recipe).
#pragma once

#include <v8-platform.h>

#include <stdint.h>

#include <memory>

namespace prefork {

// Empties the pool and takes it into use in this process: to be called once in every forked child,
// where none of the parent's threads exist. `threads` is how many may be started.
void ResetBackgroundPool(int threads);

int BackgroundPoolSize();
int BackgroundThreadsStarted();

void PostBackgroundTask(std::unique_ptr<v8::Task> task, double delay_in_seconds);

// Waits until every task that is due has run. False when that takes long: a background compilation that
// runs out of heap waits for a collection, which it has posted to the isolate's own thread. So the
// caller runs the foreground tasks and calls again.
bool DrainBackgroundPool();

// Rounds of running foreground tasks, none of which has posted a background task.
struct FlushRounds {
  uint64_t posted;
  int fruitless;
};

// To be asked after each round. True when so many were fruitless that the next ones will be, too: an
// incremental sweep, whose concurrent part was running in the parent at the fork, waits for that part for
// ever, and posts itself again each time.
bool IsFruitless(FlushRounds* rounds);

// Between the two calls posted tasks are counted and dropped: tells whether a post arrives here.
void BeginPostProbe();
int EndPostProbe();

}  // namespace prefork
