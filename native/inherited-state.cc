#include "inherited-state.h"

#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace prefork {
namespace {

// Node's timer, which drives setTimeout() and setInterval(): the first that was made in this loop.
uv_timer_t* node_timer = nullptr;
bool node_timer_held = false;
uint64_t node_timer_due = 0;

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

// A loop of libuv's that reads until the kernel has nothing more may stand on this stack, and one that
// writes may follow: they would take the parent's data, or send it twice. With `queued` bytes in its queue a
// stream puts writes off, which TLS and HTTP/2 would otherwise do at once when their callback returns.
void StopTransfer(uv_handle_t* handle, size_t queued) {
  switch (handle->type) {
    case UV_TCP:
    case UV_NAMED_PIPE:
    case UV_TTY: {
      uv_stream_t* stream = reinterpret_cast<uv_stream_t*>(handle);
      uv_read_stop(stream);
      stream->write_queue.next = stream->write_queue.prev = &stream->write_queue;
      // Not of a terminal, whose writes block: libuv takes it for a mistake when such a stream has a queue.
      stream->write_queue_size = handle->type == UV_TTY ? 0 : queued;
      stream->shutdown_req = nullptr;
      break;
    }
    case UV_UDP:
      uv_udp_recv_stop(reinterpret_cast<uv_udp_t*>(handle));
      break;
    default:
      break;
  }
}

void SilenceWatchers(uv_loop_t* loop) {
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
  // I/O results that libuv owes the parent: it has put them off to the next turn.
  while (loop->pending_queue.next != &loop->pending_queue) Unlink(loop->pending_queue.next);
}

void ForgetFileWatches(uv_loop_t* loop) {
  if (loop->inotify_fd < 0) return;
  uv_walk(
      loop,
      [](uv_handle_t* handle, void*) {
        if (handle->type == UV_FS_EVENT) uv_fs_event_stop(reinterpret_cast<uv_fs_event_t*>(handle));
      },
      nullptr);
  close(loop->inotify_fd);
  loop->inotify_fd = -1;  // libuv opens one for the child's first watch
}

}  // namespace

int RenewLoop(uv_loop_t* loop) { return uv_loop_fork(loop); }

int RenewLoopOfChild(uv_loop_t* loop) {
  const bool watches = loop->inotify_fd >= 0;
  void* lists = loop->inotify_watchers;
  loop->inotify_watchers = nullptr;
  const int error = uv_loop_fork(loop);
  loop->inotify_watchers = lists;
  if (error != 0 || !watches) return error;
  loop->inotify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return loop->inotify_fd < 0 ? UV_EMFILE : 0;
}

void SilenceInheritedIo(uv_loop_t* loop) {
  SilenceWatchers(loop);
  loop->closing_handles = nullptr;  // whose callbacks are the parent's
  uv_walk(loop, [](uv_handle_t* handle, void*) { StopTransfer(handle, 1); }, nullptr);
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
  node_timer = nullptr;
  node_timer_held = false;
  uv_walk(
      loop,
      [](uv_handle_t* handle, void*) {
        if (handle->type != UV_TIMER) return;
        uv_timer_t* timer = reinterpret_cast<uv_timer_t*>(handle);
        if (node_timer == nullptr) {
          node_timer = timer;
          node_timer_held = uv_is_active(handle) != 0;
          node_timer_due = uv_timer_get_due_in(timer);
        }
        uv_timer_stop(timer);
      },
      nullptr);
}

void LetNodeTimerGo(uv_loop_t* loop) {
  // Node makes timers of V8's delayed tasks when it flushes its queue of tasks: those are held as well.
  uv_walk(
      loop,
      [](uv_handle_t* handle, void*) {
        if (handle->type == UV_TIMER) uv_timer_stop(reinterpret_cast<uv_timer_t*>(handle));
      },
      nullptr);
  if (!node_timer_held) return;
  uv_timer_start(node_timer, node_timer->timer_cb, node_timer_due, node_timer->repeat);
}

bool LoopAlive(const uv_loop_t* loop) {
  return loop->active_handles > 0 || loop->active_reqs.count > inherited_requests ||
         loop->closing_handles != nullptr;
}

void RememberInheritedRequests(const uv_loop_t* loop) {
  inherited_requests = loop->active_reqs.count;
}

void ForgetParentsTurn(uv_loop_t* loop) {
  RememberInheritedRequests(loop);
  ForgetFileWatches(loop);
  SilenceWatchers(loop);  // of reads and writes that were begun on the way down the stack
  auto forget = [](uv_handle_t* handle, void*) {
    StopTransfer(handle, 0);
    if (handle->type == UV_ASYNC) reinterpret_cast<uv_async_t*>(handle)->pending = 0;
  };
  uv_walk(loop, forget, nullptr);
}

}  // namespace prefork
