// Socketpairs and what travels on them. The fds stay in blocking mode: a call that must not block
// says so with MSG_DONTWAIT, so that native programs and printf on the same socket keep working.
// See socketpair(2), recv(2), send(2), poll(2), shutdown(2).
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "binding.h"

namespace prefork {
namespace {

constexpr int kForever = -1;

int64_t NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

// A bound on how long a call may block. kForever has none.
class Deadline {
 public:
  explicit Deadline(int timeout_ms) : timeout_(timeout_ms), end_(0) {
    if (timeout_ms > 0) end_ = NowMs() + timeout_ms;
  }
  bool Forever() const { return timeout_ == kForever; }

  // Waits for `events`. False when the time is over.
  bool WaitFor(int fd, short events) const {
    for (;;) {
      const int64_t left = Forever() ? -1 : timeout_ == 0 ? 0 : end_ - NowMs();
      if (!Forever() && left <= 0) return false;
      pollfd entry = {fd, events, 0};
      const int ready = poll(&entry, 1, static_cast<int>(left));
      if (ready > 0) return true;
      if (ready < 0 && errno != EINTR) return true;  // let the next call on the fd report it
    }
  }

 private:
  const int timeout_;
  int64_t end_;
};

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

// One recv(). ECONNRESET says that the peer died with unread data of ours; the kernel tells it once,
// ahead of data that the peer had sent before: what is there to read comes after it.
ssize_t ReceiveOnce(int fd, char* buffer, size_t length, int flags) {
  for (;;) {
    const ssize_t n = recv(fd, buffer, length, flags);
    if (n >= 0 || (errno != EINTR && errno != ECONNRESET)) return n;
  }
}

ssize_t ReceiveUntil(int fd, char* buffer, size_t length, const Deadline& deadline) {
  const int flags = deadline.Forever() ? 0 : MSG_DONTWAIT;
  for (;;) {
    const ssize_t n = ReceiveOnce(fd, buffer, length, flags);
    if (n >= 0 || !WouldBlock(errno)) return n;
    if (!deadline.WaitFor(fd, POLLIN)) {
      errno = EAGAIN;
      return -1;
    }
  }
}

// socketPair(type, bufferBytes) -> [fd, fd]; the kernel cuts the size to net.core.wmem_max.
void SocketPair(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  int fds[2];
  if (socketpair(AF_UNIX, Int(args, 0) | SOCK_CLOEXEC, 0, fds) != 0) {
    return ThrowErrno(isolate, errno, "socketpair");
  }
  const int size = Int(args, 1);
  for (int fd : fds) {
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
  }
  Local<Value> pair[] = {v8::Integer::New(isolate, fds[0]), v8::Integer::New(isolate, fds[1])};
  args.GetReturnValue().Set(v8::Array::New(isolate, pair, 2));
}

// receive(fd, buffer, offset, length, timeoutMs) -> bytes, 0 at the end, -1 when nothing came in time.
void Receive(const Args& args) {
  const Deadline deadline(Int(args, 4));
  const ssize_t n =
      ReceiveUntil(Int(args, 0), BytesAt(args, 1, 2), static_cast<size_t>(Int(args, 3)), deadline);
  if (n < 0 && !WouldBlock(errno)) return ThrowErrno(args.GetIsolate(), errno, "recv");
  Return(args, static_cast<int32_t>(n));
}

// Sends until all is written or the deadline is over; returns what was written, or -1 with errno.
ssize_t SendAll(int fd, const char* data, size_t length, const Deadline& deadline) {
  size_t sent = 0;
  const int flags = MSG_NOSIGNAL | (deadline.Forever() ? 0 : MSG_DONTWAIT);
  while (sent < length) {
    const ssize_t n = send(fd, data + sent, length - sent, flags);
    if (n >= 0) {
      sent += static_cast<size_t>(n);
    } else if (WouldBlock(errno)) {
      if (!deadline.WaitFor(fd, POLLOUT)) break;
    } else if (errno != EINTR && errno != ECONNRESET) {  // after ECONNRESET comes EPIPE
      return -1;
    }
  }
  return static_cast<ssize_t>(sent);
}

// send(fd, buffer, offset, length, timeoutMs) -> bytes written, fewer when the time was over.
void Send(const Args& args) {
  const Deadline deadline(Int(args, 4));
  const ssize_t n =
      SendAll(Int(args, 0), BytesAt(args, 1, 2), static_cast<size_t>(Int(args, 3)), deadline);
  if (n < 0) return ThrowErrno(args.GetIsolate(), errno, "send");
  Return(args, static_cast<int32_t>(n));
}

// writeAll(fd, buffer): write(2) until everything is out, whatever kind of file the fd is.
void WriteAll(const Args& args) {
  const int fd = Int(args, 0);
  const char* data = node::Buffer::Data(args[1]);
  const size_t length = node::Buffer::Length(args[1]);
  const Deadline forever(kForever);
  for (size_t written = 0; written < length;) {
    const ssize_t n = write(fd, data + written, length - written);
    if (n >= 0) {
      written += static_cast<size_t>(n);
    } else if (WouldBlock(errno)) {
      forever.WaitFor(fd, POLLOUT);
    } else if (errno != EINTR) {
      return ThrowErrno(args.GetIsolate(), errno, "write");
    }
  }
}

// peekInput(fd) -> bytes that a read would find (at least 1), 0 at the end, -1 when it would block.
void PeekInput(const Args& args) {
  char byte;
  const ssize_t n = ReceiveOnce(Int(args, 0), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (n < 0 && !WouldBlock(errno)) return ThrowErrno(args.GetIsolate(), errno, "recv");
  Return(args, static_cast<int32_t>(n));
}

// messageLimit(fd) -> the longest message a datagram socket of this send buffer takes. The kernel
// keeps 32 bytes for itself (unix_dgram_sendmsg refuses more than sk_sndbuf - 32).
void MessageLimit(const Args& args) {
  int size = 0;
  socklen_t length = sizeof(size);
  if (getsockopt(Int(args, 0), SOL_SOCKET, SO_SNDBUF, &size, &length) != 0) {
    return ThrowErrno(args.GetIsolate(), errno, "getsockopt");
  }
  Return(args, size - 32);
}

void Shutdown(const Args& args) {
  if (shutdown(Int(args, 0), Int(args, 1)) != 0) {
    ThrowErrno(args.GetIsolate(), errno, "shutdown");
  }
}

void CloseFd(const Args& args) {
  if (close(Int(args, 0)) != 0 && errno != EINTR) ThrowErrno(args.GetIsolate(), errno, "close");
}

void Dup(const Args& args) {
  const int fd = fcntl(Int(args, 0), F_DUPFD_CLOEXEC, 3);
  if (fd < 0) return ThrowErrno(args.GetIsolate(), errno, "fcntl");
  Return(args, fd);
}

// dup2(from, to): the copy survives exec.
void Dup2(const Args& args) {
  if (dup2(Int(args, 0), Int(args, 1)) < 0) ThrowErrno(args.GetIsolate(), errno, "dup2");
}

}  // namespace

void RegisterSocket(Local<Object> exports) {
  NODE_SET_METHOD(exports, "socketPair", SocketPair);
  NODE_SET_METHOD(exports, "receive", Receive);
  NODE_SET_METHOD(exports, "send", Send);
  NODE_SET_METHOD(exports, "writeAll", WriteAll);
  NODE_SET_METHOD(exports, "peekInput", PeekInput);
  NODE_SET_METHOD(exports, "messageLimit", MessageLimit);
  NODE_SET_METHOD(exports, "shutdown", Shutdown);
  NODE_SET_METHOD(exports, "closeFd", CloseFd);
  NODE_SET_METHOD(exports, "dup", Dup);
  NODE_SET_METHOD(exports, "dup2", Dup2);
}

}  // namespace prefork
