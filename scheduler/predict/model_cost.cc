// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Arithmetic on model sizes.
#include "scheduler/predict/model_cost.h"

#include "absl/strings/str_cat.h"

namespace wattle::scheduler {
namespace {

// Far above any model that a device of this fleet could hold: what is larger is a mistake in the
// file.
constexpr int kLayersMax = 1000;
constexpr int kWidthMax = 65536;
constexpr int kVocabularyMax = 4000000;
constexpr int kContextMax = 4000000;

absl::Status CheckRange(absl::string_view name, int value, int max) {
  if (value >= 1 && value <= max) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", value, "; wanted 1 to ", max));
}

}  // namespace

absl::Status ValidateModelShape(const v1::ModelShape& shape, absl::string_view field) {
  if (shape.architecture() != "gpt2") {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".architecture: \"", shape.architecture(),
                     "\" is not supported in this version; wanted \"gpt2\""));
  }
  struct Size {
    absl::string_view name;
    int value = 0;
    int max = 0;
  };
  for (const Size& size :
       {Size{"layers", shape.layers(), kLayersMax}, Size{"width", shape.width(), kWidthMax},
        Size{"heads", shape.heads(), kWidthMax},
        Size{"vocabulary_size", shape.vocabulary_size(), kVocabularyMax},
        Size{"context_length", shape.context_length(), kContextMax}}) {
    const absl::Status status =
        CheckRange(absl::StrCat(field, ".", size.name), size.value, size.max);
    if (!status.ok()) {
      return status;
    }
  }
  if (shape.width() % shape.heads() != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".heads: ", shape.heads(), " does not divide width ", shape.width()));
  }
  return absl::OkStatus();
}

double MatmulParameterCount(const v1::ModelShape& shape) {
  const double width = shape.width();
  return shape.layers() * 12.0 * width * width + shape.vocabulary_size() * width;
}

double ParameterCount(const v1::ModelShape& shape) {
  const double width = shape.width();
  // Biases and norms of a layer: 3 + 1 + 4 + 1 for the products, 4 for two norms; at the end one
  // norm of 2.
  const double vectors = shape.layers() * 13.0 * width + 2.0 * width;
  return MatmulParameterCount(shape) + vectors + shape.context_length() * width;
}

double ForwardFlopsPerToken(const v1::ModelShape& shape, double attended_tokens) {
  return 2.0 * MatmulParameterCount(shape) +
         4.0 * shape.layers() * static_cast<double>(shape.width()) * attended_tokens;
}

double TrainingFlopsPerToken(const v1::ModelShape& shape, double attended_tokens) {
  return 3.0 * ForwardFlopsPerToken(shape, attended_tokens);
}

double WeightBytesPerToken(const v1::ModelShape& shape, absl::string_view quantization) {
  const double width = shape.width();
  const double linear = shape.layers() * 12.0 * width * width;
  const double linear_bytes = quantization == "int8" ? 1.0 : 4.0;
  return linear * linear_bytes + shape.vocabulary_size() * width * 4.0;
}

}  // namespace wattle::scheduler
