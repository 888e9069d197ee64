// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Fuzzing of GGUF files: the seed files, and a check of any mutated file through every reader that
// `wattle model push` and a runner apply to it. gguf_mutation_test.cc damages the files by a seed
// in every test run; gguf_fuzz.cc is the same check under libFuzzer (./dev fuzz).
#ifndef WATTLE_MODELS_TESTING_GGUF_FUZZ_INTERNAL_H_
#define WATTLE_MODELS_TESTING_GGUF_FUZZ_INTERNAL_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::models {

// The GGUF files of small models in tests/golden/gguf, as bytes: one for each way in which the
// numbers of a family are stored.
absl::StatusOr<std::vector<std::string>> ValidGgufFiles();

// Writes `file` to `path`, reads the model's description, its tokenizer and every tensor, whole and
// in parts. Returns the first refusal. Aborts if a result breaks a rule: an error of several lines
// or of an internal code, a description that config.json does not preserve, parts that differ from
// the whole tensor.
absl::Status LookAtGguf(const std::string& path, absl::string_view file);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_TESTING_GGUF_FUZZ_INTERNAL_H_
