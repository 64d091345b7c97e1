// Signals, delivered on the event loop by libuv, which knows every number, also the realtime ones that
// process.on() has no name for; and the three interval timers.
// See uv_signal in libuv's documentation, signal(7), sigaction(2), setitimer(2).
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <uv.h>

#include "binding.h"
#include "fork.h"

namespace prefork {
namespace {

struct SignalWatcher {
  uv_signal_t handle;
  Isolate* isolate;
  v8::Global<Function> callback;
  int generation;
};

SignalWatcher* watchers[_NSIG] = {};

SignalWatcher* WatcherOf(int signo) {
  SignalWatcher* watcher = watchers[signo];
  // A child starts without its parent's watchers; the copies stay in the loop's list, stopped.
  if (watcher != nullptr && watcher->generation != ForkGeneration()) {
    watcher = watchers[signo] = nullptr;
  }
  return watcher;
}

void OnSignal(uv_signal_t* handle, int signo) {
  SignalWatcher* watcher = static_cast<SignalWatcher*>(handle->data);
  HandleScope scope(watcher->isolate);
  Local<Function> callback = watcher->callback.Get(watcher->isolate);
  Local<Context> context = callback->GetCreationContextChecked();
  Context::Scope context_scope(context);
  Local<Value> argument = v8::Integer::New(watcher->isolate, signo);
  (void)node::MakeCallback(watcher->isolate, Receiver(watcher->isolate), callback, 1, &argument,
                           {0, 0});
}

SignalWatcher* NewWatcher(Isolate* isolate, int signo) {
  SignalWatcher* watcher = new SignalWatcher();
  watcher->isolate = isolate;
  watcher->generation = ForkGeneration();
  watcher->handle.data = watcher;
  uv_signal_init(node::GetCurrentEventLoop(isolate), &watcher->handle);
  uv_unref(reinterpret_cast<uv_handle_t*>(&watcher->handle));
  return watchers[signo] = watcher;
}

void CloseWatcher(int signo) {
  SignalWatcher* watcher = WatcherOf(signo);
  if (watcher == nullptr) return;
  watchers[signo] = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&watcher->handle),
           [](uv_handle_t* handle) { delete static_cast<SignalWatcher*>(handle->data); });
}

// What SIG_IGN has put aside: libuv does not install its handler again while others, say a listener of
// process.on(), watch the same signal.
struct PutAside {
  struct sigaction action;
  int generation;
};

PutAside put_aside[_NSIG] = {};

bool IsIgnored(int signo) {
  struct sigaction now;
  return sigaction(signo, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

void StopIgnoring(int signo) {
  if (!IsIgnored(signo)) return;
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  action.sa_handler = SIG_DFL;
  if (put_aside[signo].generation == ForkGeneration()) action = put_aside[signo].action;
  sigaction(signo, &action, nullptr);
}

// signalWatch(signo, callback): replaces an earlier callback.
void Watch(const Args& args) {
  const int signo = Int(args, 0);
  StopIgnoring(signo);
  SignalWatcher* watcher = WatcherOf(signo);
  if (watcher == nullptr) watcher = NewWatcher(args.GetIsolate(), signo);
  watcher->callback.Reset(args.GetIsolate(), args[1].As<Function>());
  const int error = uv_signal_start(&watcher->handle, OnSignal, signo);
  if (error == 0) return;
  CloseWatcher(signo);
  ThrowErrno(args.GetIsolate(), -error, "sigaction");
}

// signalDefault(signo): libuv gives the default action back with the last watcher of the signal.
void Default(const Args& args) {
  CloseWatcher(Int(args, 0));
  StopIgnoring(Int(args, 0));
}

void Ignore(const Args& args) {
  const int signo = Int(args, 0);
  CloseWatcher(signo);
  if (IsIgnored(signo)) return;
  struct sigaction ignore;
  memset(&ignore, 0, sizeof(ignore));
  ignore.sa_handler = SIG_IGN;
  sigaction(signo, &ignore, &put_aside[signo].action);
  put_aside[signo].generation = ForkGeneration();
}

// setTimer(which, microseconds): first after that time, then every time; 0 cancels.
void SetTimer(const Args& args) {
  const double microseconds = Number(args, 1);
  timeval interval = {static_cast<time_t>(microseconds / 1e6), 0};
  interval.tv_usec =
      static_cast<suseconds_t>(microseconds - static_cast<double>(interval.tv_sec) * 1e6);
  const itimerval timer = {interval, interval};
  if (setitimer(static_cast<__itimer_which_t>(Int(args, 0)), &timer, nullptr) != 0) {
    ThrowErrno(args.GetIsolate(), errno, "setitimer");
  }
}

}  // namespace

void RegisterSignal(Local<Object> exports) {
  NODE_SET_METHOD(exports, "signalWatch", Watch);
  NODE_SET_METHOD(exports, "signalDefault", Default);
  NODE_SET_METHOD(exports, "signalIgnore", Ignore);
  NODE_SET_METHOD(exports, "setTimer", SetTimer);
}

}  // namespace prefork
