// Node builds V8 with MADV_DONTFORK on its heap since v20.4. Without the opposite advice a child
// segfaults at its first access to the heap.  See madvise(2), proc_pid_maps(5).
#include "memory-map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

namespace prefork {
namespace {

// The whole file in few reads: each read walks the process's mappings under its lock. The buffer is kept
// and never zeroed again: a fork must not touch pages that it need not.
class MapsFile {
 public:
  // False, with errno, when the file cannot be read.
  bool Read() {
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    length_ = 0;
    ssize_t n;
    while ((n = read(fd, &text_[length_], text_.size() - length_)) > 0) {
      length_ += static_cast<size_t>(n);
      if (length_ == text_.size()) text_.resize(length_ * 2);
    }
    const int error = errno;
    close(fd);
    errno = error;
    return n == 0;
  }
  const char* begin() const { return text_.data(); }
  const char* end() const { return text_.data() + length_; }

 private:
  std::string text_ = std::string(64 * 1024, '\0');
  size_t length_ = 0;
};

// A line is "start-end perms offset device inode   path".
void AdviseLine(const char* line, const char* end) {
  char* cursor;
  const unsigned long start = strtoul(line, &cursor, 16);
  const unsigned long stop = strtoul(cursor + 1, &cursor, 16);
  const bool is_private = cursor[4] == 'p';
  strtoul(cursor + 6, &cursor, 16);  // offset
  strtoul(cursor + 1, &cursor, 16);  // device, major
  strtoul(cursor + 1, &cursor, 16);  // device, minor
  const unsigned long inode = strtoul(cursor + 1, &cursor, 10);
  const char* path = cursor;
  while (path < end && *path == ' ') path++;
  const bool special = end - path > 2 && memcmp(path, "[v", 2) == 0;  // [vdso], [vvar], [vsyscall]
  if (is_private && inode == 0 && !special) {
    madvise(reinterpret_cast<void*>(start), stop - start, MADV_DOFORK);
  }
}

}  // namespace

bool MakeHeapInheritable() {
  static MapsFile maps;
  if (!maps.Read()) return false;
  for (const char* line = maps.begin(); line < maps.end();) {
    const size_t left = static_cast<size_t>(maps.end() - line);
    const char* end = static_cast<const char*>(memchr(line, '\n', left));
    if (end == nullptr) end = maps.end();
    AdviseLine(line, end);
    line = end + 1;
  }
  return true;
}

}  // namespace prefork
