// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Ctrl-C and SIGTERM. The first one cancels the call that is under way, so that the command ends in
// order and says what goes on without it; a second one ends the process at once. A command that
// hangs in a system call is ended after a few seconds. Thread-safe.
#ifndef WATTLE_CLI_INTERRUPT_H_
#define WATTLE_CLI_INTERRUPT_H_

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace wattle::cli {

class Interrupt {
 public:
  // Raised by the program's signals or by a test.
  void Raise();
  [[nodiscard]] bool raised() const;

 private:
  friend class CancelOnInterrupt;
  mutable absl::Mutex mutex_;
  bool raised_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> cancel_ ABSL_GUARDED_BY(mutex_);
};

// While it lives, `cancel` is called when the interrupt is raised, also if it was raised before.
// `cancel` must not block. One at a time.
class CancelOnInterrupt {
 public:
  CancelOnInterrupt(Interrupt& interrupt, std::function<void()> cancel);
  ~CancelOnInterrupt();
  CancelOnInterrupt(const CancelOnInterrupt&) = delete;
  CancelOnInterrupt& operator=(const CancelOnInterrupt&) = delete;

 private:
  Interrupt& interrupt_;
};

// Takes SIGINT and SIGTERM of the process while it lives and raises `interrupt`. Made in main
// before any other thread, for these inherit the blocked signals.
class SignalThread {
 public:
  // patience: how long a command may take to end in order after the first signal.
  explicit SignalThread(Interrupt& interrupt, absl::Duration patience = absl::Seconds(5));
  ~SignalThread();
  SignalThread(const SignalThread&) = delete;
  SignalThread& operator=(const SignalThread&) = delete;

 private:
  std::thread thread_;
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_INTERRUPT_H_
