// Tells JavaScript when a file descriptor is readable or writable: sockets, message queues, pidfds,
// epoll fds. It owns no fd: stop it before the fd is closed.  See uv_poll in libuv's documentation.
#include <fcntl.h>
#include <uv.h>

#include "binding.h"
#include "fork.h"

namespace prefork {
namespace {

// V8 13.7 gave embedder pointers a type tag.
#if V8_MAJOR_VERSION > 13 || (V8_MAJOR_VERSION == 13 && V8_MINOR_VERSION >= 7)
#define PREFORK_POINTER_TAG , v8::kEmbedderDataTypeTagDefault
#else
#define PREFORK_POINTER_TAG
#endif

// The native side of a JavaScript object. While the watch is active it keeps that object alive;
// otherwise it goes with it. (node::ObjectWrap aborts on Node 24: its destructor asks for the current
// environment, and there is none during a garbage collection.)
class FdWatcher {
 public:
  static void Register(Local<Object> exports, Local<Context> context);

 private:
  FdWatcher(Isolate* isolate, Local<Object> object, uv_poll_t* handle);
  ~FdWatcher() { CloseHandle(); }

  static void New(const Args& args);
  static void Start(const Args& args);
  static void Stop(const Args& args);
  static void Close(const Args& args) { Self(args)->CloseHandle(); }
  static void SetRef(const Args& args);
  static void OnEvents(uv_poll_t* handle, int status, int events);
  static FdWatcher* Self(const Args& args) {
    return static_cast<FdWatcher*>(
        args.This()->GetAlignedPointerFromInternalField(0 PREFORK_POINTER_TAG));
  }

  // In a forked child the parent's handle is out of order and stays in the loop's list. Closing it
  // would unregister whatever has the same fd number there now.
  bool Usable() const { return handle_ != nullptr && generation_ == ForkGeneration(); }
  bool Active() const { return uv_is_active(reinterpret_cast<uv_handle_t*>(handle_)) != 0; }
  void KeepObject() { object_.ClearWeak(); }
  void FreeWithObject();
  void CloseHandle();

  v8::Global<Object> object_;
  uv_poll_t* handle_;
  const int generation_;
};

FdWatcher::FdWatcher(Isolate* isolate, Local<Object> object, uv_poll_t* handle)
    : object_(isolate, object), handle_(handle), generation_(ForkGeneration()) {
  handle_->data = this;
  object->SetAlignedPointerInInternalField(0, this PREFORK_POINTER_TAG);
  FreeWithObject();
}

void FdWatcher::FreeWithObject() {
  object_.SetWeak(
      this,
      [](const v8::WeakCallbackInfo<FdWatcher>& info) {
        info.GetParameter()->object_.Reset();
        delete info.GetParameter();
      },
      v8::WeakCallbackType::kParameter);
}

// uv_poll_init switches the fd to non-blocking, and the flag is shared with every process and every
// duplicate of it. All our calls say MSG_DONTWAIT themselves, so the mode is put back.
int InitKeepingMode(uv_loop_t* loop, uv_poll_t* handle, int fd) {
  const int flags = fcntl(fd, F_GETFL);
  const int error = uv_poll_init(loop, handle, fd);
  if (error == 0 && flags >= 0) fcntl(fd, F_SETFL, flags);
  return error;
}

// new FdWatcher(fd, callback): callback(events) with UV_READABLE 1 and UV_WRITABLE 2; -errno on error.
void FdWatcher::New(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  uv_poll_t* handle = new uv_poll_t();
  const int error = InitKeepingMode(node::GetCurrentEventLoop(isolate), handle, Int(args, 0));
  if (error != 0) {
    delete handle;
    return ThrowErrno(isolate, -error, "epoll_ctl");
  }
  new FdWatcher(isolate, args.This(), handle);
  args.This()->SetInternalField(1, args[1]);
}

void FdWatcher::Start(const Args& args) {
  FdWatcher* self = Self(args);
  if (!self->Usable()) return;
  const int error = uv_poll_start(self->handle_, Int(args, 0), OnEvents);
  if (error != 0) return ThrowErrno(args.GetIsolate(), -error, "epoll_ctl");
  self->KeepObject();
}

void FdWatcher::Stop(const Args& args) {
  FdWatcher* self = Self(args);
  if (!self->Usable() || !self->Active()) return;
  uv_poll_stop(self->handle_);
  self->FreeWithObject();
}

void FdWatcher::CloseHandle() {
  uv_handle_t* handle = reinterpret_cast<uv_handle_t*>(handle_);
  if (Usable()) {
    if (Active()) FreeWithObject();
    uv_close(handle, [](uv_handle_t* closed) { delete reinterpret_cast<uv_poll_t*>(closed); });
  }
  handle_ = nullptr;
}

void FdWatcher::SetRef(const Args& args) {
  FdWatcher* self = Self(args);
  if (!self->Usable()) return;
  uv_handle_t* handle = reinterpret_cast<uv_handle_t*>(self->handle_);
  args[0]->IsTrue() ? uv_ref(handle) : uv_unref(handle);
}

void FdWatcher::OnEvents(uv_poll_t* handle, int status, int events) {
  FdWatcher* self = static_cast<FdWatcher*>(handle->data);
  Isolate* isolate = Isolate::GetCurrent();
  HandleScope scope(isolate);
  Local<Object> object = self->object_.Get(isolate);
  if (status < 0) self->FreeWithObject();  // POLLERR: libuv has stopped the handle
  Local<Function> callback = object->GetInternalField(1).As<Value>().As<Function>();
  Local<Context> context = callback->GetCreationContextChecked();
  Context::Scope context_scope(context);
  Local<Value> argument = v8::Integer::New(isolate, status < 0 ? status : events);
  (void)node::MakeCallback(isolate, object, callback, 1, &argument, {0, 0});
}

void FdWatcher::Register(Local<Object> exports, Local<Context> context) {
  Isolate* isolate = Isolate::GetCurrent();
  Local<v8::FunctionTemplate> type = v8::FunctionTemplate::New(isolate, New);
  Local<v8::String> name = v8::String::NewFromUtf8Literal(isolate, "FdWatcher");
  type->SetClassName(name);
  type->InstanceTemplate()->SetInternalFieldCount(2);
  NODE_SET_PROTOTYPE_METHOD(type, "start", Start);
  NODE_SET_PROTOTYPE_METHOD(type, "stop", Stop);
  NODE_SET_PROTOTYPE_METHOD(type, "close", Close);
  NODE_SET_PROTOTYPE_METHOD(type, "setRef", SetRef);
  exports->Set(context, name, type->GetFunction(context).ToLocalChecked()).Check();
}

}  // namespace

void RegisterFdWatcher(Local<Object> exports, Local<Context> context) {
  FdWatcher::Register(exports, context);
}

}  // namespace prefork
