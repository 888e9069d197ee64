// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a script learns from how `wattle` ended. These numbers are a promise:
// docs/guide/commands.md.
#ifndef WATTLE_CLI_EXIT_CODE_H_
#define WATTLE_CLI_EXIT_CODE_H_

#include "absl/status/status.h"

namespace wattle::cli {

enum class ExitCode {
  kOk = 0,
  kJobFailed = 1,    // watch, submit --watch: the job failed or was cancelled
  kBadInput = 2,     // usage, or a file that is not what it should be
  kNotFound = 3,     // no such job, device, policy, artifact
  kUnreachable = 4,  // no coordinator, or no answer in time
  kRefused = 5,      // not possible now or at all: no feasible device, a job that has ended
  kServerError = 6,  // anything else that went wrong
  kInterrupted = 130,
};

[[nodiscard]] inline ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnimplemented:  // a field of a coming version
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
    default:  // Unknown, internal, data loss, and codes of a later Abseil.
      return ExitCode::kServerError;
  }
}

// An error of a file on this machine: whatever its reader found, the input is bad.
[[nodiscard]] inline absl::Status AsBadInput(const absl::Status& status) {
  return status.ok() ? status : absl::InvalidArgumentError(status.message());
}

}  // namespace wattle::cli

#endif  // WATTLE_CLI_EXIT_CODE_H_
