// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tensors of a file that the engine does not read: buffers that old versions of transformers saved
// with the weights, and a copy of a tied head. They are passed over only if they hold what the
// config implies; otherwise the model was trained as something else than its config says. Pure.
#ifndef WATTLE_MODELS_HARMLESS_TENSORS_H_
#define WATTLE_MODELS_HARMLESS_TENSORS_H_

#include "absl/status/statusor.h"

#include "formats/tensor_source.h"
#include "models/decoder_config.h"

namespace wattle::models {

// Whether `tensor` may be passed over; false: it is none of those. embedding: name of the token
// embedding in the file. Errors: kInvalidArgument where its content contradicts the config; those
// of SafetensorsFile::Read.
absl::StatusOr<bool> IsHarmless(const DecoderConfig& config, const formats::TensorSource& file,
                                const formats::TensorEntry& tensor, const std::string& embedding);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_HARMLESS_TENSORS_H_
