// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: model directories whose files have weights in the forms that inference keeps.
#ifndef WATTLE_WORKER_ENGINE_MODELS_TESTING_TEST_STORED_MODEL_H_
#define WATTLE_WORKER_ENGINE_MODELS_TESTING_TEST_STORED_MODEL_H_

#include <functional>
#include <string>

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "models/decoder_config.h"

namespace wattle::engine {

// A model of the config with the byte tokenizer and logits of several units, F32 in safetensors.
std::string MakeModelOf(const models::DecoderConfig& config);

// Rounds the tensors of the F32 safetensors file selected by `rounded` to the type.
void RoundTensors(const std::string& directory, formats::DataType type,
                  const std::function<bool(const std::string& name)>& rounded);

// Replaces the tensors of the directory's GGUF file selected by `chosen` by random blocks of Q6_K.
void RewriteAsQ6K(const std::string& directory,
                  const std::function<bool(const std::string& name)>& chosen);

// Converts the matrices of an F32 model to the type: a GGUF file replaces the safetensors file. For
// F32, and for BF16, which we do not write to GGUF files, safetensors. For kQ6K, random blocks.
void StoreAs(const std::string& directory, formats::GgufType type);

// MakeModelOf, then StoreAs.
std::string MakeStoredModel(const models::DecoderConfig& config, formats::GgufType type);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_TESTING_TEST_STORED_MODEL_H_
