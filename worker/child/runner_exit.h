// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How a runner's process ended. A value.
#ifndef WATTLE_WORKER_CHILD_RUNNER_EXIT_H_
#define WATTLE_WORKER_CHILD_RUNNER_EXIT_H_

#include <string>

#include "wattle/v1/job.pb.h"

namespace wattle::child {

struct RunnerExit {
  // The process left by itself with exit code 0. Its last frame says with what result.
  bool clean = false;
  // Of an exit that is not clean: whose fault it is, and one line for people.
  v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
  std::string message;
  // SIGSEGV or SIGABRT: the program failed, or a library that it has of the board.
  bool crashed = false;
};

}  // namespace wattle::child

#endif  // WATTLE_WORKER_CHILD_RUNNER_EXIT_H_
