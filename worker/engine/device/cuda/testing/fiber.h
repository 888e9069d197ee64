// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A function with a stack of its own. The function can stop anywhere and is continued later, in the
// thread that resumes it.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_TESTING_FIBER_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_TESTING_FIBER_H_

#include <ucontext.h>

#include <csetjmp>
#include <cstddef>
#include <memory>

// Sanitizers can only follow a change of stacks by swapcontext.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WATTLE_FIBER_BY_SWAPCONTEXT
#endif

namespace wattle::cuda {

class Fiber {
 public:
  explicit Fiber(void (*work)()) : work_(work) {}
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs `work` until it leaves or returns: from its beginning in the first call and after a
  // return, else from where it left.
  void Resume();
  // Called within `work`: returns to the caller of Resume.
  void Leave();
  // Forgets the state of `work`: the next Resume starts it from the beginning. Objects on its stack
  // are not destroyed.
  void Rewind() { begun_ = false; }

 private:
#ifdef WATTLE_FIBER_BY_SWAPCONTEXT
  using Place = ucontext_t;
#else
  using Place = std::jmp_buf;
#endif
  static constexpr size_t kStackBytes = 256 << 10;

  static void Run();
  void Begin(ucontext_t& context);

  void (*work_)();
  std::unique_ptr<char[]> stack_ = std::make_unique_for_overwrite<char[]>(kStackBytes);
  bool begun_ = false;
  Place place_ = {};    // where `work` continues
  Place resumer_ = {};  // where Resume was called
#ifdef __SANITIZE_ADDRESS__
  void* fake_stack_ = nullptr;
  const void* resumer_stack_ = nullptr;
  size_t resumer_bytes_ = 0;
#endif
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_TESTING_FIBER_H_
