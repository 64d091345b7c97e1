// Datagram sockets, UDP and unix: several processes receive from one socket, each datagram goes to one of
// them. Received one by one: a batch in the memory of a process that is killed would be lost.
// Nothing here blocks.  See socket(2), recvmsg(2), sendto(2), udp(7), ipv6(7), unix(7).
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "binding.h"
#include "unix-bind.h"

namespace prefork {
namespace {

struct Address {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(sockaddr_storage);

  const sockaddr* Get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* Get() { return reinterpret_cast<sockaddr*>(&storage); }
  sockaddr_in* V4() { return reinterpret_cast<sockaddr_in*>(&storage); }
  sockaddr_in6* V6() { return reinterpret_cast<sockaddr_in6*>(&storage); }
  sockaddr_un* Unix() { return reinterpret_cast<sockaddr_un*>(&storage); }
};

bool ParseV4(const char* text, int port, Address* result) {
  sockaddr_in* address = result->V4();
  if (inet_pton(AF_INET, text, &address->sin_addr) != 1) return false;
  address->sin_family = AF_INET;
  address->sin_port = htons(static_cast<uint16_t>(port));
  result->length = sizeof(*address);
  return true;
}

// The number of an interface, given by name or number.
uint32_t ScopeOf(const char* zone) {
  const uint32_t index = if_nametoindex(zone);
  return index != 0 ? index : static_cast<uint32_t>(strtoul(zone, nullptr, 10));
}

// Also of the form fe80::1%eth0.
bool ParseV6(const std::string& text, int port, Address* result) {
  sockaddr_in6* address = result->V6();
  const size_t percent = text.find('%');
  if (inet_pton(AF_INET6, text.substr(0, percent).c_str(), &address->sin6_addr) != 1) return false;
  if (percent != std::string::npos) {
    address->sin6_scope_id = ScopeOf(text.c_str() + percent + 1);
    if (address->sin6_scope_id == 0) return false;
  }
  address->sin6_family = AF_INET6;
  address->sin6_port = htons(static_cast<uint16_t>(port));
  result->length = sizeof(*address);
  return true;
}

bool ParseIp(Isolate* isolate, Local<Value> value, int port, Address* result) {
  v8::String::Utf8Value text(isolate, value);
  return ParseV4(*text, port, result) || ParseV6(*text, port, result);
}

// A path, or with a NUL byte in front the name of a socket that has no file.
void ParseUnix(Isolate* isolate, Local<Value> value, Address* result) {
  v8::String::Utf8Value text(isolate, value);
  sockaddr_un* address = result->Unix();
  address->sun_family = AF_UNIX;
  const size_t bytes = static_cast<size_t>(text.length());
  memcpy(address->sun_path, *text, bytes);
  result->length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + bytes);
}

std::string V6Text(const sockaddr_in6& address) {
  char text[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE];
  inet_ntop(AF_INET6, &address.sin6_addr, text, INET6_ADDRSTRLEN);
  if (address.sin6_scope_id == 0) return text;
  char zone[IF_NAMESIZE];
  if (if_indextoname(address.sin6_scope_id, zone) != nullptr) return std::string(text) + "%" + zone;
  return std::string(text) + "%" + std::to_string(address.sin6_scope_id);
}

std::string UnixText(const sockaddr_un& address, socklen_t length) {
  const size_t start = offsetof(sockaddr_un, sun_path);
  const size_t bytes = length > start ? length - start : 0;
  if (bytes > 0 && address.sun_path[0] == '\0') return std::string(address.sun_path, bytes);
  return std::string(address.sun_path, strnlen(address.sun_path, bytes));
}

std::string TextOf(Address* address) {
  if (address->storage.ss_family == AF_INET6) return V6Text(*address->V6());
  if (address->storage.ss_family != AF_INET) return UnixText(*address->Unix(), address->length);
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &address->V4()->sin_addr, text, sizeof(text));
  return text;
}

int PortOf(Address* address) {
  if (address->storage.ss_family == AF_INET6) return ntohs(address->V6()->sin6_port);
  return address->storage.ss_family == AF_INET ? ntohs(address->V4()->sin_port) : 0;
}

const char* BindUdp(int fd, const Address& address) {
  const int off = 0;
  // "::" means IPv4 as well, whatever net.ipv6.bindv6only says. No SO_REUSEADDR: a second server would
  // take the first one's datagrams.
  if (address.storage.ss_family == AF_INET6 &&
      setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0) {
    return "setsockopt";
  }
  return bind(fd, address.Get(), address.length) == 0 ? nullptr : "bind";
}

// udpBind(address, port) -> [fd, port]
void UdpBind(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  Address address;
  if (!ParseIp(isolate, args[0], Int(args, 1), &address)) {
    return ThrowErrno(isolate, EADDRNOTAVAIL, "bind");
  }
  OwnedFd fd(NewSocket(address.storage.ss_family, SOCK_DGRAM));
  if (fd.Get() < 0) return ThrowErrno(isolate, errno, "socket");
  const char* failed = BindUdp(fd.Get(), address);
  if (failed != nullptr) return ThrowErrno(isolate, errno, failed);
  getsockname(fd.Get(), address.Get(), &address.length);
  Local<Value> result[] = {v8::Integer::New(isolate, fd.Take()),
                           v8::Integer::New(isolate, PortOf(&address))};
  args.GetReturnValue().Set(v8::Array::New(isolate, result, 2));
}

// unixDatagramBind(path) -> fd. The file has mode 0600; one that nobody is bound to is replaced.
void UnixDatagramBind(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  v8::String::Utf8Value path(isolate, args[0]);
  OwnedFd fd(NewSocket(AF_UNIX, SOCK_DGRAM));
  if (fd.Get() < 0) return ThrowErrno(isolate, errno, "socket");
  const OwnedFd lock(LockFolderOf(*path));
  const char* failed = BindUnix(fd.Get(), SOCK_DGRAM, *path);
  if (failed != nullptr) return ThrowErrno(isolate, errno, failed);
  Return(args, fd.Take());
}

// datagramReceive(fd, room, results) -> the sender's address, or undefined when nothing is there.
// results[0] is the length of the datagram, more than that of room when it was cut; results[1] the port.
void Receive(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  char* room = node::Buffer::Data(args[1]);
  const size_t size = node::Buffer::Length(args[1]);
  Address from;
  ssize_t n;
  do {
    n = recvfrom(Int(args, 0), room, size, MSG_DONTWAIT | MSG_TRUNC, from.Get(), &from.length);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (n < 0) return ThrowErrno(isolate, errno, "recvfrom");
  int32_t* results = reinterpret_cast<int32_t*>(node::Buffer::Data(args[2]));
  results[0] = static_cast<int32_t>(n);
  results[1] = PortOf(&from);
  const std::string text = TextOf(&from);
  const int bytes = static_cast<int>(text.size());
  v8::MaybeLocal<v8::String> address =
      v8::String::NewFromUtf8(isolate, text.data(), v8::NewStringType::kNormal, bytes);
  if (!address.IsEmpty()) args.GetReturnValue().Set(address.ToLocalChecked());
}

void SendTo(const Args& args, const Address& to) {
  const char* data = node::Buffer::Data(args[1]);
  const size_t length = node::Buffer::Length(args[1]);
  ssize_t n;
  do {
    n = sendto(Int(args, 0), data, length, MSG_DONTWAIT | MSG_NOSIGNAL, to.Get(), to.length);
  } while (n < 0 && errno == EINTR);
  const bool full = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  if (n < 0 && !full) return ThrowErrno(args.GetIsolate(), errno, "sendto");
  args.GetReturnValue().Set(!full);
}

// udpSend(fd, data, address, port) -> false when there is no room.
void UdpSend(const Args& args) {
  Address to;
  if (!ParseIp(args.GetIsolate(), args[2], Int(args, 3), &to)) {
    return ThrowErrno(args.GetIsolate(), EADDRNOTAVAIL, "sendto");
  }
  SendTo(args, to);
}

// unixDatagramSend(fd, data, path) -> false when the receiver's queue is full.
void UnixDatagramSend(const Args& args) {
  Address to;
  ParseUnix(args.GetIsolate(), args[2], &to);
  SendTo(args, to);
}

}  // namespace

void RegisterDatagram(Local<Object> exports) {
  NODE_SET_METHOD(exports, "udpBind", UdpBind);
  NODE_SET_METHOD(exports, "unixDatagramBind", UnixDatagramBind);
  NODE_SET_METHOD(exports, "datagramReceive", Receive);
  NODE_SET_METHOD(exports, "udpSend", UdpSend);
  NODE_SET_METHOD(exports, "unixDatagramSend", UnixDatagramSend);
}

}  // namespace prefork
