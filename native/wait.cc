// Reaping. A process's children are watched together: one epoll fd holds their pidfds, which become
// readable at their end. Only pids this library forked are waited for, so that libuv reaps its own.
// See waitpid(2), epoll(7), pidfd_open(2).
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <vector>

#include "binding.h"

namespace prefork {
namespace {

constexpr int kBatch = 64;

void ChildEpollCreate(const Args& args) {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return ThrowErrno(args.GetIsolate(), errno, "epoll_create1");
  Return(args, fd);
}

// childEpollAdd(epoll, pidfd, pid)
void ChildEpollAdd(const Args& args) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = Int(args, 2);
  if (epoll_ctl(Int(args, 0), EPOLL_CTL_ADD, Int(args, 1), &event) != 0) {
    ThrowErrno(args.GetIsolate(), errno, "epoll_ctl");
  }
}

// childEpollRemove(epoll, pidfd): to close the pidfd is not enough, because forked siblings hold copies
// of it, and an epoll entry lives as long as any of them.
void ChildEpollRemove(const Args& args) {
  if (epoll_ctl(Int(args, 0), EPOLL_CTL_DEL, Int(args, 1), nullptr) != 0) {
    ThrowErrno(args.GetIsolate(), errno, "epoll_ctl");
  }
}

// childEpollWait(epoll, mayBlock) -> pids that have ended, at most kBatch.
void ChildEpollWait(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  epoll_event events[kBatch];
  int count;
  do {
    count = epoll_wait(Int(args, 0), events, kBatch, args[1]->IsTrue() ? -1 : 0);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return ThrowErrno(isolate, errno, "epoll_wait");
  Local<Value> pids[kBatch];
  for (int i = 0; i < count; i++) pids[i] = v8::Integer::New(isolate, events[i].data.fd);
  args.GetReturnValue().Set(v8::Array::New(isolate, pids, static_cast<size_t>(count)));
}

// reap(pid) -> [code, signal], undefined while it runs, null when somebody else has reaped it.
void Reap(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  int status;
  pid_t pid;
  do {
    pid = waitpid(Int(args, 0), &status, WNOHANG);
  } while (pid < 0 && errno == EINTR);
  if (pid == 0) return;
  if (pid < 0) return args.GetReturnValue().SetNull();
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  Local<Value> result[] = {v8::Integer::New(isolate, code), v8::Integer::New(isolate, signal)};
  args.GetReturnValue().Set(v8::Array::New(isolate, result, 2));
}

// killAndReap(pid): for a child that could not be put under watch.
void KillAndReap(const Args& args) {
  kill(Int(args, 0), SIGKILL);
  while (waitpid(Int(args, 0), nullptr, 0) < 0 && errno == EINTR) {
  }
}

// libuvChildren() -> pids that child_process waits for itself.
void LibuvChildren(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  std::vector<Local<Value>> pids;
  struct Walk {
    Isolate* isolate;
    std::vector<Local<Value>>* pids;
  } walk = {isolate, &pids};
  uv_walk(
      node::GetCurrentEventLoop(isolate),
      [](uv_handle_t* handle, void* data) {
        if (handle->type != UV_PROCESS) return;
        Walk* w = static_cast<Walk*>(data);
        const int pid = uv_process_get_pid(reinterpret_cast<uv_process_t*>(handle));
        w->pids->push_back(v8::Integer::New(w->isolate, pid));
      },
      &walk);
  args.GetReturnValue().Set(v8::Array::New(isolate, pids.data(), pids.size()));
}

// isSubreaper(): orphaned descendants come to this process though it is not PID 1.
void IsSubreaper(const Args& args) {
  int value = 0;
  args.GetReturnValue().Set(prctl(PR_GET_CHILD_SUBREAPER, &value) == 0 && value != 0);
}

// kill(pid, signal) -> false when there is no such process.
void Kill(const Args& args) {
  const int result = kill(Int(args, 0), Int(args, 1));
  if (result != 0 && errno != ESRCH) return ThrowErrno(args.GetIsolate(), errno, "kill");
  args.GetReturnValue().Set(result == 0);
}

}  // namespace

void RegisterWait(Local<Object> exports) {
  NODE_SET_METHOD(exports, "childEpollCreate", ChildEpollCreate);
  NODE_SET_METHOD(exports, "childEpollAdd", ChildEpollAdd);
  NODE_SET_METHOD(exports, "childEpollRemove", ChildEpollRemove);
  NODE_SET_METHOD(exports, "childEpollWait", ChildEpollWait);
  NODE_SET_METHOD(exports, "reap", Reap);
  NODE_SET_METHOD(exports, "killAndReap", KillAndReap);
  NODE_SET_METHOD(exports, "libuvChildren", LibuvChildren);
  NODE_SET_METHOD(exports, "isSubreaper", IsSubreaper);
  NODE_SET_METHOD(exports, "kill", Kill);
}

}  // namespace prefork
