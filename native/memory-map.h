// Steps A4: lets the child inherit the memory that V8 marked "do not copy at fork".
#pragma once

namespace prefork {

void MakeHeapInheritable();

}  // namespace prefork
