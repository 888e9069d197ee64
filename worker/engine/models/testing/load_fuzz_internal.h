// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Fuzzing of LoadModel: valid weights files of a tiny model in every stored form, and a load of any
// mutated file. load_mutation_test.cc damages the files by a seed in every test run; load_fuzz.cc
// is the same check under libFuzzer (./dev fuzz). models/ has the same for the inspection of a
// directory, which needs no libtorch; only this one checks the sizes and values of packed matrices.
#ifndef WATTLE_WORKER_ENGINE_MODELS_TESTING_LOAD_FUZZ_INTERNAL_H_
#define WATTLE_WORKER_ENGINE_MODELS_TESTING_LOAD_FUZZ_INTERNAL_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::engine {

// Writes config.json and the tokenizer of a GPT-2 of one layer into the existing directory.
absl::Status MakeDirectoryToLoad(const std::string& directory);

// Valid weights files of that model, as bytes: FP32, each packed format, and the int8 form of
// versions before 0.2; each with checksums and without. directory: for temporary files.
absl::StatusOr<std::vector<std::string>> WeightsToLoad(const std::string& directory);

// Writes `weights` as the model's file, loads the model, and decodes three tokens if it is
// accepted. Returns the loader's result. Aborts if the result breaks a rule: an error of several
// lines or of an internal code, such as for an exception of libtorch.
absl::Status LookAtLoad(const std::string& directory, absl::string_view weights);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_TESTING_LOAD_FUZZ_INTERNAL_H_
