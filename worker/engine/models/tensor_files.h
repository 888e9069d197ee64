// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Single tensors between a file and memory, in every form that models/model_directory.h describes.
// Tensors are read to their places in pieces of models::kLoadingPieceBytes, on any device: a model
// is never in memory twice. May throw libtorch's exceptions.
#ifndef WATTLE_WORKER_ENGINE_MODELS_TENSOR_FILES_H_
#define WATTLE_WORKER_ENGINE_MODELS_TENSOR_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <ATen/core/Tensor.h>

#include "formats/safetensors.h"
#include "formats/tensor_source.h"
#include "models/model_directory.h"
#include "models/tensors.h"
#include "worker/engine/kernels/weight_matrix.h"
#include "worker/engine/models/packed_arena.h"
#include "worker/engine/models/weights.h"

namespace wattle::engine {

// The parts of a tensor with their names in a Hugging Face file.
[[nodiscard]] std::vector<models::FileTensor> NamesInFile(const models::ModelDirectory& files,
                                                          const models::ModelTensor& tensor);

// Copies rows of the host into `place`, of the same shape, on any device. For another device, rows
// are first converted to its type and order in a host buffer of buffer_elements numbers, or of one
// row if that is more, and not in a second copy of all rows.
void CopyThroughBuffer(const at::Tensor& rows, int64_t buffer_elements, at::Tensor& place);

// Reads stacked parts into `place`: float, half or bfloat16, contiguous, in the engine's form.
// Errors: kInvalidArgument for a part that is missing or has another shape, kDataLoss for
// non-finite values.
absl::Status ReadFloats(const formats::TensorSource& file,
                        const std::vector<models::FileTensor>& parts,
                        const models::FileLayout& layout, const at::Tensor& place);

// The inverse: values on the host, in their own type.
absl::Status WriteFloats(const std::vector<models::FileTensor>& parts,
                         const models::FileLayout& layout, const at::Tensor& values,
                         formats::SafetensorsWriter& writer);

// A matrix of zeros in the arena's memory; arena: null for separate bytes on the host. For FP16 and
// BF16, `packed` can be filled by ReadFloats.
[[nodiscard]] MatrixWeights EmptyMatrix(kernels::WeightFormat format, int64_t rows, int64_t columns,
                                        PackedArena* arena = nullptr);

// The values read by ReadFloats, rounded to nearest. shape: of the matrix, in its format. A matrix
// whose rows are not those of the file is also held in FP32 meanwhile. Errors: those of ReadFloats.
absl::StatusOr<MatrixWeights> ReadAndQuantize(const formats::TensorSource& file,
                                              const std::vector<models::FileTensor>& parts,
                                              const models::FileLayout& layout,
                                              const kernels::WeightMatrix& shape,
                                              PackedArena* arena);

// Codes and scales of the file (TensorSource::ReadCodes). shape: in the format with these codes and
// groups. Errors: those of ReadFloats.
absl::StatusOr<MatrixWeights> ReadCodes(const formats::TensorSource& file,
                                        const std::vector<models::FileTensor>& parts,
                                        const kernels::WeightMatrix& shape, PackedArena* arena);

// Quantizes float [outputs, inputs] on the host by rounding to nearest. name: for messages. Errors:
// kDataLoss for non-finite values.
absl::StatusOr<MatrixWeights> PackFloats(const std::string& name, kernels::WeightFormat format,
                                         const at::Tensor& values, PackedArena* arena = nullptr);

// A copy of the same bytes at another address on the host.
[[nodiscard]] MatrixWeights CopyPacked(const MatrixWeights& matrix);

// Packs codes and scales computed by the caller. rows: in the form that FormatOperations::pack
// takes, of a matrix [outputs, inputs].
[[nodiscard]] MatrixWeights PackCodes(kernels::WeightFormat format, int64_t outputs, int64_t inputs,
                                      const kernels::QuantizedRows& rows);

// Reads packed bytes and scales. Errors: kInvalidArgument for a size other than the format's,
// kDataLoss for weights that are not finite.
absl::StatusOr<MatrixWeights> ReadPacked(const formats::TensorSource& file, const std::string& name,
                                         const kernels::WeightMatrix& shape, PackedArena* arena);

// Reads the int8 form of versions before 0.2. name: in the file.
absl::StatusOr<MatrixWeights> ReadInt8PerChannel(const formats::TensorSource& file,
                                                 const std::string& name,
                                                 const std::vector<int64_t>& shape, bool transposed,
                                                 PackedArena* arena = nullptr);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_TENSOR_FILES_H_
