// Frames on a SOCK_SEQPACKET socket, some with a memfd attached: sent one by one, received in batches.
// No call here blocks; pollFd waits.  See sendmsg(2), recvmmsg(2), unix(7) on SCM_RIGHTS, poll(2).
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "binding.h"

namespace prefork {
namespace {

constexpr int kMaxFrames = 64;
constexpr int kSent = 1;
constexpr int kFull = 0;
constexpr int kTooManyFdsInFlight = -1;
constexpr int kNoFd = -1;
constexpr int kUnexpectedFds = -2;
constexpr int kFdLost = -3;

// The kernel tells ECONNRESET once, when the other end was closed with data unread; what is true
// after that comes with the next call.
bool TryAgain(int error) { return error == EINTR || error == ECONNRESET; }

void AttachFd(msghdr* message, char* control, int fd) {
  message->msg_control = control;
  message->msg_controllen = CMSG_SPACE(sizeof(int));
  cmsghdr* rights = CMSG_FIRSTHDR(message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
}

constexpr size_t kCopiedBytes = 1024;

// A short frame is copied together: the kernel then needs not fetch a list of its parts.
ssize_t SendParts(int fd, iovec* parts, int attached_fd) {
  const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  const size_t bytes = parts[0].iov_len + parts[1].iov_len;
  if (attached_fd < 0 && bytes <= kCopiedBytes) {
    char frame[kCopiedBytes];
    memcpy(frame, parts[0].iov_base, parts[0].iov_len);
    memcpy(frame + parts[0].iov_len, parts[1].iov_base, parts[1].iov_len);
    return send(fd, frame, bytes, flags);
  }
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (attached_fd >= 0) AttachFd(&message, control, attached_fd);
  return sendmsg(fd, &message, flags);
}

// packetSend(fd, header, data, bytes, attachedFd) -> 1 sent, 0 full, -1 too many fds in flight: a
// limit of the user, not of this socket, so that no poll tells when it is over.
void PacketSend(const Args& args) {
  iovec parts[] = {{node::Buffer::Data(args[1]), node::Buffer::Length(args[1])},
                   {node::Buffer::Data(args[2]), static_cast<size_t>(Int(args, 3))}};
  const int fd = Int(args, 0);
  const int attached_fd = Int(args, 4);
  ssize_t n;
  do {
    n = SendParts(fd, parts, attached_fd);
  } while (n < 0 && TryAgain(errno));
  if (n >= 0) return Return(args, kSent);
  if (errno == EAGAIN || errno == EWOULDBLOCK) return Return(args, kFull);
  if (errno == ETOOMANYREFS) return Return(args, kTooManyFdsInFlight);
  ThrowErrno(args.GetIsolate(), errno, "sendmsg");
}

// packetFull(fd) -> whether a send would find the socket full.
void PacketFull(const Args& args) {
  int used = 0;
  int size = 0;
  socklen_t length = sizeof(size);
  if (ioctl(Int(args, 0), SIOCOUTQ, &used) != 0) {
    return ThrowErrno(args.GetIsolate(), errno, "ioctl");
  }
  if (getsockopt(Int(args, 0), SOL_SOCKET, SO_SNDBUF, &size, &length) != 0) {
    return ThrowErrno(args.GetIsolate(), errno, "getsockopt");
  }
  args.GetReturnValue().Set(used >= size);
}

// The fd found so far, and those of one more control message. When there are several, all are closed.
int32_t AddFds(int32_t found, const cmsghdr* rights) {
  const int count = static_cast<int>((rights->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  for (int i = 0; i < count; i++) {
    int fd;
    memcpy(&fd, CMSG_DATA(rights) + i * sizeof(int), sizeof(int));
    if (found == kNoFd) {
      found = fd;
      continue;
    }
    close(fd);
    if (found >= 0) close(found);
    found = kUnexpectedFds;
  }
  return found;
}

// The fd that came with a frame.
int32_t TakeFd(msghdr* message) {
  int32_t found = kNoFd;
  for (cmsghdr* c = CMSG_FIRSTHDR(message); c != nullptr; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) found = AddFds(found, c);
  }
  if ((message->msg_flags & MSG_CTRUNC) == 0) return found;
  if (found == kNoFd) return kFdLost;
  if (found >= 0) close(found);
  return kUnexpectedFds;
}

// MSG_TRUNC: the length told is the frame's own, also when it was longer than the room.
constexpr int kReceiveFlags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC;

// Room for more than the one fd that a frame may bring; the kernel closes those that do not fit.
constexpr size_t kControlBytes = CMSG_SPACE(4 * sizeof(int));

// What recvmmsg writes to.
class Batch {
 public:
  Batch(char* room, size_t frame_bytes, int frames) {
    memset(headers_, 0, sizeof(headers_[0]) * frames);
    for (int i = 0; i < frames; i++) {
      parts_[i] = {room + frame_bytes * i, frame_bytes};
      msghdr& message = headers_[i].msg_hdr;
      message.msg_iov = &parts_[i];
      message.msg_iovlen = 1;
      message.msg_control = control_[i];
      message.msg_controllen = kControlBytes;
    }
  }

  int Receive(int fd, int frames) {
    int n;
    do {
      n = recvmmsg(fd, headers_, frames, kReceiveFlags, nullptr);
    } while (n < 0 && TryAgain(errno));
    return n;
  }

  int32_t Bytes(int i) const { return static_cast<int32_t>(headers_[i].msg_len); }
  int32_t Fd(int i) { return TakeFd(&headers_[i].msg_hdr); }

 private:
  mmsghdr headers_[kMaxFrames];
  iovec parts_[kMaxFrames];
  alignas(cmsghdr) char control_[kMaxFrames][kControlBytes];
};

// A frame whose fd finds no place in the fd table is lost, so look first. How many frames may be
// received: none when the table is full, one when it is nearly so.
int FramesWithRoomForFds(int fd, int wanted) {
  const int spare = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (spare < 0) return 0;
  close(spare);
  if (wanted == 1) return 1;
  rlimit limit;
  const bool tight = getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
                     static_cast<rlim_t>(spare) + static_cast<rlim_t>(wanted) > limit.rlim_cur;
  return tight ? 1 : wanted;
}

// packetReceive(fd, room, frameBytes, frames, results, mayBringFds) -> frames received, 0: none is there.
// results[2i] is the length of frame i, which stands at i * frameBytes of room; results[2i + 1] its fd:
// -1 none, -2 several, all closed, -3 lost because the fd table was full.
void PacketReceive(const Args& args) {
  const int fd = Int(args, 0);
  const int wanted = Int(args, 3);
  const int frames = args[5]->IsTrue() ? FramesWithRoomForFds(fd, wanted) : wanted;
  if (frames == 0) return ThrowErrno(args.GetIsolate(), errno, "fcntl");
  Batch batch(node::Buffer::Data(args[1]), static_cast<size_t>(Int(args, 2)), frames);
  const int n = batch.Receive(fd, frames);
  if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
    return ThrowErrno(args.GetIsolate(), errno, "recvmmsg");
  }
  int32_t* results = reinterpret_cast<int32_t*>(node::Buffer::Data(args[4]));
  for (int i = 0; i < n; i++) {
    results[2 * i] = batch.Bytes(i);
    results[2 * i + 1] = batch.Fd(i);
  }
  Return(args, n < 0 ? 0 : n);
}

constexpr size_t kHeaderAt = 16;
constexpr size_t kHeaderBytes = 16;
constexpr size_t kRestAt = kHeaderAt + kHeaderBytes;

// packetTake(fd, room, body, bodyOffset, mayBringFds) -> whether a frame was received: its body at the
// offset, to spare a copy, and its header and what of it the body had no place for in the room:
//
//    0       4       8      16       32
//   | bytes | fd    |       | header | rest of the body …        bytes, fd: as of packetReceive
void PacketTake(const Args& args) {
  const int fd = Int(args, 0);
  char* room = node::Buffer::Data(args[1]);
  const size_t offset = static_cast<size_t>(Int(args, 3));
  if (args[4]->IsTrue() && FramesWithRoomForFds(fd, 1) == 0) {
    return ThrowErrno(args.GetIsolate(), errno, "fcntl");
  }
  iovec parts[] = {{room + kHeaderAt, kHeaderBytes},
                   {node::Buffer::Data(args[2]) + offset, node::Buffer::Length(args[2]) - offset},
                   {room + kRestAt, node::Buffer::Length(args[1]) - kRestAt}};
  alignas(cmsghdr) char control[kControlBytes];
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 3;
  ssize_t n;
  do {
    message.msg_control = control;
    message.msg_controllen = kControlBytes;
    n = recvmsg(fd, &message, kReceiveFlags);
  } while (n < 0 && TryAgain(errno));
  if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
    return ThrowErrno(args.GetIsolate(), errno, "recvmsg");
  }
  args.GetReturnValue().Set(n >= 0);
  if (n < 0) return;
  const int32_t result[] = {static_cast<int32_t>(n), TakeFd(&message)};
  memcpy(room, result, sizeof(result));
}

// pollFd(fd, events, timeoutMs) -> what happened; 0 when the time is over; -1 when a signal came.
void PollFd(const Args& args) {
  pollfd entry = {Int(args, 0), static_cast<short>(Int(args, 1)), 0};
  const int ready = poll(&entry, 1, Int(args, 2));
  if (ready < 0 && errno != EINTR) return ThrowErrno(args.GetIsolate(), errno, "poll");
  Return(args, ready > 0 ? entry.revents : ready);
}

}  // namespace

void RegisterPacket(Local<Object> exports) {
  NODE_SET_METHOD(exports, "packetSend", PacketSend);
  NODE_SET_METHOD(exports, "packetFull", PacketFull);
  NODE_SET_METHOD(exports, "packetReceive", PacketReceive);
  NODE_SET_METHOD(exports, "packetTake", PacketTake);
  NODE_SET_METHOD(exports, "pollFd", PollFd);
}

}  // namespace prefork
