// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/testing/fiber.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace wattle::cuda {
namespace {

Fiber* resumed = nullptr;

}  // namespace

void Fiber::Begin(ucontext_t& context) {
  getcontext(&context);
  context.uc_stack.ss_sp = stack_.get();
  context.uc_stack.ss_size = kStackBytes;
  makecontext(&context, &Fiber::Run, 0);
  begun_ = true;
}

#ifdef WATTLE_FIBER_BY_SWAPCONTEXT

void Fiber::Run() {
  Fiber& fiber = *resumed;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &fiber.resumer_stack_, &fiber.resumer_bytes_);
#endif
  for (;;) {
    fiber.work_();
    fiber.Leave();
  }
}

void Fiber::Resume() {
  resumed = this;
  if (!begun_) {
    Begin(place_);
  }
#ifdef __SANITIZE_ADDRESS__
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, stack_.get(), kStackBytes);
#endif
  swapcontext(&resumer_, &place_);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

void Fiber::Leave() {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&fake_stack_, resumer_stack_, resumer_bytes_);
#endif
  swapcontext(&place_, &resumer_);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake_stack_, &resumer_stack_, &resumer_bytes_);
#endif
}

#else

// A jump needs no system call, whereas swapcontext makes two.

void Fiber::Run() {
  Fiber& fiber = *resumed;
  for (;;) {
    fiber.work_();
    fiber.Leave();
  }
}

void Fiber::Resume() {
  resumed = this;
  if (_setjmp(resumer_) != 0) {
    return;
  }
  if (begun_) {
    _longjmp(place_, 1);
  }
  ucontext_t context = {};
  Begin(context);
  setcontext(&context);
}

void Fiber::Leave() {
  if (_setjmp(place_) == 0) {
    _longjmp(resumer_, 1);
  }
}

#endif

}  // namespace wattle::cuda
