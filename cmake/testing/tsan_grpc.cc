// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Only for builds with -fsanitize=thread. The system's gRPC is built without the sanitizer and
// hands calls to other threads through atomics that the sanitizer does not see. These definitions
// are linked before the library's (see wattle_library.cmake) and report to the sanitizer that the
// actions of a thread before it started an operation of a call happen before any thread takes the
// outcome of an operation of the same call.
#include <dlfcn.h>

#include <cstddef>

extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}

#define WATTLE_UNCHECKED __attribute__((no_sanitize("thread")))

namespace {

template <typename Function>
WATTLE_UNCHECKED Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

WATTLE_UNCHECKED int grpc_call_start_batch(void* call, const void* operations, size_t count,
                                           void* tag, void* reserved) {
  static auto* const next =
      Next<int(void*, const void*, size_t, void*, void*)>("grpc_call_start_batch");
  __tsan_release(call);
  return next(call, operations, count, tag, reserved);
}

// gRPC's C++ layer calls this when an operation is complete, before the callback.
WATTLE_UNCHECKED void grpc_call_unref(void* call) {
  static auto* const next = Next<void(void*)>("grpc_call_unref");
  __tsan_acquire(call);
  next(call);
}

}  // extern "C"
