// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A GGUF file as fuzzing sees it: the files that it begins with, and a look at whatever a file has
// become, through every reader that `wattle model push` and a runner put on it.
// gguf_mutation_test.cc damages the files by a seed in every test run; gguf_fuzz.cc is the same
// look under libFuzzer (./dev fuzz).
#ifndef WATTLE_MODELS_GGUF_FUZZ_INTERNAL_H_
#define WATTLE_MODELS_GGUF_FUZZ_INTERNAL_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::models {

// The GGUF files of small models in tests/golden/gguf, as bytes: one of each way in which the
// numbers of a family are stored.
absl::StatusOr<std::vector<std::string>> ValidGgufFiles();

// Writes `file` to `path`, reads the model's description, its tokenizer and every tensor, whole and
// in parts. Returns the first refusal. Ends the process where an answer breaks a rule: an error of
// several lines or one that blames this program, a description that config.json does not give
// back, parts that are not those of the whole tensor.
absl::Status LookAtGguf(const std::string& path, absl::string_view file);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_GGUF_FUZZ_INTERNAL_H_
