// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Specs to jobs: what every command that submits has in common. One thread.
#ifndef WATTLE_CLI_SUBMIT_H_
#define WATTLE_CLI_SUBMIT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/session.h"

#include "wattle/v1/spec.pb.h"

namespace wattle::cli {

struct NamedSpec {
  std::string label;  // for messages: the file, "standard input", "retry of j12"
  v1::JobSpec spec;
};

struct SubmitOptions {
  std::string idempotency_key;  // empty: one made at random for each job
  bool watch = false;           // show progress until the jobs have ended
};

// Submits one after the other, prints their ids and what to do next. Each submit is repeated with
// its own key until it is answered. Errors name the label, and the jobs that were made before.
absl::StatusOr<ExitCode> SubmitSpecs(Session& session, const std::vector<NamedSpec>& specs,
                                     const SubmitOptions& options);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_SUBMIT_H_
