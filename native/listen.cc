// Listening stream sockets, TCP and unix, and the connections they accept. All of them are
// non-blocking and closed on exec: several processes accept on one socket, and those that come too
// late must not block.  See socket(2), listen(2), accept(2), ip(7), unix(7).
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <string>

#include "binding.h"
#include "unix-bind.h"

namespace prefork {
namespace {

// The two functions below return the name of the call that has failed, or null when all went well.

const char* ListenTcp(int fd, const sockaddr_storage& address, int backlog) {
  const int on = 1;
  const int off = 0;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) return "setsockopt";
  const bool v6 = address.ss_family == AF_INET6;
  // "::" means IPv4 clients as well, whatever net.ipv6.bindv6only says.
  if (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0) return "setsockopt";
  const socklen_t length = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) return "bind";
  return listen(fd, backlog) == 0 ? nullptr : "listen";
}

const char* ListenUnix(int fd, const std::string& path, int backlog) {
  const OwnedFd lock(LockFolderOf(path));
  const char* failed = BindUnix(fd, SOCK_STREAM, path);
  if (failed != nullptr) return failed;
  if (listen(fd, backlog) == 0) return nullptr;
  const int error = errno;
  unlink(path.c_str());
  errno = error;
  return "listen";
}

int PortOf(int fd) {
  sockaddr_storage address = {};
  socklen_t length = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

// listenTcp(address, port, backlog) -> [fd, port]
void ListenTcpSocket(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  v8::String::Utf8Value host(isolate, args[0]);
  sockaddr_storage address = {};
  int error = uv_ip4_addr(*host, Int(args, 1), reinterpret_cast<sockaddr_in*>(&address));
  if (error != 0) {
    error = uv_ip6_addr(*host, Int(args, 1), reinterpret_cast<sockaddr_in6*>(&address));
  }
  if (error != 0) return ThrowErrno(isolate, -error, "bind");
  OwnedFd fd(NewSocket(address.ss_family, SOCK_STREAM));
  if (fd.Get() < 0) return ThrowErrno(isolate, errno, "socket");
  const char* failed = ListenTcp(fd.Get(), address, Int(args, 2));
  if (failed != nullptr) return ThrowErrno(isolate, errno, failed);
  const int port = PortOf(fd.Get());
  Local<Value> result[] = {v8::Integer::New(isolate, fd.Take()), v8::Integer::New(isolate, port)};
  args.GetReturnValue().Set(v8::Array::New(isolate, result, 2));
}

// listenUnix(path, backlog) -> fd. The file has mode 0600; one that nobody listens on is replaced.
void ListenUnixSocket(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  v8::String::Utf8Value path(isolate, args[0]);
  OwnedFd fd(NewSocket(AF_UNIX, SOCK_STREAM));
  if (fd.Get() < 0) return ThrowErrno(isolate, errno, "socket");
  const char* failed = ListenUnix(fd.Get(), *path, Int(args, 1));
  if (failed != nullptr) return ThrowErrno(isolate, errno, failed);
  Return(args, fd.Take());
}

// connectUnix(path) -> the connection's fd, or -1 while the backlog is full.
void ConnectUnix(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  v8::String::Utf8Value path(isolate, args[0]);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::string(*path).copy(address.sun_path, sizeof(address.sun_path) - 1);
  OwnedFd fd(NewSocket(AF_UNIX, SOCK_STREAM));
  if (fd.Get() < 0) return ThrowErrno(isolate, errno, "socket");
  if (connect(fd.Get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return Return(args, fd.Take());
  }
  if (errno != EAGAIN) return ThrowErrno(isolate, errno, "connect");
  Return(args, -1);
}

// accept(fd) -> the connection's fd, or -1 when there is none any more.
void Accept(const Args& args) {
  int fd;
  do {
    fd = accept4(Int(args, 0), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
  if (fd < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
    return ThrowErrno(args.GetIsolate(), errno, "accept4");
  }
  Return(args, fd);
}

}  // namespace

void RegisterListen(Local<Object> exports) {
  NODE_SET_METHOD(exports, "listenTcp", ListenTcpSocket);
  NODE_SET_METHOD(exports, "listenUnix", ListenUnixSocket);
  NODE_SET_METHOD(exports, "accept", Accept);
  NODE_SET_METHOD(exports, "connectUnix", ConnectUnix);
}

}  // namespace prefork
