// Who this process is, its scheduling, and the replacement of its program. On Linux affinity and priority belong to
// threads: they are set for every thread of the process, and new threads inherit them.
// See sched_setaffinity(2), setpriority(2), execv(3).
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "binding.h"

namespace prefork {
namespace {

// Calls `apply` for every thread of `pid`. Returns 0, or the errno of the first that failed.
template <typename Apply>
int ForEachThread(pid_t pid, Apply apply) {
  const std::string path = "/proc/" + std::to_string(pid) + "/task";
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return errno == ENOENT ? ESRCH : errno;
  int error = 0;
  while (dirent* entry = readdir(directory)) {
    const pid_t tid = atoi(entry->d_name);
    // ESRCH: the thread has ended meanwhile.
    if (tid > 0 && apply(tid) != 0 && errno != ESRCH && error == 0) error = errno;
  }
  closedir(directory);
  return error;
}

void GetPid(const Args& args) { Return(args, getpid()); }
void GetParentPid(const Args& args) { Return(args, getppid()); }

// cpuCount(): those that are off for the moment have numbers as well.
void CpuCount(const Args& args) {
  Return(args, static_cast<int32_t>(sysconf(_SC_NPROCESSORS_CONF)));
}

// setAffinity(cpus)
void SetAffinity(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  Local<v8::Array> cpus = args[0].As<v8::Array>();
  cpu_set_t set;
  CPU_ZERO(&set);
  for (uint32_t i = 0; i < cpus->Length(); i++) {
    Local<Value> cpu = cpus->Get(isolate->GetCurrentContext(), i).ToLocalChecked();
    CPU_SET(static_cast<size_t>(cpu.As<v8::Int32>()->Value()), &set);
  }
  const int error = ForEachThread(
      getpid(), [&](pid_t tid) { return sched_setaffinity(tid, sizeof(set), &set); });
  if (error != 0) ThrowErrno(isolate, error, "sched_setaffinity");
}

void GetAffinity(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) {
    return ThrowErrno(isolate, errno, "sched_getaffinity");
  }
  std::vector<Local<Value>> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(static_cast<size_t>(cpu), &set)) cpus.push_back(v8::Integer::New(isolate, cpu));
  }
  args.GetReturnValue().Set(v8::Array::New(isolate, cpus.data(), cpus.size()));
}

// setPriority(pid, nice)
void SetPriority(const Args& args) {
  const int nice = Int(args, 1);
  const int error = ForEachThread(Int(args, 0), [&](pid_t tid) {
    return setpriority(PRIO_PROCESS, static_cast<id_t>(tid), nice);
  });
  if (error != 0) ThrowErrno(args.GetIsolate(), error, "setpriority");
}

// getPriority(pid): -1 is a legal value, so errno decides.
void GetPriority(const Args& args) {
  errno = 0;
  const int nice = getpriority(PRIO_PROCESS, static_cast<id_t>(Int(args, 0)));
  if (nice == -1 && errno != 0) return ThrowErrno(args.GetIsolate(), errno, "getpriority");
  Return(args, nice);
}

// Node marks 0, 1 and 2 close-on-exec at its start: the program would have no stdio. The flags come
// back when there is no new program.
class InheritStdio {
 public:
  InheritStdio() {
    for (int fd = 0; fd < kCount; fd++) {
      flags_[fd] = fcntl(fd, F_GETFD);
      fcntl(fd, F_SETFD, 0);
    }
  }
  ~InheritStdio() {
    for (int fd = 0; fd < kCount; fd++) fcntl(fd, F_SETFD, flags_[fd]);
  }

 private:
  static constexpr int kCount = 3;
  int flags_[kCount];
};

int Execute(char** argv) {
  InheritStdio inherit;
  execv(argv[0], argv);
  return errno;
}

// exec(file, args): returns only by an exception. Node ignores SIGPIPE, and an ignored signal stays
// ignored in the new program, which would then never notice a closed pipe.
void Exec(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  Local<v8::Array> list = args[1].As<v8::Array>();
  std::vector<std::string> words;
  words.emplace_back(*v8::String::Utf8Value(isolate, args[0]));
  for (uint32_t i = 0; i < list->Length(); i++) {
    Local<Value> word = list->Get(isolate->GetCurrentContext(), i).ToLocalChecked();
    words.emplace_back(*v8::String::Utf8Value(isolate, word));
  }
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(&word[0]);
  argv.push_back(nullptr);

  struct sigaction pipe_default, pipe_before;
  memset(&pipe_default, 0, sizeof(pipe_default));
  pipe_default.sa_handler = SIG_DFL;
  sigaction(SIGPIPE, &pipe_default, &pipe_before);
  const int error = Execute(argv.data());
  sigaction(SIGPIPE, &pipe_before, nullptr);
  ThrowErrno(isolate, error, "execv", argv[0]);
}

}  // namespace

void RegisterSched(Local<Object> exports) {
  NODE_SET_METHOD(exports, "getPid", GetPid);
  NODE_SET_METHOD(exports, "getParentPid", GetParentPid);
  NODE_SET_METHOD(exports, "cpuCount", CpuCount);
  NODE_SET_METHOD(exports, "setAffinity", SetAffinity);
  NODE_SET_METHOD(exports, "getAffinity", GetAffinity);
  NODE_SET_METHOD(exports, "setPriority", SetPriority);
  NODE_SET_METHOD(exports, "getPriority", GetPriority);
  NODE_SET_METHOD(exports, "exec", Exec);
}

}  // namespace prefork
