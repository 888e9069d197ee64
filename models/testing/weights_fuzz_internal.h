// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Fuzzing of a tiny model's weights file: valid seed files, and a check of any mutated file.
// weights_mutation_test.cc damages the files by a seed in every test run; weights_fuzz.cc is the
// same check under libFuzzer (./dev fuzz).
#ifndef WATTLE_MODELS_TESTING_WEIGHTS_FUZZ_INTERNAL_H_
#define WATTLE_MODELS_TESTING_WEIGHTS_FUZZ_INTERNAL_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::models {

// Writes config.json and the tokenizer of a GPT-2 of two layers into the existing directory.
absl::Status MakeDirectoryWithoutWeights(const std::string& directory);

// Valid weights files of that model, as bytes: FP32, packed (int4 with an int8 head), and the int8
// form of versions before 0.2; each with checksums and without. The directory is for their making.
absl::StatusOr<std::vector<std::string>> ValidWeights(const std::string& directory);

// Writes `weights` as the model's file, inspects the directory, and reads every tensor if it is
// accepted. Returns the loader's result. Aborts if the result breaks a rule: a tensor outside the
// file, an error of several lines or of an internal code.
absl::Status LookAtWeights(const std::string& directory, absl::string_view weights);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_TESTING_WEIGHTS_FUZZ_INTERNAL_H_
