#include "unix-bind.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

namespace prefork {
namespace {

// The file of a socket whose last process has died without removing it.
bool IsStale(const sockaddr_un& address, int type) {
  struct stat file;
  if (lstat(address.sun_path, &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
  const OwnedFd probe(NewSocket(AF_UNIX, type));
  const sockaddr* target = reinterpret_cast<const sockaddr*>(&address);
  return probe.Get() >= 0 && connect(probe.Get(), target, sizeof(address)) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

int NewSocket(int family, int type) {
  return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

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

const char* BindUnix(int fd, int type, const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  // bind gives the file the mode of the socket: there is no moment at which others may connect.
  if (fchmod(fd, S_IRUSR | S_IWUSR) != 0) return "fchmod";
  const sockaddr* target = reinterpret_cast<const sockaddr*>(&address);
  if (bind(fd, target, sizeof(address)) == 0) return nullptr;
  if (errno != EADDRINUSE) return "bind";
  if (!IsStale(address, type)) {
    errno = EADDRINUSE;
    return "bind";
  }
  if (unlink(address.sun_path) != 0 && errno != ENOENT) return "unlink";
  return bind(fd, target, sizeof(address)) == 0 ? nullptr : "bind";
}

}  // namespace prefork
