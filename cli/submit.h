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
  // Of a job of a sweep: the idempotency key of the file's jobs, which the job's number makes its
  // own.
  std::string sweep_key{};
  int sweep_number = 0;
};

// Submits one spec and prints its id. idempotency_key: empty: one made at random, unless the spec
// is of a sweep. Errors: as SubmitSpecs.
absl::StatusOr<v1::SubmitJobResponse> SubmitSpec(Session& session, const NamedSpec& named,
                                                 const std::string& idempotency_key);

struct SubmitOptions {
  std::string idempotency_key;  // empty: one made at random for each job
  bool watch = false;           // show progress until the jobs have ended
};

// Submits the specs one after the other, prints the ids of the jobs, and says what to do next. A
// submit without an answer is repeated with its own idempotency key. An error names the spec's
// label and the jobs that were submitted before it. Of sweeps, all jobs are planned before the
// first one is submitted, so that a job that would be refused costs no others.
absl::StatusOr<ExitCode> SubmitSpecs(Session& session, const std::vector<NamedSpec>& specs,
                                     const SubmitOptions& options);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_SUBMIT_H_
