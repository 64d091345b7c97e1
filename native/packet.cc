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

// packetSend(fd, header, data, bytes, attachedFd) -> 1 sent, 0 full, -1 too many fds in flight: a
// limit of the user, not of this socket, so that no poll tells when it is over.
void PacketSend(const Args& args) {
  iovec parts[] = {{node::Buffer::Data(args[1]), node::Buffer::Length(args[1])},
                   {node::Buffer::Data(args[2]), static_cast<size_t>(Int(args, 3))}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (Int(args, 4) >= 0) AttachFd(&message, control, Int(args, 4));
  ssize_t n;
  do {
    n = sendmsg(Int(args, 0), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
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

// What recvmmsg writes to. Room for more than the one fd that a frame may bring; the kernel closes
// those that do not fit.
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
      message.msg_controllen = sizeof(control_[i]);
    }
  }

  // MSG_TRUNC: the length told is the frame's own, also when it was longer than the room.
  int Receive(int fd, int frames) {
    const int flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC;
    int n;
    do {
      n = recvmmsg(fd, headers_, frames, flags, nullptr);
    } while (n < 0 && TryAgain(errno));
    return n;
  }

  int32_t Bytes(int i) const { return static_cast<int32_t>(headers_[i].msg_len); }

  // The fd that came with frame i. When there are several, all are closed.
  int32_t TakeFd(int i) {
    int32_t found = kNoFd;
    msghdr* message = &headers_[i].msg_hdr;
    for (cmsghdr* c = CMSG_FIRSTHDR(message); c != nullptr; c = CMSG_NXTHDR(message, c)) {
      if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) found = Add(found, c);
    }
    if ((message->msg_flags & MSG_CTRUNC) == 0) return found;
    if (found == kNoFd) return kFdLost;
    if (found >= 0) close(found);
    return kUnexpectedFds;
  }

 private:
  static int32_t Add(int32_t found, const cmsghdr* rights) {
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

  mmsghdr headers_[kMaxFrames];
  iovec parts_[kMaxFrames];
  alignas(cmsghdr) char control_[kMaxFrames][CMSG_SPACE(4 * sizeof(int))];
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

// packetReceive(fd, room, frameBytes, frames, results) -> frames received, 0 when none is there.
// results[2i] is the length of frame i, which stands at i * frameBytes of room; results[2i + 1] its fd:
// -1 none, -2 several, all closed, -3 lost because the fd table was full.
void PacketReceive(const Args& args) {
  const int fd = Int(args, 0);
  const int frames = FramesWithRoomForFds(fd, Int(args, 3));
  if (frames == 0) return ThrowErrno(args.GetIsolate(), errno, "fcntl");
  Batch batch(node::Buffer::Data(args[1]), static_cast<size_t>(Int(args, 2)), frames);
  const int n = batch.Receive(fd, frames);
  if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
    return ThrowErrno(args.GetIsolate(), errno, "recvmmsg");
  }
  int32_t* results = reinterpret_cast<int32_t*>(node::Buffer::Data(args[4]));
  for (int i = 0; i < n; i++) {
    results[2 * i] = batch.Bytes(i);
    results[2 * i + 1] = batch.TakeFd(i);
  }
  Return(args, n < 0 ? 0 : n);
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
  NODE_SET_METHOD(exports, "pollFd", PollFd);
}

}  // namespace prefork
