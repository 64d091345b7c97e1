#include "young-generation.h"

#include <string.h>

#include <algorithm>

namespace prefork {
namespace {

// From this share of the young generation on V8 collects it as soon as the process is idle, which a short-lived
// child is right before it ends. Each child of a full parent would do that for itself, in copied pages: it
// takes longer than all else that it does.
constexpr size_t kIdleCollectionPercent = 80;
// What a child allocates until its callback runs, and a little for the callback.
constexpr size_t kRoomOfChild = 256 * 1024;

constexpr int kFillerElements = 4000;
constexpr size_t kFillerBytes = kFillerElements * sizeof(void*);

// The number of V8's space of that name; -1: there is none, as by --single-generation.
int FindYoungGeneration(v8::Isolate* isolate) {
  v8::HeapSpaceStatistics space;
  for (size_t i = 0; i < isolate->NumberOfHeapSpaces(); i++) {
    if (isolate->GetHeapSpaceStatistics(&space, i) && strcmp(space.space_name(), "new_space") == 0) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

struct Fill {
  size_t used;
  size_t capacity;
};

Fill FillOf(v8::Isolate* isolate, int index) {
  v8::HeapSpaceStatistics space;
  isolate->GetHeapSpaceStatistics(&space, static_cast<size_t>(index));
  return {space.space_used_size(), space.space_used_size() + space.space_available_size()};
}

bool HasRoomForChild(const Fill& fill) {
  const size_t limit = fill.capacity / 100 * kIdleCollectionPercent;
  const size_t room = std::min(kRoomOfChild, fill.capacity / 4);
  return fill.used + room <= limit;
}

}  // namespace

// V8 collects when nothing more fits in: there is no call for it, so the rest is filled.
void MakeRoomForChildren(v8::Isolate* isolate) {
  static const int index = FindYoungGeneration(isolate);
  if (index < 0) return;
  const Fill before = FillOf(isolate, index);
  if (HasRoomForChild(before)) return;
  const size_t most = (before.capacity - before.used) / kFillerBytes + 2;
  for (size_t i = 0; i < most; i++) {
    v8::HandleScope scope(isolate);
    v8::Array::New(isolate, kFillerElements);
    if (FillOf(isolate, index).used < before.used) return;
  }
}

}  // namespace prefork
