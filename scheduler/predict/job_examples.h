// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The examples that a job reads, and how many tokens the job computes for one of them. Pure.
#ifndef WATTLE_SCHEDULER_PREDICT_JOB_EXAMPLES_H_
#define WATTLE_SCHEDULER_PREDICT_JOB_EXAMPLES_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "scheduler/predict/example_tokens.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

struct Examples {
  double count = 0;
  std::vector<double> token_quantiles = {};  // Tokens of one example; empty: unknown.
  // Tokens of an example's context, and the probability that the next example in the file has the
  // same context. 0: no context is shared, or unknown.
  double context_tokens = 0;
  double shared_with_next = 0;
};

struct Declared {
  bool present;
  const v1::DataShape& shape;
};

// Examples of real data, from their statistics. field: of the job file, for errors. data: null
// without an artifact. Errors: kInvalidArgument without data or examples; those of TokenQuantiles.
absl::StatusOr<Examples> ExamplesOf(absl::string_view field, const v1::ArtifactInfo* data,
                                    const TokenRates& rates);
// ExamplesOf, or for declared data the examples from their mean length.
absl::StatusOr<Examples> ExamplesOf(absl::string_view field, Declared declared,
                                    const v1::ArtifactInfo* data, const TokenRates& rates);

// Tokens of an example in a batch, which is padded to its longest one. limit: tokens at which an
// example is cut.
double PaddedTokens(const Examples& examples, double batch, double limit);

// Tokens of an example without padding, as in packed training. An evaluation sorts its examples by
// length, which leaves almost no padding.
double MeanTokens(const Examples& examples, double limit);

// Tokens of an example in packed training, where neighbours of one forward pass with the same
// context share its tokens. Cut examples keep different parts of their context and share none.
double PackedTokens(const v1::FinetuneSpec& spec, const Examples& examples, double batch,
                    double limit);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_JOB_EXAMPLES_H_
