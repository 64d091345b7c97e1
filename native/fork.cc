// fork(): steps A2 to B6 of the recipe in docs/fork-safety.md. Each is there because a child hung or
// crashed without it. See fork(2), pidfd_open(2), prctl(2), pthread_sigmask(3).
//
//   parent                                   child
//     park V8's threads                        renew the loop's fds
//     make V8's heap inheritable               silence the parent's handles, drop its pool work
//     block all signals, lock the pool queue   exit by _exit; V8's tasks to our own threads
//     fork()  ------------------------------>  default signal actions, unblock
//     unlock, release, unblock
#include "fork.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "background-pool.h"
#include "binding.h"
#include "inherited-state.h"
#include "memory-map.h"
#include "platform-hook.h"
#include "worker-parking.h"
#include "young-generation.h"

namespace prefork {
namespace {

enum Mode { kChild = 0, kDaemon = 1 };

int generation = 0;
bool forked = false;  // this process has none of Node's own background threads
bool background_threads = true;

struct Source {
  Isolate* isolate;
  node::Environment* env;
  node::MultiIsolatePlatform* platform;
  uv_loop_t* loop;
  Local<Function> noop;
};

Source SourceOf(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  node::Environment* env = node::GetCurrentEnvironment(isolate->GetCurrentContext());
  return {isolate, env, node::GetMultiIsolatePlatform(env), node::GetCurrentEventLoop(isolate),
          args[1].As<Function>()};
}

// NumberOfWorkerThreads() of Node's platform counts its scheduler of delayed tasks as well.
int PlatformThreads(v8::Platform* platform) { return platform->NumberOfWorkerThreads() - 1; }

void CallNoop(void* data) {
  Source* source = static_cast<Source*>(data);
  HandleScope scope(source->isolate);
  Local<Context> context = source->isolate->GetCurrentContext();
  source->noop->Call(context, context->Global(), 0, nullptr).IsEmpty();
}

void Park(Source* source) {
  if (!background_threads) return;  // the hook failed: this child has none
  const int count = forked ? BackgroundThreadsStarted() : PlatformThreads(source->platform);
  ParkWorkers(source->platform, count, CallNoop, source);
}

// Before the hook NumberOfWorkerThreads() is Node's, afterwards it is ours.
int BackgroundThreadsWanted(v8::Platform* platform) {
  static int wanted = PlatformThreads(platform);
  return wanted;
}

void DieWithParent(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(128 + SIGKILL);  // it died before the request was made
}

void PrepareChild(Source* source, Mode mode, pid_t parent) {
  forked = true;
  if (mode == kChild) DieWithParent(parent);
  const int error =
      mode == kChild ? RenewLoopOfChild(source->loop) : RenewLoop(source->loop);
  if (error != 0) _exit(70);  // EX_SOFTWARE: no epoll or no pipe to be had
  if (mode == kChild) {
    generation++;
    SilenceInheritedIo(source->loop);
    ResetSignals();
  }
  RememberInheritedRequests(source->loop);
  node::SetProcessExitHandler(source->env, [](node::Environment*, int code) { _exit(code); });
  ForgetParkedWorkers();
  ResetBackgroundPool(BackgroundThreadsWanted(source->platform));
  background_threads = HookPlatform(source->platform);
}

// fork() with every signal blocked and no pool thread inside the queue of finished work.
pid_t ForkQuietly(Source* source, Mode mode) {
  const pid_t parent = getpid();
  sigset_t all, old;
  sigfillset(&all);
  uv_mutex_lock(&source->loop->wq_mutex);
  // A signal that libuv caught just before the fork makes the child spin at 100 % (libuv#3483).
  pthread_sigmask(SIG_SETMASK, &all, &old);
  const pid_t pid = fork();
  const int error = errno;
  if (pid == 0) DropInheritedWork(source->loop);
  uv_mutex_unlock(&source->loop->wq_mutex);
  if (pid == 0) PrepareChild(source, mode, parent);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  errno = error;
  return pid;
}

pid_t ParkAndFork(Source* source, Mode mode) {
  BackgroundThreadsWanted(source->platform);
  Park(source);
  const pid_t pid = MakeHeapInheritable() ? ForkQuietly(source, mode) : -1;
  const int error = errno;
  if (pid != 0) ReleaseWorkers();
  errno = error;
  return pid;
}

// forkChild(out, noop): pid in the parent, 0 in the child; out[0] is the child's pidfd.
// The fd for the pidfd is taken before the fork: no child exists when there is none left.
void ForkChild(const Args& args) {
  Source source = SourceOf(args);
  int32_t* out = reinterpret_cast<int32_t*>(node::Buffer::Data(args[0]));
  const int reserved = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (reserved < 0) return ThrowErrno(source.isolate, errno, "pidfd_open");
  MakeRoomForChildren(source.isolate);
  const pid_t pid = ParkAndFork(&source, kChild);
  const int error = errno;
  close(reserved);
  if (pid < 0) return ThrowErrno(source.isolate, error, "fork");
  if (pid > 0) out[0] = static_cast<int32_t>(syscall(SYS_pidfd_open, pid, 0));
  if (pid > 0 && out[0] < 0) {
    const int why = errno;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return ThrowErrno(source.isolate, why, "pidfd_open");
  }
  Return(args, pid);
}

// forkDaemon(out, noop): the caller goes on in the child, in a session of its own; the parent ends.
void ForkDaemon(const Args& args) {
  Source source = SourceOf(args);
  const pid_t pid = ParkAndFork(&source, kDaemon);
  if (pid < 0) return ThrowErrno(source.isolate, errno, "fork");
  if (pid > 0) _exit(0);
  setsid();
}

// releaseInheritedHandles(): the last step of the reset, see inherited-state.h.
void ReleaseHandles(const Args& args) {
  ReleaseInheritedHandles(node::GetCurrentEventLoop(args.GetIsolate()));
}

// requestsInFlight(): fs, dns, crypto and socket requests that a forked process would lose.
void RequestsInFlight(const Args& args) {
  Return(args, static_cast<int32_t>(
                   node::GetCurrentEventLoop(args.GetIsolate())->active_reqs.count));
}

// platformThreads(): threads Node runs for V8 in this process: workers and the delayed scheduler.
void PlatformThreadCount(const Args& args) {
  node::Environment* env = node::GetCurrentEnvironment(args.GetIsolate()->GetCurrentContext());
  Return(args, forked ? BackgroundThreadsStarted()
                      : node::GetMultiIsolatePlatform(env)->NumberOfWorkerThreads());
}

// hasBackgroundThreads(): whether V8's background tasks run in this process.
void HasBackgroundThreads(const Args& args) { args.GetReturnValue().Set(background_threads); }

}  // namespace

int ForkGeneration() { return generation; }

void RegisterFork(Local<Object> exports) {
  NODE_SET_METHOD(exports, "forkChild", ForkChild);
  NODE_SET_METHOD(exports, "forkDaemon", ForkDaemon);
  NODE_SET_METHOD(exports, "releaseInheritedHandles", ReleaseHandles);
  NODE_SET_METHOD(exports, "requestsInFlight", RequestsInFlight);
  NODE_SET_METHOD(exports, "platformThreads", PlatformThreadCount);
  NODE_SET_METHOD(exports, "hasBackgroundThreads", HasBackgroundThreads);
}

}  // namespace prefork
