// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How a runner's process ended. A value.
#ifndef WATTLE_WORKER_CHILD_RUNNER_EXIT_H_
#define WATTLE_WORKER_CHILD_RUNNER_EXIT_H_

#include <string>

#include "wattle/v1/job.pb.h"

namespace wattle::child {

struct RunnerExit {
  // The process ended by itself with exit code 0. Its last frame has the result.
  bool clean = false;
  // For an exit that is not clean: the class of the failure, and one line for people.
  v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
  std::string message;
  // SIGSEGV or SIGABRT: the program failed, or a library of the board.
  bool crashed = false;
};

}  // namespace wattle::child

#endif  // WATTLE_WORKER_CHILD_RUNNER_EXIT_H_
