// Makes V8 post its background tasks to our pool in a forked child (step B6 of the recipe).
#pragma once

#include <v8-platform.h>

namespace prefork {

// Replaces the platform's posting functions. False when a task posted afterwards does not arrive in
// our pool; the platform is then as it was.
bool HookPlatform(v8::Platform* platform);

}  // namespace prefork
