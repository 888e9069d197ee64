// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Data files as the examples of training and evaluation. SQuAD JSON is packed by formats/squad.h,
// conversations by formats/chat_examples.h with the model's chat template; plain text is cut into
// windows without overlap (pretraining). Plain values; thread-safe.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_EXAMPLES_H_
#define WATTLE_WORKER_ENGINE_TRAIN_EXAMPLES_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "formats/byte_pair_encoding.h"
#include "formats/data_set.h"
#include "formats/squad.h"
#include "models/decoder_config.h"

namespace wattle::engine {

struct ExampleOptions {
  int64_t limit_examples = 0;                          // only the first n; 0: all
  int64_t sequence_length = 0;                         // maximum; 0: the model's context
  formats::LossOn loss_on = formats::LossOn::kAnswer;  // SQuAD and chat; text always counts every
                                                       // token except a window's first
};

// model_directory: has the chat template; empty: conversations are refused. Errors:
// kFailedPrecondition for a sequence_length beyond the model's context; those of the readers;
// kInvalidArgument for a kind of file without examples, or if no example is left.
absl::StatusOr<formats::PackedExamples> LoadExamples(const std::string& path,
                                                     const std::string& model_directory,
                                                     const formats::BytePairEncoding& tokenizer,
                                                     const models::DecoderConfig& config,
                                                     const ExampleOptions& options);

// Call after LoadExamples: returns the thousands of small blocks used for reading a data set to the
// system. The heap by itself only returns blocks that are large or at its end
// (worker/runner/main.cc).
void GiveFreedBlocksBack();

// Windows of a text as examples, at most `limit` of them (0: all); the text's tokens are stored
// only once.
formats::ExamplePool WindowExamples(absl::Span<const int64_t> tokens, int64_t window_tokens,
                                    int64_t stride_tokens, int64_t limit);

// A hash of all tokens and masks of the examples, by which a checkpoint identifies its data.
uint64_t FingerprintOf(const formats::ExamplePool& examples);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_EXAMPLES_H_
