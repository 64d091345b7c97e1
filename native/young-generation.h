// Lets the children of many forks in a row do without a garbage collection.
#pragma once

#include <v8.h>

namespace prefork {

// To be called before V8's threads are parked: it may collect the young generation.
void MakeRoomForChildren(v8::Isolate* isolate);

}  // namespace prefork
