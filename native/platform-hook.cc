// The platform object gets a copy of its vtable in which the slots that post work to background
// threads are ours. V8 and Node keep calling the object they know. Slot numbers are what the compiler
// says for this Node's own headers (pointer to a virtual member function, Itanium C++ ABI: byte
// offset + 1), so they cannot drift from the binary without a rebuild.
#include "platform-hook.h"

#include <node.h>
#include <stdlib.h>
#include <string.h>

#include <memory>
#include <utility>

#include "background-pool.h"

namespace prefork {
namespace {


// Only its vtable is used. `this` is Node's platform when a function of it runs: touch no member.
class PoolPlatform : public v8::Platform {
 public:
  int NumberOfWorkerThreads() override { return BackgroundPoolSize(); }
#if NODE_MODULE_VERSION >= 127
  using Location = v8::SourceLocation;
  void PostTaskOnWorkerThreadImpl(v8::TaskPriority, std::unique_ptr<v8::Task> task,
                                  const Location&) override {
    PostBackgroundTask(std::move(task), 0);
  }
  void PostDelayedTaskOnWorkerThreadImpl(v8::TaskPriority, std::unique_ptr<v8::Task> task,
                                         double delay, const Location&) override {
    PostBackgroundTask(std::move(task), delay);
  }
  std::unique_ptr<v8::JobHandle> CreateJobImpl(v8::TaskPriority, std::unique_ptr<v8::JobTask>,
                                               const Location&) override {
    abort();
  }
  std::shared_ptr<v8::TaskRunner> GetForegroundTaskRunner(v8::Isolate*, v8::TaskPriority) override {
    abort();
  }
#else
  void CallOnWorkerThread(std::unique_ptr<v8::Task> task) override {
    PostBackgroundTask(std::move(task), 0);
  }
  void CallDelayedOnWorkerThread(std::unique_ptr<v8::Task> task, double delay) override {
    PostBackgroundTask(std::move(task), delay);
  }
  std::unique_ptr<v8::JobHandle> CreateJob(v8::TaskPriority,
                                           std::unique_ptr<v8::JobTask>) override {
    abort();
  }
  std::shared_ptr<v8::TaskRunner> GetForegroundTaskRunner(v8::Isolate*) override { abort(); }
#endif
  v8::PageAllocator* GetPageAllocator() override { abort(); }
  double MonotonicallyIncreasingTime() override { abort(); }
  double CurrentClockTimeMillis() override { abort(); }
  v8::TracingController* GetTracingController() override { abort(); }
};

// In place of MultiIsolatePlatform::DrainTasks, which a Worker thread calls at its end. Node's own would
// wait for ever: the tasks that had parked the parent's threads still count as running in its copy.
void DrainTasks(node::MultiIsolatePlatform* platform, v8::Isolate* isolate) {
  for (FlushRounds rounds = {0, 0};;) {
    const bool drained = DrainBackgroundPool();
    const bool ran = platform->FlushForegroundTasks(isolate);
    if (drained && (!ran || IsFruitless(&rounds))) return;
  }
}

template <typename Member>
size_t SlotOf(Member member) {
  size_t offset_plus_one;
  memcpy(&offset_plus_one, &member, sizeof(offset_plus_one));
  return (offset_plus_one - 1) / sizeof(void*);
}

constexpr size_t kPrefixWords = 2;  // offset-to-top and type info stand before slot 0
constexpr size_t kCopiedSlots = 64;

void** CopyVtable(void** original) {
  void** copy = static_cast<void**>(malloc((kPrefixWords + kCopiedSlots) * sizeof(void*)));
  memcpy(copy, original - kPrefixWords, (kPrefixWords + kCopiedSlots) * sizeof(void*));
  return copy + kPrefixWords;
}

void ReplaceSlots(void** vtable) {
  static PoolPlatform ours;
  void** replacement = *reinterpret_cast<void***>(&ours);
  const size_t slots[] = {
      SlotOf(&PoolPlatform::NumberOfWorkerThreads),
#if NODE_MODULE_VERSION >= 127
      SlotOf(&PoolPlatform::PostTaskOnWorkerThreadImpl),
      SlotOf(&PoolPlatform::PostDelayedTaskOnWorkerThreadImpl),
#else
      SlotOf(&PoolPlatform::CallOnWorkerThread),
      SlotOf(&PoolPlatform::CallDelayedOnWorkerThread),
#endif
  };
  for (size_t slot : slots) vtable[slot] = replacement[slot];
  vtable[SlotOf(&node::MultiIsolatePlatform::DrainTasks)] = reinterpret_cast<void*>(&DrainTasks);
}

class ProbeTask : public v8::Task {
 public:
  void Run() override {}
};

bool PostsArrive(v8::Platform* platform) {
  BeginPostProbe();
  platform->CallOnWorkerThread(std::make_unique<ProbeTask>());
  platform->CallDelayedOnWorkerThread(std::make_unique<ProbeTask>(), 0.001);
  return EndPostProbe() == 2;
}

}  // namespace

bool HookPlatform(v8::Platform* platform) {
  static bool hooked = false;  // survives into grandchildren, as the replaced vtable does
  if (hooked) return true;
  void*** object = reinterpret_cast<void***>(platform);
  void** original = *object;
  void** copy = CopyVtable(original);
  ReplaceSlots(copy);
  *object = copy;
  hooked = PostsArrive(platform);
  if (!hooked) *object = original;
  return hooked;
}

}  // namespace prefork
