// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How much work a job is, before any device is looked at: examples, tokens with padding, steps,
// bytes. Pure; thread-safe. Read predict.h next.
#ifndef WATTLE_SCHEDULER_PREDICT_WORK_H_
#define WATTLE_SCHEDULER_PREDICT_WORK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

// An input of a job, resolved to an artifact.
struct InputView {
  std::string field;  // "model", "data", "heldout_data", "calibration_data", "reference_model".
  v1::ArtifactInfo artifact;
};

struct WorkAmount {
  // Batch and length stay 0 where the job is declared without files and does not tell them.
  v1::WorkloadSignature signature;
  v1::WorkUnit unit = v1::WORK_UNIT_UNSPECIFIED;  // EXAMPLE where tokens are not known.
  double units = 0;                               // Of the run itself.
  double units_of_heldout = 0;    // Evaluations of held-out data, in training tokens.
  double examples = 0;            // Example passes, prompts, or windows of text.
  double tokens_per_example = 0;  // Padding included; 0: not known.
  double steps =
      0;  // Optimizer steps, or batches; with an unknown batch, as if it were the default of 8.
  double parameters = 0;
  double truncated_share = 0;   // Of the examples, those cut at the sequence length.
  double checkpoints = 0;       // Written during the run, the result not counted.
  double checkpoint_bytes = 0;  // Of one: weights and both AdamW moments.
  double result_bytes = 0;
};

// Bytes of text in a token: as measured with this very model, else with its vocabulary, else a
// default for English: 4.5 of a large vocabulary such as GPT-2's, 4 of a small one.
double BytesPerToken(const ProfileTable& table, const v1::ModelShape& model);

// Bytes per token that explain the real tokens of a finished attempt on data with these statistics,
// for a runner that counts tokens alone; 0: cannot be told (no lengths, or all examples were cut).
double BytesPerTokenOf(const v1::WorkDone& work, const v1::DatasetStatistics& data);

// The fields of `spec` that a plan depends on: every number in its range, exactly one kind, a model
// and data named or declared. Errors: kInvalidArgument, the field first.
absl::Status ValidateSpec(const v1::JobSpec& spec);

// Errors: kInvalidArgument where spec or inputs give no amount of work; the message names the
// field.
absl::StatusOr<WorkAmount> WorkOf(const v1::JobSpec& spec, absl::Span<const InputView> inputs,
                                  const ProfileTable& table);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_WORK_H_
