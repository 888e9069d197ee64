// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: model directories whose files hold weights in the forms that inference keeps.
#ifndef WATTLE_WORKER_ENGINE_MODELS_TEST_STORED_MODEL_H_
#define WATTLE_WORKER_ENGINE_MODELS_TEST_STORED_MODEL_H_

#include <functional>
#include <string>

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "models/decoder_config.h"

namespace wattle::engine {

// A model of the config with the byte tokenizer and logits of several units, F32 in safetensors.
std::string MakeModelOf(const models::DecoderConfig& config);

// Rounds tensors of the F32 safetensors file to the type, those that `rounded` chooses.
void RoundTensors(const std::string& directory, formats::DataType type,
                  const std::function<bool(const std::string& name)>& rounded);

// Gives tensors of the directory's GGUF file drawn blocks of Q6_K, those that `chosen` names.
void RewriteAsQ6K(const std::string& directory,
                  const std::function<bool(const std::string& name)>& chosen);

// Gives the matrices of an F32 model the type: a GGUF file takes the place of the safetensors file.
// Of F32, and of BF16, which we write to no GGUF file, safetensors. Of kQ6K, drawn blocks.
void StoreAs(const std::string& directory, formats::GgufType type);

// MakeModelOf and StoreAs.
std::string MakeStoredModel(const models::DecoderConfig& config, formats::GgufType type);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_TEST_STORED_MODEL_H_
