// Memory that crosses a fork: pages shared by a process and its children, and sealed memfds that
// carry one large message.  See mmap(2), memfd_create(2), fcntl(2) on file sealing.
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "binding.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace prefork {
namespace {

// mapShared(bytes) -> ArrayBuffer of shared pages, all zero. A garbage collection unmaps it in the
// process where it runs. undefined where V8 takes no memory but its own.
void MapShared(const Args& args) {
#ifndef V8_ENABLE_SANDBOX
  Isolate* isolate = args.GetIsolate();
  const size_t bytes = static_cast<size_t>(Number(args, 0));
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return ThrowErrno(isolate, errno, "mmap");
  const auto unmap = [](void* data, size_t length, void*) { munmap(data, length); };
  args.GetReturnValue().Set(v8::ArrayBuffer::New(
      isolate, v8::ArrayBuffer::NewBackingStore(pages, bytes, unmap, nullptr)));
#endif
}

// keepFreedMemory(). To what glibc's own rule comes after the first free of a block of 32 MB: buffers of
// large messages are made of freed memory, and not of new pages that the kernel has to clear one by one.
void KeepFreedMemory(const Args&) {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

// bytesToAlignment(view, alignment, a power of two) -> bytes from its begin to the next multiple.
void BytesToAlignment(const Args& args) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(node::Buffer::Data(args[0]));
  const uintptr_t alignment = static_cast<uintptr_t>(Int(args, 1));
  Return(args, static_cast<int32_t>(-address & (alignment - 1)));
}

// releasePages(view). Advice: where the kernel does not take it, the pages stay.
void ReleasePages(const Args& args) {
  madvise(node::Buffer::Data(args[0]), node::Buffer::Length(args[0]), MADV_REMOVE);
}

// MFD_NOEXEC_SEAL, since Linux 6.3, can be compulsory; older kernels refuse it.
int CreateMemfd() {
  const int fd = memfd_create("prefork", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd >= 0 || errno != EINVAL) return fd;
  return memfd_create("prefork", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

// The name of the system call that failed, or null.
const char* FillAndSeal(int fd, const char* data, size_t length) {
  for (size_t written = 0; written < length;) {
    const ssize_t n = write(fd, data + written, length - written);
    if (n >= 0) {
      written += static_cast<size_t>(n);
    } else if (errno != EINTR) {
      return "write";
    }
  }
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  return fcntl(fd, F_ADD_SEALS, seals) == 0 ? nullptr : "fcntl";
}

// memfdWith(data) -> fd of a memfd that holds the bytes and can no longer change.
void MemfdWith(const Args& args) {
  const int fd = CreateMemfd();
  if (fd < 0) return ThrowErrno(args.GetIsolate(), errno, "memfd_create");
  const char* failed =
      FillAndSeal(fd, node::Buffer::Data(args[0]), node::Buffer::Length(args[0]));
  if (failed == nullptr) return Return(args, fd);
  const int error = errno;
  close(fd);
  ThrowErrno(args.GetIsolate(), error, failed);
}

// memfdStat(fd) -> [size, seals]; seals is -1 for anything that cannot be sealed.
void MemfdStat(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  struct stat status;
  if (fstat(Int(args, 0), &status) != 0) return ThrowErrno(isolate, errno, "fstat");
  const int seals = fcntl(Int(args, 0), F_GET_SEALS);
  Local<Value> pair[] = {v8::Number::New(isolate, static_cast<double>(status.st_size)),
                         v8::Integer::New(isolate, seals)};
  args.GetReturnValue().Set(v8::Array::New(isolate, pair, 2));
}

// memfdRead(fd, buffer) -> bytes read from its start, fewer than asked only where it ends.
void MemfdRead(const Args& args) {
  char* data = node::Buffer::Data(args[1]);
  const size_t length = node::Buffer::Length(args[1]);
  size_t have = 0;
  while (have < length) {
    const ssize_t n = pread(Int(args, 0), data + have, length - have, static_cast<off_t>(have));
    if (n == 0) break;
    if (n > 0) {
      have += static_cast<size_t>(n);
    } else if (errno != EINTR) {
      return ThrowErrno(args.GetIsolate(), errno, "pread");
    }
  }
  args.GetReturnValue().Set(static_cast<double>(have));
}

}  // namespace

void RegisterMemory(Local<Object> exports) {
  NODE_SET_METHOD(exports, "keepFreedMemory", KeepFreedMemory);
  NODE_SET_METHOD(exports, "bytesToAlignment", BytesToAlignment);
  NODE_SET_METHOD(exports, "releasePages", ReleasePages);
  NODE_SET_METHOD(exports, "mapShared", MapShared);
  NODE_SET_METHOD(exports, "memfdWith", MemfdWith);
  NODE_SET_METHOD(exports, "memfdStat", MemfdStat);
  NODE_SET_METHOD(exports, "memfdRead", MemfdRead);
}

}  // namespace prefork
