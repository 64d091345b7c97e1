// Binding a socket to a file, for streams and datagrams.  See unix(7).
#pragma once

#include <errno.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>

namespace prefork {

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

// A new socket, non-blocking and closed on exec.
int NewSocket(int family, int type);

// An fd that holds the lock until it is closed. Among processes of this library: between another one's
// bind and listen its socket looks as if nobody listened. Best effort, because a folder may be
// unreadable, or locked by somebody else.
int LockFolderOf(const std::string& path);

// Binds a socket of this type; the file gets mode 0600, and that of a socket whose last process is gone
// is replaced. The name of the call that has failed, or null.
const char* BindUnix(int fd, int type, const std::string& path);

}  // namespace prefork
