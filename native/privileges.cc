// What giving up root needs besides Node's own process.setgid() and process.setuid().
// See getpwnam(3), getgrnam(3), chroot(2).
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "binding.h"

namespace prefork {
namespace {

// lookupUser(name or uid) -> [uid, gid, name], undefined when there is none.
void LookupUser(const Args& args) {
  Isolate* isolate = args.GetIsolate();
  const passwd* user =
      args[0]->IsString()
          ? getpwnam(*v8::String::Utf8Value(isolate, args[0]))
          : getpwuid(static_cast<uid_t>(Number(args, 0)));
  if (user == nullptr) return;
  Local<Value> result[] = {
      v8::Number::New(isolate, user->pw_uid), v8::Number::New(isolate, user->pw_gid),
      v8::String::NewFromUtf8(isolate, user->pw_name).ToLocalChecked()};
  args.GetReturnValue().Set(v8::Array::New(isolate, result, 3));
}

// lookupGroup(name) -> gid, undefined when there is none.
void LookupGroup(const Args& args) {
  const group* found = getgrnam(*v8::String::Utf8Value(args.GetIsolate(), args[0]));
  if (found != nullptr) args.GetReturnValue().Set(static_cast<double>(found->gr_gid));
}

void ChangeRoot(const Args& args) {
  v8::String::Utf8Value path(args.GetIsolate(), args[0]);
  if (chroot(*path) != 0 || chdir("/") != 0) ThrowErrno(args.GetIsolate(), errno, "chroot");
}

// setParentDeathSignal(signal): 0 lets this process outlive its parent. Changing the uid clears it too.
void SetParentDeathSignal(const Args& args) {
  if (prctl(PR_SET_PDEATHSIG, Int(args, 0)) != 0) ThrowErrno(args.GetIsolate(), errno, "prctl");
}

}  // namespace

void RegisterPrivileges(Local<Object> exports) {
  NODE_SET_METHOD(exports, "lookupUser", LookupUser);
  NODE_SET_METHOD(exports, "lookupGroup", LookupGroup);
  NODE_SET_METHOD(exports, "chroot", ChangeRoot);
  NODE_SET_METHOD(exports, "setParentDeathSignal", SetParentDeathSignal);
}

}  // namespace prefork
