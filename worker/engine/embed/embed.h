// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One vector for each text of a file: the mean over the text's tokens of the last hidden state
// after the final norm, in FP32, scaled to length 1. Not thread-safe on one sink.
#ifndef WATTLE_WORKER_ENGINE_EMBED_EMBED_H_
#define WATTLE_WORKER_ENGINE_EMBED_EMBED_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "worker/engine/model_job.h"
#include "worker/engine/progress.h"

namespace wattle::engine {

// In the result's directory: the tensor "embeddings", FP32 [texts, width], in the order of the
// file.
inline constexpr char kEmbeddingsFile[] = "embeddings.safetensors";

struct EmbedSettings {
  ModelJob model;
  std::string data;             // .txt: each line that is not blank is a text; .jsonl: prompts
  int64_t limit_texts = 0;      // only the first n; 0: all
  int64_t sequence_length = 0;  // tokens of a text at most; 0: the model's context
  int64_t batch_size = 8;
  std::string output_directory;
};

struct EmbedResult {
  ModelFigures model;
  WorkTotals work;  // examples: texts
  int64_t truncated_texts = 0;
  double bytes_per_token = 0.0;  // of the texts, before they were cut
};

// Whole job: loads data and model, writes the vectors. Errors: those of the data's reader and of
// LoadModel; kInvalidArgument for a kind of file that has no texts; kFailedPrecondition for a
// sequence_length beyond the model's context; kAborted for a vector that is not finite; kCancelled
// where the sink says so.
absl::StatusOr<EmbedResult> Embed(const EmbedSettings& settings, ProgressSink& sink);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_EMBED_EMBED_H_
