// The state of this process as a product of forks.
#pragma once

#include <node.h>

namespace prefork {

// How many forks lie between the first process and this one. A handle made under another
// generation belongs to the parent: its fd may be gone and its number in use by somebody else.
int ForkGeneration();

}  // namespace prefork
