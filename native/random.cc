// Entropy straight from the kernel: OpenSSL would first reseed itself, which every forked child would
// pay for, also those that draw no random number.  See getrandom(2).
#include <sys/random.h>

#include "binding.h"

namespace prefork {
namespace {

// fillRandom(buffer): a signal may cut one call short.
void FillRandom(const Args& args) {
  char* data = node::Buffer::Data(args[0]);
  const size_t length = node::Buffer::Length(args[0]);
  for (size_t filled = 0; filled < length;) {
    const ssize_t n = getrandom(data + filled, length - filled, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ThrowErrno(args.GetIsolate(), errno, "getrandom");
    filled += static_cast<size_t>(n);
  }
}

}  // namespace

void RegisterRandom(Local<Object> exports) {
  NODE_SET_METHOD(exports, "fillRandom", FillRandom);
}

}  // namespace prefork
