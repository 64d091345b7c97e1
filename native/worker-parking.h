// Parks V8's background threads for the time of a fork (step A3 of the recipe in docs/fork-safety.md).
#pragma once

#include <node.h>
#include <v8-platform.h>

namespace prefork {

// Returns when `count` background threads stand still outside every lock of V8's and of the
// platform's. `unblock` is called every few milliseconds of waiting: it must run JavaScript.
void ParkWorkers(v8::Platform* platform, int count, void (*unblock)(void*), void* data);

// Lets the parked threads go on. In the child there are none: forget them.
void ReleaseWorkers();
void ForgetParkedWorkers();

}  // namespace prefork
