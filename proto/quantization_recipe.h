// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Interprets quantization recipes (quantization.proto): their names, their identity as one text,
// and the format of a tensor. The job file, the artifact, the profile row, the predictor and the
// engine all use these functions. Pure; thread-safe.
#ifndef WATTLE_PROTO_QUANTIZATION_RECIPE_H_
#define WATTLE_PROTO_QUANTIZATION_RECIPE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "wattle/v1/quantization.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle {

// The identities of the two recipes that every version has.
inline constexpr char kNoQuantization[] = "none";
inline constexpr char kInt8Quantization[] = "int8";
// The identity for a quantize job that searches its recipe; it names no recipe.
inline constexpr char kAdaptiveQuantization[] = "adaptive";

// One text for one recipe: equal recipes have equal identities. "none" is FP32 everywhere; "int8",
// "int4-g64" (group of 64), "nf4-g64", "int4a-g32" (asymmetric) or "bf16" name the format of the
// layers' matrices and the head. Differences from that format follow: "int4-g64+head=int8+kv=int8".
// A recipe with exceptions for single tensors ends with their number and a hash of all of them,
// "+3x8b31f0429f0c21d4"; an exception equal to the default for its tensor does not count.
[[nodiscard]] std::string RecipeIdentity(const v1::QuantizationRecipe& recipe);

// The recipe of an identity. Errors: kInvalidArgument for an invalid identity, or one with
// exceptions, which the text does not contain.
absl::StatusOr<v1::QuantizationRecipe> RecipeOfIdentity(absl::string_view identity);

// The identity that a spec requests: its recipe if set, else its quantization. Empty means the form
// of the model's files. Errors: kInvalidArgument for both at once, or an invalid recipe.
absl::StatusOr<std::string> WantedQuantization(v1::Quantization quantization,
                                               const v1::QuantizationRecipe* recipe);

// Checks that every format of the recipe exists. Errors: kInvalidArgument, naming the field.
absl::Status CheckRecipe(const v1::QuantizationRecipe& recipe);
// CheckRecipe for a job's request, which also refuses formats that occur only in files.
absl::Status CheckAskedRecipe(const v1::QuantizationRecipe& recipe);

// The format of a matrix. is_head: the matrix is the output head, or a token embedding that is also
// the head. tensor: its name in the model's files, for the exceptions.
[[nodiscard]] v1::TensorFormat MatrixFormat(const v1::QuantizationRecipe& recipe,
                                            absl::string_view tensor, bool is_head);
// The format of a token embedding that is not the head.
[[nodiscard]] v1::TensorFormat EmbeddingFormat(const v1::QuantizationRecipe& recipe);

// Whether keys and values are kept in int8, symmetric; otherwise FP32.
[[nodiscard]] bool KeysAndValuesAreInt8(const v1::QuantizationRecipe& recipe);

// "fp32", "int8", "int4-g64".
[[nodiscard]] std::string FormatName(const v1::TensorFormat& format);

// Bytes of `rows` output channels of `columns` numbers each, scales included. FP32 scales for whole
// channels, FP16 ones for groups.
[[nodiscard]] double StoredBytes(const v1::TensorFormat& format, double rows, double columns);

}  // namespace wattle

#endif  // WATTLE_PROTO_QUANTIZATION_RECIPE_H_
