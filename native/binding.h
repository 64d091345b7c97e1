// Shared by every file of the addon: argument access, error throwing and the list of the parts.
// Arguments were validated in TypeScript; C++ assumes them right.
#pragma once

#include <errno.h>
#include <node.h>
#include <node_buffer.h>
#include <stdint.h>

namespace prefork {

using v8::Context;
using v8::Function;
using v8::FunctionCallbackInfo;
using v8::HandleScope;
using v8::Isolate;
using v8::Local;
using v8::Object;
using v8::Value;

using Args = FunctionCallbackInfo<Value>;

inline int32_t Int(const Args& args, int index) {
  return args[index].As<v8::Int32>()->Value();
}

inline double Number(const Args& args, int index) {
  return args[index].As<v8::Number>()->Value();
}

// Throws an Error shaped like Node's own: { code: 'EAGAIN', errno: -11, syscall }, and path if one is given.
void ThrowErrno(Isolate* isolate, int error, const char* syscall, const char* path = nullptr);

inline void Return(const Args& args, int32_t value) {
  args.GetReturnValue().Set(value);
}

// What a callback without a `this` is called on. The global object will not do: where the domain module is
// loaded, MakeCallback looks for a domain in its property of that name, which is the module in the REPL.
inline Local<Object> Receiver(Isolate* isolate) { return Object::New(isolate); }

// A view of `length` bytes at `offset` of a Buffer argument.
inline char* BytesAt(const Args& args, int buffer, int offset) {
  return node::Buffer::Data(args[buffer]) + Int(args, offset);
}

// Each part of the addon adds its functions to `exports`.
void RegisterFork(Local<Object> exports);
void RegisterChildLoop(Local<Object> exports);
void RegisterSocket(Local<Object> exports);
void RegisterListen(Local<Object> exports);
void RegisterConnections(Local<Object> exports);
void RegisterDatagram(Local<Object> exports);
void RegisterFdWatcher(Local<Object> exports, Local<Context> context);
void RegisterMemory(Local<Object> exports);
void RegisterPacket(Local<Object> exports);
void RegisterMessageQueue(Local<Object> exports);
void RegisterWait(Local<Object> exports);
void RegisterSignal(Local<Object> exports);
void RegisterRandom(Local<Object> exports);
void RegisterPrivileges(Local<Object> exports);
void RegisterSched(Local<Object> exports);
void RegisterSlowLog(Local<Object> exports);

}  // namespace prefork
