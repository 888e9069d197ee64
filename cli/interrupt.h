// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Ctrl-C and SIGTERM. The first signal cancels the call in progress: the command ends in order and
// says what continues without it, for example a job. The second signal ends the process at once. A
// command that hangs in a system call ends a few seconds after the first signal. Thread-safe.
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
  // Called for a signal, or by a test.
  void Raise();
  [[nodiscard]] bool raised() const;

 private:
  friend class CancelOnInterrupt;
  mutable absl::Mutex mutex_;
  bool raised_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> cancel_ ABSL_GUARDED_BY(mutex_);
};

// While the object exists, an interrupt calls `cancel`; if the interrupt was raised earlier, the
// constructor calls `cancel`. `cancel` must not block. At most one object at a time.
class CancelOnInterrupt {
 public:
  CancelOnInterrupt(Interrupt& interrupt, std::function<void()> cancel);
  ~CancelOnInterrupt();
  CancelOnInterrupt(const CancelOnInterrupt&) = delete;
  CancelOnInterrupt& operator=(const CancelOnInterrupt&) = delete;

 private:
  Interrupt& interrupt_;
};

// While the object exists, it receives the process's SIGINT and SIGTERM and raises `interrupt`.
// main makes the object before any other thread, because threads inherit the blocked signals.
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
