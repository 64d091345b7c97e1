// Node builds V8 with MADV_DONTFORK on its heap since v20.4. Without the opposite advice a child
// segfaults at its first access to the heap.  See madvise(2), proc_pid_maps(5).
#include "memory-map.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

namespace prefork {
namespace {

// The whole file in few reads: each read walks the process's mappings under its lock.
bool ReadMaps(std::string* text) {
  int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  text->resize(256 * 1024);
  size_t length = 0;
  for (ssize_t n; (n = read(fd, &(*text)[length], text->size() - length)) > 0;) {
    length += static_cast<size_t>(n);
    if (length == text->size()) text->resize(length * 2);
  }
  close(fd);
  text->resize(length);
  return length > 0;
}

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

void MakeHeapInheritable() {
  static std::string text;
  if (!ReadMaps(&text)) return;
  for (const char *line = text.c_str(), *last = line + text.size(); line < last;) {
    const char* end = static_cast<const char*>(memchr(line, '\n', last - line));
    if (end == nullptr) end = last;
    AdviseLine(line, end);
    line = end + 1;
  }
}

}  // namespace prefork
