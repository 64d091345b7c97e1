// How a child leaves the parent's stack and how its life ends:
//
//   leaveParentStack(main, ending, exit)  called inside start(), deep in the parent's JavaScript
//     TerminateExecution                  the whole stack unwinds, uncatchably, back to Node's uv_run
//   first prepare tick                    drop the parent's microtasks, then call main()
//   every later prepare tick              nothing alive?  finish background tasks and look again;
//                                         still nothing?  call ending(), which emits beforeExit;
//                                         still nothing?  call exit()
//
// main() runs at the bottom of Node's own loop. Nesting uv_run would not run microtasks, and
// node::SpinEventLoop can wait for ever for the platform's threads, which a child does not have.
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <limits>
#include <utility>

#include "background-pool.h"
#include "binding.h"
#include "inherited-state.h"

namespace prefork {
namespace {

struct ChildLoop {
  Isolate* isolate = nullptr;
  uv_loop_t* loop = nullptr;
  node::MultiIsolatePlatform* platform = nullptr;
  uv_prepare_t prepare;
  uv_idle_t spin;  // keeps the next poll from blocking
  v8::Global<Function> main;
  v8::Global<Function> ending;
  v8::Global<Function> exit;
  bool initialised = false;
  bool left_from_timer = false;
  FlushRounds rounds = {0, 0};  // since the loop was alive
};

// One per process. A grandchild takes over its parent's handles: they are in the loop already, and
// to initialise a handle twice makes libuv's handle list a circle.
ChildLoop child;

void Call(const v8::Global<Function>& function) {
  HandleScope scope(child.isolate);
  Local<Function> callee = function.Get(child.isolate);
  Local<Context> context = callee->GetCreationContextChecked();
  Context::Scope context_scope(context);
  // Void: an exception went to process.on('uncaughtException') or ended the process already.
  (void)node::MakeCallback(child.isolate, Receiver(child.isolate), callee, 0, nullptr, {0, 0});
}

// While execution is terminating, tasks are taken off their queues and run no JavaScript.
void DropMicrotasks(Isolate* isolate) {
  isolate->TerminateExecution();
  isolate->PerformMicrotaskCheckpoint();
  isolate->CancelTerminateExecution();
}

// What the parent had pending: compilation results to hand over and microtasks.
void DropInheritedTasks() {
  HandleScope scope(child.isolate);
  child.isolate->TerminateExecution();
  child.platform->FlushForegroundTasks(child.isolate);
  DropMicrotasks(child.isolate);
}

int JavaScriptFrames(Isolate* isolate) {
  HandleScope scope(isolate);
  return v8::StackTrace::CurrentStackTrace(isolate, 1)->GetFrameCount();
}

// libuv's frames stay on the stack and go on with what this turn of the loop has for the parent: more
// finished requests, exits, messages. None of it may reach JavaScript here. The exception is
// processTimers(), which Node calls until it succeeds: with all timers cleared it does nothing.
void RefuseParentCallback(Isolate* isolate) {
  if (child.left_from_timer && JavaScriptFrames(isolate) == 0) {
    child.left_from_timer = false;
  } else {
    isolate->TerminateExecution();
  }
}

bool IsProcessTimers(Isolate* isolate, Local<v8::StackFrame> frame) {
  v8::String::Utf8Value function(isolate, frame->GetFunctionName());
  v8::String::Utf8Value script(isolate, frame->GetScriptName());
  return *function != nullptr && *script != nullptr &&
         strcmp(*function, "processTimers") == 0 && strcmp(*script, "node:internal/timers") == 0;
}

// Whether the outermost JavaScript is Node's processTimers().
bool InsideTimer(Isolate* isolate) {
  HandleScope scope(isolate);
  Local<v8::StackTrace> trace =
      v8::StackTrace::CurrentStackTrace(isolate, std::numeric_limits<int>::max());
  const int count = trace->GetFrameCount();
  return count > 0 && IsProcessTimers(isolate, trace->GetFrame(isolate, count - 1));
}

// As Node's main does between two turns of its loop: a background task may hand over a result that
// creates new work (asynchronous WebAssembly compilation ends this way). True when something ran.
bool FinishBackgroundTasks() {
  HandleScope scope(child.isolate);
  bool ran = false;
  for (;;) {
    const bool drained = DrainBackgroundPool();
    if (child.platform->FlushForegroundTasks(child.isolate)) {
      ran = true;
      if (drained && IsFruitless(&child.rounds)) return false;
    } else if (drained) {
      return ran;
    }
  }
}

void StartSpinning() {
  uv_idle_start(&child.spin, [](uv_idle_t* handle) { uv_idle_stop(handle); });
}

bool Alive() {
  uv_handle_t* own = reinterpret_cast<uv_handle_t*>(&child.prepare);
  uv_unref(own);
  const bool alive = LoopAlive(child.loop);
  uv_ref(own);
  return alive;
}

void OnPrepare(uv_prepare_t*) {
  if (!child.main.IsEmpty()) {
    v8::Global<Function> main = std::move(child.main);
    uv_idle_stop(&child.spin);
    child.isolate->RemoveBeforeCallEnteredCallback(RefuseParentCallback);
    ForgetParentsTurn(child.loop);
    DropInheritedTasks();
    LetNodeTimerGo(child.loop);
    Call(main);
    // The callback may have been left by a start() of its own: then this process is the grandchild.
    if (!child.main.IsEmpty()) return;
  }
  if (Alive()) {
    child.rounds = {0, 0};
    return;
  }
  if (FinishBackgroundTasks()) return StartSpinning();
  Call(child.ending);
  if (!Alive()) Call(child.exit);
}

void Install(Isolate* isolate, Local<Function> ending, Local<Function> exit) {
  child.isolate = isolate;
  child.loop = node::GetCurrentEventLoop(isolate);
  child.platform =
      node::GetMultiIsolatePlatform(node::GetCurrentEnvironment(isolate->GetCurrentContext()));
  child.ending.Reset(isolate, ending);
  child.exit.Reset(isolate, exit);
  if (!child.initialised) {
    uv_prepare_init(child.loop, &child.prepare);
    uv_idle_init(child.loop, &child.spin);
    child.initialised = true;
  }
  uv_prepare_stop(&child.prepare);
  uv_idle_stop(&child.spin);
  uv_ref(reinterpret_cast<uv_handle_t*>(&child.prepare));
  uv_ref(reinterpret_cast<uv_handle_t*>(&child.spin));
  uv_prepare_start(&child.prepare, OnPrepare);
}

// leaveParentStack(main, ending, exit): the caller must loop for ever afterwards, because termination is taken
// at a loop's back edge, not at once.
void LeaveParentStack(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  Install(isolate, args[1].As<Function>(), args[2].As<Function>());
  child.main.Reset(isolate, args[0].As<Function>());
  uv_idle_start(&child.spin, [](uv_idle_t*) {});
  HoldTimers(child.loop);
  // Here, because on the way down Node runs them when its outermost callback scope is closed.
  DropMicrotasks(isolate);
  child.left_from_timer = InsideTimer(isolate);
  isolate->AddBeforeCallEnteredCallback(RefuseParentCallback);
  isolate->TerminateExecution();
}

// watchLoopEnd(ending, exit): takes over the end of a process that goes on after daemon(3).
void WatchLoopEnd(const Args& args) {
  Install(args.GetIsolate(), args[0].As<Function>(), args[1].As<Function>());
}

// exitNow(code): the normal exit would join threads that a child does not have.
void ExitNow(const Args& args) { _exit(Int(args, 0)); }

}  // namespace

void RegisterChildLoop(Local<Object> exports) {
  NODE_SET_METHOD(exports, "leaveParentStack", LeaveParentStack);
  NODE_SET_METHOD(exports, "watchLoopEnd", WatchLoopEnd);
  NODE_SET_METHOD(exports, "exitNow", ExitNow);
}

}  // namespace prefork
