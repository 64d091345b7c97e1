#include "inherited-state.h"

#include <signal.h>
#include <string.h>

#include <vector>

namespace prefork {
namespace {

struct HeldTimer {
  uv_timer_t* timer;
  uint64_t due_in;
};

std::vector<HeldTimer> held_timers;

unsigned int inherited_requests = 0;  // the parent's: they never complete here

void Unlink(struct uv__queue* node) {
  node->prev->next = node->next;
  node->next->prev = node->prev;
  node->next = node->prev = node;
}

// SIGCHLD, SIGURG, SIGWINCH and SIGCONT do nothing by default, so an inherited handler harms nobody;
// and libuv does not install its SIGCHLD handler twice: without it child_process hears no exit.
// V8 catches the faults of WebAssembly bounds checks.
bool KeepsHandler(int signo) {
  switch (signo) {
    case SIGCHLD:
    case SIGURG:
    case SIGWINCH:
    case SIGCONT:
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
      return true;
    default:
      return false;
  }
}

}  // namespace

int RenewLoop(uv_loop_t* loop) { return uv_loop_fork(loop); }

void SilenceInheritedIo(uv_loop_t* loop) {
  for (unsigned int fd = 0; fd < loop->nwatchers; fd++) {
    uv__io_t* watcher = static_cast<uv__io_t*>(loop->watchers[fd]);
    if (watcher == nullptr || watcher == &loop->async_io_watcher ||
        watcher == &loop->signal_io_watcher) {
      continue;
    }
    Unlink(&watcher->watcher_queue);
    watcher->pevents = watcher->events = 0;
    loop->watchers[fd] = nullptr;
    loop->nfds--;
  }
  // Callbacks that libuv owes the parent: I/O results put off to the next turn, and close callbacks.
  while (loop->pending_queue.next != &loop->pending_queue) Unlink(loop->pending_queue.next);
  loop->closing_handles = nullptr;
}

void ReleaseInheritedHandles(uv_loop_t* loop) {
  uv_walk(
      loop,
      [](uv_handle_t* handle, void*) {
        if (!uv_is_active(handle) || uv_is_closing(handle)) return;
        if (handle->type == UV_SIGNAL) uv_signal_stop(reinterpret_cast<uv_signal_t*>(handle));
        uv_unref(handle);
      },
      nullptr);
}

void DropInheritedWork(uv_loop_t* loop) {
  auto* queue = &loop->wq;
  queue->next = queue->prev = queue;
}

void ResetSignals() {
  for (int signo = 1; signo <= SIGRTMAX; signo++) {
    struct sigaction action;
    if (KeepsHandler(signo) || sigaction(signo, nullptr, &action) != 0) continue;
    if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) continue;
    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_DFL;
    sigaction(signo, &action, nullptr);
  }
}

void HoldTimers(uv_loop_t* loop) {
  uv_walk(
      loop,
      [](uv_handle_t* handle, void*) {
        if (handle->type != UV_TIMER || !uv_is_active(handle)) return;
        uv_timer_t* timer = reinterpret_cast<uv_timer_t*>(handle);
        held_timers.push_back({timer, uv_timer_get_due_in(timer)});
        uv_timer_stop(timer);
      },
      nullptr);
}

void LetTimersGo() {
  for (const HeldTimer& held : held_timers) {
    uv_timer_start(held.timer, held.timer->timer_cb, held.due_in, held.timer->repeat);
  }
  held_timers.clear();
}

bool LoopAlive(const uv_loop_t* loop) {
  return loop->active_handles > 0 || loop->active_reqs.count > inherited_requests ||
         loop->closing_handles != nullptr;
}

void RememberInheritedRequests(const uv_loop_t* loop) {
  inherited_requests = loop->active_reqs.count;
}

}  // namespace prefork
