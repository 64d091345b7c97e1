// Steps A4: lets the child inherit the memory that V8 marked "do not copy at fork".
#pragma once

namespace prefork {

// False, with errno, when it cannot be told where that memory is: do not fork then.
bool MakeHeapInheritable();

}  // namespace prefork
