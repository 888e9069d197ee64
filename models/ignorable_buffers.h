// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tensors of a file that the engine does not read: buffers that old versions of transformers saved
// with the weights, and a copy of a tied head. Such a tensor is skipped only if its values are
// those that the config implies; any other value shows that the model was trained with another
// architecture. Pure.
#ifndef WATTLE_MODELS_IGNORABLE_BUFFERS_H_
#define WATTLE_MODELS_IGNORABLE_BUFFERS_H_

#include "absl/status/statusor.h"

#include "formats/tensor_source.h"
#include "models/decoder_config.h"

namespace wattle::models {

// Whether `tensor` may be skipped; false: it is not such a tensor. embedding: name of the token
// embedding in the file. Errors: kInvalidArgument if its content contradicts the config; those of
// SafetensorsFile::Read.
absl::StatusOr<bool> IsIgnorable(const DecoderConfig& config, const formats::TensorSource& file,
                                 const formats::TensorEntry& tensor, const std::string& embedding);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_IGNORABLE_BUFFERS_H_
