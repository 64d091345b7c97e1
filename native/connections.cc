// Reads from many connections with few calls: an epoll set of its own, which the event loop watches
// as one fd. A call takes what is ready, up to the room in the buffer that it is given.
// See epoll(7), recv(2), getpeername(2), tcp(7).
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <net/if.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>

#include "binding.h"

namespace prefork {
namespace {

constexpr int kMaxEvents = 64;
constexpr size_t kLongestRead = 64 * 1024;
// A read into less than this is not worth its system call: it waits for the next buffer.
constexpr size_t kShortestRead = 4 * 1024;
constexpr int kFieldsPerEvent = 3;
constexpr size_t kAlignment = 64;

// epollCreate() -> fd
void EpollCreate(const Args& args) {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return ThrowErrno(args.GetIsolate(), errno, "epoll_create1");
  Return(args, fd);
}

// epollControl(epoll, operation, fd, events, token)
void EpollControl(const Args& args) {
  epoll_event event = {};
  event.events = static_cast<uint32_t>(Int(args, 3));
  event.data.u64 = static_cast<uint64_t>(Int(args, 2)) << 32 | static_cast<uint32_t>(Int(args, 4));
  if (epoll_ctl(Int(args, 0), Int(args, 1), Int(args, 2), &event) == 0) return;
  ThrowErrno(args.GetIsolate(), errno, "epoll_ctl");
}

int ReceiveOnce(int fd, char* room, size_t bytes) {
  for (;;) {
    const ssize_t n = recv(fd, room, bytes, MSG_DONTWAIT);
    if (n >= 0) return static_cast<int>(n);
    if (errno != EINTR) return -errno;
  }
}

// epollReceive(epoll, room, results) -> events. For each: its token, what epoll reported, and the bytes
// received (0 at the end, a negative errno, -EAGAIN also when nothing was to be read). The bytes of all
// stand in `room` one after the other, each from a multiple of kAlignment on: the kernel copies them faster
// to there. Events beyond the room come again with the next call.
void EpollReceive(const Args& args) {
  epoll_event events[kMaxEvents];
  char* room = node::Buffer::Data(args[1]);
  size_t left = node::Buffer::Length(args[1]);
  int32_t* results = reinterpret_cast<int32_t*>(node::Buffer::Data(args[2]));
  int ready;
  do {
    ready = epoll_wait(Int(args, 0), events, kMaxEvents, 0);
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) return ThrowErrno(args.GetIsolate(), errno, "epoll_wait");
  int count = 0;
  for (; count < ready && left >= kShortestRead; count++) {
    const epoll_event& event = events[count];
    int received = -EAGAIN;
    if ((event.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) {
      const int fd = static_cast<int>(event.data.u64 >> 32);
      received = ReceiveOnce(fd, room, std::min(left, kLongestRead));
    }
    if (received > 0) {
      const size_t used =
          std::min(left, (static_cast<size_t>(received) + kAlignment - 1) & ~(kAlignment - 1));
      room += used;
      left -= used;
    }
    results[count * kFieldsPerEvent] = static_cast<int32_t>(event.data.u64);
    results[count * kFieldsPerEvent + 1] = static_cast<int32_t>(event.events);
    results[count * kFieldsPerEvent + 2] = received;
  }
  Return(args, count);
}

// peerName(fd) -> [address, port]; ['', 0] of a unix socket, or when the peer is gone.
void PeerName(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  sockaddr_storage peer = {};
  socklen_t length = sizeof(peer);
  char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 1] = "";
  int port = 0;
  if (getpeername(Int(args, 0), reinterpret_cast<sockaddr*>(&peer), &length) == 0) {
    if (peer.ss_family == AF_INET) {
      const sockaddr_in* v4 = reinterpret_cast<const sockaddr_in*>(&peer);
      uv_ip4_name(v4, text, sizeof(text));
      port = ntohs(v4->sin_port);
    } else if (peer.ss_family == AF_INET6) {
      const sockaddr_in6* v6 = reinterpret_cast<const sockaddr_in6*>(&peer);
      uv_ip6_name(v6, text, sizeof(text));
      port = ntohs(v6->sin6_port);
    }
  }
  Local<v8::String> address = v8::String::NewFromUtf8(isolate, text).ToLocalChecked();
  Local<Value> result[] = {address, v8::Integer::New(isolate, port)};
  args.GetReturnValue().Set(v8::Array::New(isolate, result, 2));
}

// setNoDelay(fd, on)
void SetNoDelay(const Args& args) {
  const int on = Int(args, 1);
  if (setsockopt(Int(args, 0), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0) return;
  ThrowErrno(args.GetIsolate(), errno, "setsockopt");
}

// resetOnClose(fd): close(2) throws away what was not sent and tells the peer so by RST.
void ResetOnClose(const Args& args) {
  const linger now = {1, 0};
  if (setsockopt(Int(args, 0), SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0) return;
  ThrowErrno(args.GetIsolate(), errno, "setsockopt");
}

// setBacklog(fd, backlog): of a socket that listens already.
void SetBacklog(const Args& args) {
  if (listen(Int(args, 0), Int(args, 1)) == 0) return;
  ThrowErrno(args.GetIsolate(), errno, "listen");
}

}  // namespace

void RegisterConnections(Local<Object> exports) {
  NODE_SET_METHOD(exports, "epollCreate", EpollCreate);
  NODE_SET_METHOD(exports, "epollControl", EpollControl);
  NODE_SET_METHOD(exports, "epollReceive", EpollReceive);
  NODE_SET_METHOD(exports, "peerName", PeerName);
  NODE_SET_METHOD(exports, "setNoDelay", SetNoDelay);
  NODE_SET_METHOD(exports, "resetOnClose", ResetOnClose);
  NODE_SET_METHOD(exports, "setBacklog", SetBacklog);
}

}  // namespace prefork
