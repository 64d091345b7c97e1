// A mutex, a condition variable, a queue, a heap of delayed tasks and a few threads, started at the
// first task. Everything is rebuilt in a child: a copied lock may be held by a thread that is gone.
#include "background-pool.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "futex.h"

namespace prefork {
namespace {

struct Delayed {
  double due;
  std::unique_ptr<v8::Task> task;
  // std::*_heap keep the largest on top; the earliest is wanted there.
  bool operator<(const Delayed& other) const { return due > other.due; }
};

struct Pool {
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  std::deque<std::unique_ptr<v8::Task>> ready;
  std::vector<Delayed> delayed;
  std::atomic<int> unfinished{0};   // ready or running
  std::atomic<uint64_t> posted{0};  // since the fork
  bool probing = false;
  int probed = 0;
  int size = 0;
  int started = 0;
};

// Never freed: threads may still look at it while the process ends.
Pool* pool = nullptr;

double Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

timespec ToTimespec(double seconds) {
  const time_t whole = static_cast<time_t>(seconds);
  return {whole, static_cast<long>((seconds - static_cast<double>(whole)) * 1e9)};
}

void MoveDueTasks(Pool* p) {
  const double now = Now();
  while (!p->delayed.empty() && p->delayed.front().due <= now) {
    std::pop_heap(p->delayed.begin(), p->delayed.end());
    p->unfinished.fetch_add(1);
    p->posted++;
    p->ready.push_back(std::move(p->delayed.back().task));
    p->delayed.pop_back();
  }
}

std::unique_ptr<v8::Task> NextTask(Pool* p) {
  pthread_mutex_lock(&p->mutex);
  for (MoveDueTasks(p); p->ready.empty(); MoveDueTasks(p)) {
    if (p->delayed.empty()) {
      pthread_cond_wait(&p->wake, &p->mutex);
    } else {
      const timespec due = ToTimespec(p->delayed.front().due);
      pthread_cond_timedwait(&p->wake, &p->mutex, &due);
    }
  }
  std::unique_ptr<v8::Task> task = std::move(p->ready.front());
  p->ready.pop_front();
  pthread_mutex_unlock(&p->mutex);
  return task;
}

void* ThreadMain(void* argument) {
  Pool* p = static_cast<Pool*>(argument);
  pthread_setname_np(pthread_self(), "prefork-v8");
  for (;;) {
    std::unique_ptr<v8::Task> task = NextTask(p);
    task->Run();
    task.reset();
    p->unfinished.fetch_sub(1);
    FutexWakeAll(&p->unfinished);
  }
  return nullptr;
}

// With all signals blocked, so that the kernel delivers them to the main thread only.
void StartThreads(Pool* p) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 8 << 20);  // what Node gives its own
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  while (p->started < p->size) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, ThreadMain, p) != 0) break;  // EAGAIN: do with fewer
    p->started++;
  }
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

}  // namespace

void ResetBackgroundPool(int threads) {
  pool = new Pool();
  pool->size = threads;
  pthread_mutex_init(&pool->mutex, nullptr);
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&pool->wake, &attributes);
}

int BackgroundPoolSize() { return pool == nullptr ? 0 : pool->size; }
int BackgroundThreadsStarted() { return pool == nullptr ? 0 : pool->started; }

void BeginPostProbe() {
  pool->probing = true;
  pool->probed = 0;
}

int EndPostProbe() {
  pool->probing = false;
  return pool->probed;
}

void PostBackgroundTask(std::unique_ptr<v8::Task> task, double delay_in_seconds) {
  Pool* p = pool;
  if (p->probing) {
    p->probed++;
    return;
  }
  pthread_mutex_lock(&p->mutex);
  if (delay_in_seconds > 0) {
    p->delayed.push_back({Now() + delay_in_seconds, std::move(task)});
    std::push_heap(p->delayed.begin(), p->delayed.end());
  } else {
    p->unfinished.fetch_add(1);
    p->ready.push_back(std::move(task));
  }
  if (p->started < p->size) StartThreads(p);
  pthread_mutex_unlock(&p->mutex);
  pthread_cond_signal(&p->wake);
}

constexpr int kMostFruitlessRounds = 100;

bool IsFruitless(FlushRounds* rounds) {
  const uint64_t posted = pool == nullptr ? 0 : pool->posted.load();
  if (posted != rounds->posted) *rounds = {posted, 0};
  return ++rounds->fruitless > kMostFruitlessRounds;
}

bool DrainBackgroundPool() {
  const timespec patience = {0, 2 * 1000 * 1000};
  // No thread could be started: then nothing will ever finish here.
  if (pool == nullptr || pool->started == 0) return true;
  for (int left; (left = pool->unfinished.load()) > 0;) {
    FutexWait(&pool->unfinished, left, &patience);
    if (pool->unfinished.load() == left) return false;
  }
  return true;
}

}  // namespace prefork
