// Why: V8's background threads do not exist in a forked child. If they sleep in a condition variable
// at the fork, the child's copy of it still counts them as waiters and the next signal to it hangs.
// A thread that stands in our own task, on a futex word, holds no lock and waits in no such variable.
#include "worker-parking.h"

#include <memory>

#include "futex.h"

namespace prefork {
namespace {

std::atomic<int> arrived{0};
std::atomic<int> generation{0};  // changes when the parked threads may go on

class ParkTask : public v8::Task {
 public:
  explicit ParkTask(int current) : current_(current) {}
  void Run() override {
    arrived.fetch_add(1);
    FutexWakeAll(&arrived);
    while (generation.load() == current_) FutexWait(&generation, current_);
  }

 private:
  const int current_;
};

}  // namespace

void ParkWorkers(v8::Platform* platform, int count, void (*unblock)(void*), void* data) {
  // A background compilation that runs out of heap waits for a collection by this thread, which
  // happens at the next stack check of JavaScript. So an arrival that takes long gets one.
  const timespec patience = {0, 2 * 1000 * 1000};
  const int current = generation.load();
  arrived.store(0);
  // Lowest priority: whatever V8 has queued runs first, on lines whose queue knows priorities.
  for (int i = 0; i < count; i++) {
    platform->CallLowPriorityTaskOnWorkerThread(std::make_unique<ParkTask>(current));
  }
  for (int seen; (seen = arrived.load()) < count;) {
    FutexWait(&arrived, seen, &patience);
    if (arrived.load() == seen) unblock(data);
  }
}

void ReleaseWorkers() {
  generation.fetch_add(1);
  FutexWakeAll(&generation);
}

void ForgetParkedWorkers() {
  generation.fetch_add(1);
}

}  // namespace prefork
