// A futex word to wait on. It holds no waiter list of its own, so, unlike a condition variable,
// its copy in a forked child does not remember threads that are gone.  See futex(2).
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

namespace prefork {

static_assert(sizeof(std::atomic<int>) == sizeof(int), "a futex word is a plain int");

// Sleeps while *word == value, at most `limit` when given. May wake early: callers loop.
inline void FutexWait(std::atomic<int>* word, int value, const timespec* limit = nullptr) {
  syscall(SYS_futex, reinterpret_cast<int*>(word), FUTEX_WAIT_PRIVATE, value, limit, nullptr, 0);
}

inline void FutexWakeAll(std::atomic<int>* word) {
  syscall(SYS_futex, reinterpret_cast<int*>(word), FUTEX_WAKE_PRIVATE, 1 << 30, nullptr, nullptr,
          0);
}

}  // namespace prefork
