#include "slow-log-entry.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

namespace prefork {
namespace {

constexpr int kMaxFrames = 64;

std::string FrameLine(Isolate* isolate, Local<v8::StackFrame> frame) {
  const std::string function = OneLine(isolate, frame->GetFunctionName());
  std::string place = OneLine(isolate, frame->GetScriptNameOrSourceURL());
  if (place.empty()) place.append(frame->IsWasm() ? "wasm" : "<anonymous>");
  place.append(":").append(std::to_string(frame->GetLineNumber()));
  place.append(":").append(std::to_string(frame->GetColumn()));
  std::string line("    at ");
  if (function.empty()) return line.append(place).append("\n");
  if (frame->IsConstructor()) line.append("new ");
  return line.append(function).append(" (").append(place).append(")\n");
}

}  // namespace

std::string Timestamp() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  tm utc;
  gmtime_r(&now.tv_sec, &utc);
  char seconds[32];
  strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &utc);
  char text[48];
  snprintf(text, sizeof(text), "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
  return text;
}

std::string OneLine(Isolate* isolate, Local<v8::String> name) {
  if (name.IsEmpty()) return "";
  v8::String::Utf8Value value(isolate, name);
  std::string text(*value == nullptr ? "" : *value);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return text;
}

std::string StackLines(Isolate* isolate) {
  HandleScope scope(isolate);
  Local<v8::StackTrace> trace = v8::StackTrace::CurrentStackTrace(isolate, kMaxFrames + 1);
  const int count = trace->GetFrameCount();
  std::string lines;
  for (int i = 0; i < count && i < kMaxFrames; i++) {
    lines += FrameLine(isolate, trace->GetFrame(isolate, static_cast<uint32_t>(i)));
  }
  if (count > kMaxFrames) lines += "    ...\n";
  return lines;
}

void AppendEntry(int fd, const std::string& entry) {
  for (size_t written = 0; written < entry.size();) {
    const ssize_t n = write(fd, entry.data() + written, entry.size() - written);
    if (n < 0 && errno != EINTR) return;
    if (n > 0) written += static_cast<size_t>(n);
  }
}

}  // namespace prefork
