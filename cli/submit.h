// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Submits job specs: the part that all submitting commands share. One thread.
#ifndef WATTLE_CLI_SUBMIT_H_
#define WATTLE_CLI_SUBMIT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/session.h"

#include "wattle/v1/service.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::cli {

struct NamedSpec {
  std::string label;  // for messages: the file, "standard input", "retry of j12"; empty: flags
  v1::JobSpec spec;
  // For a job of a sweep: the idempotency key of the file's jobs; the job's number makes the key
  // unique.
  std::string sweep_key{};
  int sweep_number = 0;
};

// Submits one spec and prints the job's id. idempotency_key: if empty, a random one, except for a
// spec of a sweep. Errors: those of SubmitSpecs.
absl::StatusOr<v1::SubmitJobResponse> SubmitSpec(Session& session, const NamedSpec& named,
                                                 const std::string& idempotency_key);

struct SubmitOptions {
  std::string idempotency_key;  // empty: a random one for each job
  bool watch = false;           // show progress until the jobs have ended
};

// Submits the specs one after the other, prints the ids of the jobs, and names the next command. A
// submit without an answer is repeated with its own idempotency key. An error names the spec's
// label and the jobs that were submitted before it. All jobs of sweeps are planned before the first
// submit, so that a refused job costs no others.
absl::StatusOr<ExitCode> SubmitSpecs(Session& session, const std::vector<NamedSpec>& specs,
                                     const SubmitOptions& options);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_SUBMIT_H_
