// Errors of system calls, as Node shapes them. libuv has names for the errors of the calls that it makes; others,
// such as ENOEXEC, have one in Node's older list.  See errno(3).
#include <uv.h>

#include "binding.h"

namespace prefork {
namespace {

bool IsKnownToLibuv(int error) {
  switch (-error) {
#define PREFORK_CASE(name, _) case UV_##name:
    UV_ERRNO_MAP(PREFORK_CASE)
#undef PREFORK_CASE
    return true;
    default:
      return false;
  }
}

// That list counts errno upwards.
Local<Value> OlderException(Isolate* isolate, int error, const char* syscall, const char* path) {
  Local<Value> exception = node::ErrnoException(isolate, error, syscall, "", path);
  exception.As<Object>()
      ->Set(isolate->GetCurrentContext(), v8::String::NewFromUtf8Literal(isolate, "errno"),
            v8::Integer::New(isolate, -error))
      .Check();
  return exception;
}

}  // namespace

void ThrowErrno(Isolate* isolate, int error, const char* syscall, const char* path) {
  isolate->ThrowException(IsKnownToLibuv(error)
                              ? node::UVException(isolate, -error, syscall, nullptr, path)
                              : OlderException(isolate, error, syscall, path));
}

}  // namespace prefork
