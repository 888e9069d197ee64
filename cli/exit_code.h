// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The exit codes of `wattle`. docs/guide/commands.md lists them. Scripts rely on these numbers, so
// they never change.
#ifndef WATTLE_CLI_EXIT_CODE_H_
#define WATTLE_CLI_EXIT_CODE_H_

#include "absl/status/status.h"

namespace wattle::cli {

enum class ExitCode {
  kOk = 0,
  kJobFailed = 1,    // watch, submit --watch: the job failed or was cancelled
  kBadInput = 2,     // wrong usage, or an input file with an error
  kNotFound = 3,     // no such job, device, policy, artifact
  kUnreachable = 4,  // no coordinator, or no answer before the timeout
  kRefused = 5,      // impossible now or ever: no feasible device, a job that has ended
  kServerError = 6,  // any other error
  kInterrupted = 130,
};

[[nodiscard]] inline ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnimplemented:  // a field that a later version will have
    case absl::StatusCode::kOutOfRange:
      return ExitCode::kBadInput;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kUnreachable;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return ExitCode::kRefused;
    case absl::StatusCode::kCancelled:
      return ExitCode::kInterrupted;
    default:  // unknown, internal, data loss, and codes that a later Abseil may add
      return ExitCode::kServerError;
  }
}

// Turns an error of a file on this machine into kInvalidArgument, because the input is bad whatever
// its reader reported.
[[nodiscard]] inline absl::Status AsBadInput(const absl::Status& status) {
  return status.ok() ? status : absl::InvalidArgumentError(status.message());
}

}  // namespace wattle::cli

#endif  // WATTLE_CLI_EXIT_CODE_H_
