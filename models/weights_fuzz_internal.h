// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The weights file of a tiny model as fuzzing sees it: valid files to begin with, and a look at
// whatever a file has become. weights_mutation_test.cc damages the files by a seed in every test
// run; weights_fuzz.cc is the same look under libFuzzer (./dev fuzz).
#ifndef WATTLE_MODELS_WEIGHTS_FUZZ_INTERNAL_H_
#define WATTLE_MODELS_WEIGHTS_FUZZ_INTERNAL_H_

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

// Writes `weights` as the model's file, inspects the directory, and reads every tensor of what it
// accepts. Returns the loader's answer. Ends the process where the answer breaks a rule: a tensor
// outside the file, an error of several lines, one that blames this program.
absl::Status LookAtWeights(const std::string& directory, absl::string_view weights);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_WEIGHTS_FUZZ_INTERNAL_H_
