// POSIX message queues. On Linux the descriptor is an fd, which the event loop can poll.
// "Do not block" is said by a deadline in the past, because O_NONBLOCK would be shared with every
// process that inherited the descriptor.  See mq_overview(7), mq_open(3), mq_receive(3), mq_send(3).
#include <fcntl.h>
#include <mqueue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "binding.h"

namespace prefork {
namespace {

constexpr unsigned int kPriority = 0;  // one priority: first in, first out
const timespec kPast = {0, 0};

// Names can be guessed: another user may have made the queue first, and would read what is sent.
bool IsPrivate(mqd_t queue) {
  struct stat status;
  return fstat(queue, &status) == 0 && status.st_uid == geteuid() &&
         (status.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

// mqOpen(name, maxMessages, messageSize) -> fd. Sizes of 0: the kernel's defaults. An existing queue
// keeps its own.
void Open(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  v8::String::Utf8Value name(isolate, args[0]);
  mq_attr wanted = {};
  wanted.mq_maxmsg = Int(args, 1);
  wanted.mq_msgsize = Int(args, 2);
  mq_attr* attributes = wanted.mq_maxmsg > 0 ? &wanted : nullptr;
  const mqd_t queue = mq_open(*name, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR, attributes);
  if (queue < 0) return ThrowErrno(isolate, errno, "mq_open");
  if (!IsPrivate(queue)) {
    close(queue);
    return ThrowErrno(isolate, EACCES, "mq_open");
  }
  Return(args, queue);
}

// mqStat(fd) -> [messages, maxMessages, messageSize]
void Stat(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  mq_attr attributes;
  if (mq_getattr(Int(args, 0), &attributes) != 0) return ThrowErrno(isolate, errno, "mq_getattr");
  const long values[] = {attributes.mq_curmsgs, attributes.mq_maxmsg, attributes.mq_msgsize};
  Local<Value> result[3];
  for (int i = 0; i < 3; i++) result[i] = v8::Number::New(isolate, static_cast<double>(values[i]));
  args.GetReturnValue().Set(v8::Array::New(isolate, result, 3));
}

// mqSend(fd, buffer, offset, length, mayBlock) -> false when it is full and must not block.
void Send(const Args& args) {
  const char* data = BytesAt(args, 1, 2);
  const size_t length = static_cast<size_t>(Int(args, 3));
  int result;
  do {
    result = args[4]->IsTrue() ? mq_send(Int(args, 0), data, length, kPriority)
                               : mq_timedsend(Int(args, 0), data, length, kPriority, &kPast);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno != ETIMEDOUT && errno != EAGAIN) {
    return ThrowErrno(args.GetIsolate(), errno, "mq_send");
  }
  args.GetReturnValue().Set(result == 0);
}

// mqReceive(fd, buffer, mayBlock) -> length, -1 when it is empty and must not block. The buffer holds
// the queue's messageSize.
void Receive(const Args& args) {
  char* buffer = node::Buffer::Data(args[1]);
  const size_t length = node::Buffer::Length(args[1]);
  ssize_t n;
  do {
    n = args[2]->IsTrue() ? mq_receive(Int(args, 0), buffer, length, nullptr)
                          : mq_timedreceive(Int(args, 0), buffer, length, nullptr, &kPast);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno != ETIMEDOUT && errno != EAGAIN) {
    return ThrowErrno(args.GetIsolate(), errno, "mq_receive");
  }
  Return(args, static_cast<int32_t>(n));
}

// mqUnlink(name) -> false when there is none.
void Unlink(const Args& args) {
  v8::String::Utf8Value name(args.GetIsolate(), args[0]);
  const int result = mq_unlink(*name);
  if (result != 0 && errno != ENOENT) return ThrowErrno(args.GetIsolate(), errno, "mq_unlink");
  args.GetReturnValue().Set(result == 0);
}

}  // namespace

void RegisterMessageQueue(Local<Object> exports) {
  NODE_SET_METHOD(exports, "mqOpen", Open);
  NODE_SET_METHOD(exports, "mqStat", Stat);
  NODE_SET_METHOD(exports, "mqSend", Send);
  NODE_SET_METHOD(exports, "mqReceive", Receive);
  NODE_SET_METHOD(exports, "mqUnlink", Unlink);
}

}  // namespace prefork
