// Listening stream sockets, TCP and unix, and the connections they accept. All of them are
// non-blocking and closed on exec: several processes accept on one socket, and those that come too
// late must not block.  See socket(2), listen(2), accept(2), ip(7), unix(7).
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include <string>

#include "binding.h"

namespace prefork {
namespace {

// Closes its fd at the end unless it was taken; errno stays what it was.
class OwnedFd {
 public:
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  ~OwnedFd() {
    const int error = errno;
    if (fd_ >= 0) close(fd_);
    errno = error;
  }
  int Get() const { return fd_; }
  int Take() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

int NewSocket(int family) { return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

// The functions below return the name of the call that has failed, or null when all went well.

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

// Among processes of this library: between another one's bind and listen its socket looks as if
// nobody listened. Best effort, because a folder may be unreadable, or locked by somebody else.
int LockFolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const timespec pause = {0, 10 * 1000 * 1000};
  for (int i = 0; fd >= 0 && i < 50 && flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
    nanosleep(&pause, nullptr);
  }
  return fd;
}

// The file of a socket whose last process has died without removing it.
bool IsStale(const sockaddr_un& address) {
  struct stat file;
  if (lstat(address.sun_path, &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
  const OwnedFd probe(NewSocket(AF_UNIX));
  const sockaddr* target = reinterpret_cast<const sockaddr*>(&address);
  return probe.Get() >= 0 && connect(probe.Get(), target, sizeof(address)) != 0 &&
         errno == ECONNREFUSED;
}

const char* BindUnix(int fd, const sockaddr_un& address) {
  const sockaddr* target = reinterpret_cast<const sockaddr*>(&address);
  if (bind(fd, target, sizeof(address)) == 0) return nullptr;
  if (errno != EADDRINUSE) return "bind";
  if (!IsStale(address)) {
    errno = EADDRINUSE;
    return "bind";
  }
  if (unlink(address.sun_path) != 0 && errno != ENOENT) return "unlink";
  return bind(fd, target, sizeof(address)) == 0 ? nullptr : "bind";
}

const char* ListenUnix(int fd, const std::string& path, int backlog) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  // bind gives the file the mode of the socket: there is no moment at which others may connect.
  if (fchmod(fd, S_IRUSR | S_IWUSR) != 0) return "fchmod";
  const OwnedFd lock(LockFolderOf(path));
  const char* failed = BindUnix(fd, address);
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
  OwnedFd fd(NewSocket(address.ss_family));
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
  OwnedFd fd(NewSocket(AF_UNIX));
  if (fd.Get() < 0) return ThrowErrno(isolate, errno, "socket");
  const char* failed = ListenUnix(fd.Get(), *path, Int(args, 1));
  if (failed != nullptr) return ThrowErrno(isolate, errno, failed);
  Return(args, fd.Take());
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
}

}  // namespace prefork
