// What an entry of the slow log is made of.  See v8::StackTrace, write(2).
#pragma once

#include <string>

#include "binding.h"

namespace prefork {

// Now, in UTC, to the millisecond.
std::string Timestamp();

// A function may be called anything: what it is called stays on its line.
std::string OneLine(Isolate* isolate, Local<v8::String> name);

// The JavaScript that runs, innermost first, one line a frame.
std::string StackLines(Isolate* isolate);

// With one call, so that the entries of several processes do not mix. A full disk is not the request's
// matter.
void AppendEntry(int fd, const std::string& entry);

}  // namespace prefork
