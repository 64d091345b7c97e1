// Included before every file (binding.gyp). A binary needs the newest version of each C library symbol
// that the machine it is built on has; this asks for the oldest, so that binaries built anywhere run
// wherever Node does: glibc 2.28. scripts/prebuild.mjs checks it.
#pragma once

#include <features.h>

#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__))

#if defined(__x86_64__)
#define PREFORK_OLDEST(symbol, version) __asm__(".symver " #symbol "," #symbol "@GLIBC_" version)
#define PREFORK_STAT_VERSION 1
#else
// Its first version has all of them.
#define PREFORK_OLDEST(symbol, version) __asm__(".symver " #symbol "," #symbol "@GLIBC_2.17")
#define PREFORK_STAT_VERSION 0
#endif

// Moved into libc.so, with a new version, by 2.32 and 2.34. Before they were in libpthread.so, which Node
// loads, and in librt.so, which binding.gyp names for that.
PREFORK_OLDEST(mq_getattr, "2.3.4");
PREFORK_OLDEST(mq_open, "2.3.4");
PREFORK_OLDEST(mq_receive, "2.3.4");
PREFORK_OLDEST(mq_send, "2.3.4");
PREFORK_OLDEST(mq_timedreceive, "2.3.4");
PREFORK_OLDEST(mq_timedsend, "2.3.4");
PREFORK_OLDEST(mq_unlink, "2.3.4");
PREFORK_OLDEST(pthread_attr_setstacksize, "2.2.5");
PREFORK_OLDEST(pthread_condattr_setclock, "2.3.3");
PREFORK_OLDEST(pthread_create, "2.2.5");
PREFORK_OLDEST(pthread_detach, "2.2.5");
PREFORK_OLDEST(pthread_getname_np, "2.12");
PREFORK_OLDEST(pthread_join, "2.2.5");
PREFORK_OLDEST(pthread_kill, "2.2.5");
PREFORK_OLDEST(pthread_setname_np, "2.12");
PREFORK_OLDEST(pthread_sigmask, "2.2.5");

// Inlined in the library until 2.33, which made functions of them.
#if __GLIBC_PREREQ(2, 33)
#include <sys/stat.h>
extern "C" {
int __fxstat64(int version, int fd, struct stat64* result);
int __lxstat64(int version, const char* path, struct stat64* result);
__attribute__((weak, visibility("hidden"))) int fstat64(int fd, struct stat64* result) noexcept {
  return __fxstat64(PREFORK_STAT_VERSION, fd, result);
}
__attribute__((weak, visibility("hidden"))) int lstat64(const char* path,
                                                        struct stat64* result) noexcept {
  return __lxstat64(PREFORK_STAT_VERSION, path, result);
}
}
#endif

// What the headers of newer C++ compilers use.
#include <new>
extern "C" {
// Says that atomics can be done without: never so here.
__attribute__((weak, visibility("hidden"))) char __libc_single_threaded = 0;
}
namespace std {
// Of an allocation whose size overflows; without exceptions nobody could go on.
__attribute__((weak, visibility("hidden"))) void __throw_bad_array_new_length() {
  __builtin_trap();
}
}  // namespace std

#endif
