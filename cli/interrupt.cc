// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <utility>

#include "cli/exit_code.h"

namespace wattle::cli {
namespace {

constexpr int kStopSignal = SIGUSR1;  // from ~SignalThread to its own thread

sigset_t HandledSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, kStopSignal);
  return set;
}

}  // namespace

void Interrupt::Raise() {
  const absl::MutexLock lock(&mutex_);
  raised_ = true;
  if (cancel_) {
    cancel_();
  }
}

bool Interrupt::raised() const {
  const absl::MutexLock lock(&mutex_);
  return raised_;
}

CancelOnInterrupt::CancelOnInterrupt(Interrupt& interrupt, std::function<void()> cancel)
    : interrupt_(interrupt) {
  const absl::MutexLock lock(&interrupt_.mutex_);
  interrupt_.cancel_ = std::move(cancel);
  if (interrupt_.raised_) {
    interrupt_.cancel_();
  }
}

CancelOnInterrupt::~CancelOnInterrupt() {
  const absl::MutexLock lock(&interrupt_.mutex_);
  interrupt_.cancel_ = nullptr;
}

SignalThread::SignalThread(Interrupt& interrupt, absl::Duration patience) {
  const sigset_t handled = HandledSignals();
  pthread_sigmask(SIG_BLOCK, &handled, nullptr);
  thread_ = std::thread([&interrupt, handled, patience] {
    int signal = 0;
    if (sigwait(&handled, &signal) != 0 || signal == kStopSignal) {
      return;
    }
    interrupt.Raise();
    // After the first signal the command ends in order. A command that hangs in a system call
    // cannot do so: a second signal or a timeout ends the process.
    const timespec wait = absl::ToTimespec(patience);
    if (sigtimedwait(&handled, nullptr, &wait) != kStopSignal) {
      _exit(static_cast<int>(ExitCode::kInterrupted));
    }
  });
  pthread_setname_np(thread_.native_handle(), "wattle-signals");
}

SignalThread::~SignalThread() {
  pthread_kill(thread_.native_handle(), kStopSignal);
  thread_.join();
}

}  // namespace wattle::cli
