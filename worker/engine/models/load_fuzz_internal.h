// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// LoadModel as fuzzing sees it: valid weights files of a tiny model in every stored form, and a
// load of whatever a file has become. load_mutation_test.cc damages the files by a seed in every
// test run; load_fuzz.cc is the same look under libFuzzer (./dev fuzz). models/ has the like for
// the inspection of a directory, which needs no libtorch; the sizes and values of packed matrices
// are looked at here alone.
#ifndef WATTLE_WORKER_ENGINE_MODELS_LOAD_FUZZ_INTERNAL_H_
#define WATTLE_WORKER_ENGINE_MODELS_LOAD_FUZZ_INTERNAL_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::engine {

// Writes config.json and the tokenizer of a GPT-2 of one layer into the existing directory.
absl::Status MakeDirectoryToLoad(const std::string& directory);

// Valid weights files of that model, as bytes: FP32, each packed format, and the int8 form of
// versions before 0.2; each with checksums and without. The directory is for their making.
absl::StatusOr<std::vector<std::string>> WeightsToLoad(const std::string& directory);

// Writes `weights` as the model's file, loads the model, and decodes three tokens with what is
// accepted. Returns the loader's answer. Ends the process where the answer breaks a rule: an error
// of several lines, or one that blames this program, as an exception of libtorch does.
absl::Status LookAtLoad(const std::string& directory, absl::string_view weights);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_LOAD_FUZZ_INTERNAL_H_
