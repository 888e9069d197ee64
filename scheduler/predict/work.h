// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The amount of work of a job, independent of any device: examples, tokens with padding, steps,
// bytes. Pure; thread-safe. Read predict.h next.
#ifndef WATTLE_SCHEDULER_PREDICT_WORK_H_
#define WATTLE_SCHEDULER_PREDICT_WORK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::v1 {
class JobSpec;
class WorkDone;
}  // namespace wattle::v1

namespace wattle::scheduler {

class ProfileTable;

// An input of a job, resolved to an artifact.
struct InputView {
  std::string field;  // Field of the job's kind (proto/job_kind.h), or "quality_floor.models".
  v1::ArtifactInfo artifact;
};

// The artifact of the field's first input; null: the job has no such input.
const v1::ArtifactInfo* FindInput(absl::Span<const InputView> inputs, absl::string_view field);

struct WorkAmount {
  // Batch and length stay 0 for a job on declared shapes that omits them.
  v1::WorkloadSignature signature;
  v1::WorkUnit unit = v1::WORK_UNIT_UNSPECIFIED;  // EXAMPLE if the tokens are unknown.
  double units = 0;                               // Units of the run without its evaluations.
  double units_of_heldout = 0;    // Evaluations of held-out data, in equivalent training tokens.
  double examples = 0;            // Example passes, prompts, or windows of text.
  double tokens_per_example = 0;  // Including padding; 0: unknown.
  // Tokens of an answer to an example of an evaluation, which are generated one at a time.
  double answer_passes_per_example = 0;
  // For a generation with predicted ends of text (answer_length.h): the deviation of the logarithm
  // of `units`, and the units if no text ends before its limit. 0: `units` counts the limits.
  double end_deviation = 0;
  double units_at_most = 0;
  double steps =
      0;  // Optimizer steps, or batches; with an unknown batch, as if it were the default of 8.
  double parameters = 0;
  double truncated_share = 0;         // Share of the examples that are cut at the sequence length.
  double checkpoint_every_steps = 0;  // 0: the worker decides when a checkpoint pays.
  double checkpoint_bytes = 0;        // For one checkpoint: the weights and the optimizer's state.
  double result_bytes = 0;
};

// Bytes of text in a token: measured with this model, else with its vocabulary, else a default for
// English (4.5 for a large vocabulary such as GPT-2's, 4 for a small one).
double BytesPerToken(const ProfileTable& table, const v1::ModelShape& model);

// The bytes per token that explain the token count of a finished attempt on data with these
// statistics, for a runner that counts only tokens. chat_template: the model's; null: none, or
// unknown. 0: undetermined, because the data have no lengths or all examples were cut.
double BytesPerTokenOf(const v1::WorkDone& work, const v1::DatasetStatistics& data,
                       const v1::ChatTemplateTokens* chat_template);

// Removes the result and its upload and all checkpoints, for a run that is only measured.
void KeepNothing(WorkAmount& work);

// The amount of work of a job. Errors: kInvalidArgument names the field when spec or inputs give no
// amount of work.
absl::StatusOr<WorkAmount> WorkOf(const v1::JobSpec& spec, absl::Span<const InputView> inputs,
                                  const ProfileTable& table);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_WORK_H_
