// The watchdog of the slow log: a thread that sees in memory, which JavaScript writes, that a request
// takes too long, and has V8 interrupt JavaScript, also in the middle of a loop. The interrupt writes
// the stack to the log.
//
//   JavaScript                        watchdog                       JavaScript thread, interrupted
//     begin: started, ticket + 1        sleeps until it is due
//                                       overdue = ticket
//                                       RequestInterrupt  ---------->  the same ticket? reported = ticket
//     end: ticket + 1                                                  and write the stack
//
// An odd ticket is a request, an even one the time between two. A watchdog that has seen no request for
// one timeout sleeps until the next one wakes it, so that an idle worker never wakes up for it.
// See v8::Isolate::RequestInterrupt, futex(2), pthread_atfork(3).
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "binding.h"
#include "futex.h"
#include "slow-log-entry.h"

namespace prefork {
namespace {

constexpr size_t kThreadStack = 256 * 1024;
constexpr double kUntilBegin = -1;

// Values of State::sleep.
constexpr int kForATime = 0;
constexpr int kForABegin = 1;
constexpr int kStopped = 2;

// As lib/server/slow-log.ts has it.
struct State {
  std::atomic<int32_t> ticket;
  std::atomic<int> sleep;
  std::atomic<int32_t> overdue;
  std::atomic<int32_t> reported;
  std::atomic<int32_t> kind;
  std::atomic<int32_t> file;
  int32_t unused[2];
  std::atomic<double> started;  // performance.now()
  std::atomic<double> id;
};
static_assert(offsetof(State, started) == 32 && sizeof(State) == 48, "the layout is JavaScript's");
static_assert(std::atomic<double>::is_always_lock_free, "JavaScript writes plain numbers");

struct Watch {
  Isolate* isolate;
  std::shared_ptr<v8::BackingStore> memory;
  State* state;
  double timeout;
  double origin;  // of performance.now(), on the clock of Now()
  int worker;
  pthread_t thread;
};

// This process's. Null in a forked child: the thread is not there.
Watch* watch = nullptr;

// Held by the watchdog while it asks for an interrupt and by whoever forks: V8 takes a lock for it, which
// in a child would be locked for ever.
pthread_mutex_t asking = PTHREAD_MUTEX_INITIALIZER;

std::vector<std::string> kinds;

double Now() { return static_cast<double>(uv_hrtime()) / 1e6; }

bool IsRequest(int32_t ticket) { return (ticket & 1) != 0; }

double ElapsedNow(const Watch& w) {
  return std::max(0.0, std::floor(Now() - w.origin - w.state->started.load()));
}

// ---- What is written

std::string Header(const Watch& w) {
  char text[160];
  snprintf(text, sizeof(text), " worker %d pid %d %s %.0f: %.0f ms", w.worker, getpid(),
           kinds[w.state->kind.load()].c_str(), w.state->id.load(), ElapsedNow(w));
  return Timestamp() + text;
}

void OnInterrupt(Isolate* isolate, void*) {
  if (watch == nullptr || watch->isolate != isolate) return;
  State* state = watch->state;
  const int32_t ticket = state->ticket.load();
  // The request that was overdue has ended meanwhile.
  if (!IsRequest(ticket) || ticket != state->overdue.load()) return;
  if (ticket == state->reported.load()) return;
  state->reported.store(ticket);
  AppendEntry(state->file.load(), Header(*watch) + "\n" + StackLines(isolate));
}

// ---- The watchdog

void Ask(Watch* w) {
  pthread_mutex_lock(&asking);
  w->isolate->RequestInterrupt(OnInterrupt, nullptr);
  pthread_mutex_unlock(&asking);
}

// How long there is nothing to do, in ms. `seen` is the ticket of the look before.
double Look(Watch* w, int32_t* seen) {
  const double now = Now();
  State* state = w->state;
  const int32_t ticket = state->ticket.load();
  const bool quiet = ticket == *seen;
  *seen = ticket;
  if (!IsRequest(ticket) || state->overdue.load() == ticket) {
    return quiet ? kUntilBegin : w->timeout;
  }
  const double due = state->started.load() + w->origin + w->timeout;
  // The time may be that of another request, which has begun after this look.
  if (state->ticket.load() != ticket) return w->timeout;
  if (due > now) return due - now;
  state->overdue.store(ticket);
  Ask(w);
  return w->timeout;
}

void SleepFor(State* state, double ms) {
  const double whole = static_cast<double>(static_cast<time_t>(ms / 1e3));
  const timespec limit = {static_cast<time_t>(whole), static_cast<long>((ms - whole * 1e3) * 1e6)};
  FutexWait(&state->sleep, kForATime, &limit);
}

void SleepUntilBegin(State* state, int32_t seen) {
  int expected = kForATime;
  if (!state->sleep.compare_exchange_strong(expected, kForABegin)) return;
  // A request either finds that it has to wake this thread or has begun before this look at its ticket.
  if (state->ticket.load() == seen) {
    while (state->sleep.load() == kForABegin) FutexWait(&state->sleep, kForABegin);
  }
  expected = kForABegin;
  state->sleep.compare_exchange_strong(expected, kForATime);
}

void* ThreadMain(void* argument) {
  Watch* w = static_cast<Watch*>(argument);
  int32_t seen = 0;
  while (w->state->sleep.load() != kStopped) {
    const double ms = Look(w, &seen);
    if (ms == kUntilBegin) {
      SleepUntilBegin(w->state, seen);
    } else {
      SleepFor(w->state, ms);
    }
  }
  return nullptr;
}

// Its name is in lib/process/thread-census.ts. With all signals blocked, so that the kernel delivers
// them to the main thread only.
int StartThread(Watch* w) {
  sigset_t all, old;
  sigfillset(&all);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kThreadStack);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  const int error = pthread_create(&w->thread, &attributes, ThreadMain, w);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  pthread_attr_destroy(&attributes);
  if (error == 0) pthread_setname_np(w->thread, "prefork-slowlog");
  return error;
}

void FollowForks() {
  static bool following = false;  // in children as well
  if (following) return;
  following = true;
  pthread_atfork([] { pthread_mutex_lock(&asking); }, [] { pthread_mutex_unlock(&asking); },
                 [] {
                   pthread_mutex_unlock(&asking);
                   watch = nullptr;  // never freed: its memory is the parent's JavaScript's
                 });
}

void StopWatch(void* argument) {
  Watch* w = static_cast<Watch*>(argument);
  if (w == nullptr || w != watch) return;
  w->state->sleep.store(kStopped);
  FutexWakeAll(&w->state->sleep);
  pthread_join(w->thread, nullptr);
  watch = nullptr;
  delete w;
}

// slowLogStart(memory, timeout, workerId, performance.now()) -> false when this process is watched already.
void Start(const Args& args) {
  if (watch != nullptr) return args.GetReturnValue().Set(false);
  Isolate* isolate = args.GetIsolate();
  const auto memory = args[0].As<v8::ArrayBuffer>()->GetBackingStore();
  auto w = std::make_unique<Watch>();
  w->isolate = isolate;
  w->memory = memory;
  w->state = static_cast<State*>(memory->Data());
  w->timeout = Number(args, 1);
  w->worker = Int(args, 2);
  w->origin = Now() - Number(args, 3);
  FollowForks();
  const int error = StartThread(w.get());
  if (error != 0) return ThrowErrno(isolate, error, "pthread_create");
  watch = w.release();
  // A forked child never runs its hooks: it ends by _exit.
  node::AddEnvironmentCleanupHook(isolate, StopWatch, watch);
  args.GetReturnValue().Set(true);
}

void Stop(const Args& args) {
  if (watch == nullptr) return;
  node::RemoveEnvironmentCleanupHook(args.GetIsolate(), StopWatch, watch);
  StopWatch(watch);
}

// slowLogWake(): the watchdog sleeps and a request has begun.
void Wake(const Args& args) {
  if (watch == nullptr) return;
  int expected = kForABegin;
  if (watch->state->sleep.compare_exchange_strong(expected, kForATime)) {
    FutexWakeAll(&watch->state->sleep);
  }
}

// slowLogKind(name) -> the number that stands for it in State::kind.
void AddKind(const Args& args) {
  kinds.push_back(OneLine(args.GetIsolate(), args[0].As<v8::String>()));
  Return(args, static_cast<int32_t>(kinds.size() - 1));
}

// slowLogLate(): the request that ends now was overdue and never in JavaScript since.
void Late(const Args& args) {
  if (watch == nullptr || !IsRequest(watch->state->ticket.load())) return;
  watch->state->reported.store(watch->state->ticket.load());
  AppendEntry(watch->state->file.load(),
              Header(*watch) + ", no stack: it was not in JavaScript when it was due\n");
}

}  // namespace

void RegisterSlowLog(Local<Object> exports) {
  NODE_SET_METHOD(exports, "slowLogStart", Start);
  NODE_SET_METHOD(exports, "slowLogStop", Stop);
  NODE_SET_METHOD(exports, "slowLogWake", Wake);
  NODE_SET_METHOD(exports, "slowLogKind", AddKind);
  NODE_SET_METHOD(exports, "slowLogLate", Late);
}

}  // namespace prefork
