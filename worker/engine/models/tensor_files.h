// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Single tensors between a file and memory, in every form that models/model_directory.h
// describes. What is read goes to its place in pieces of models::kLoadingPieceBytes, on any device:
// a model is never in memory twice. May throw libtorch's exceptions.
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

// The parts of a tensor with the names that they have in a Hugging Face file.
[[nodiscard]] std::vector<models::FileTensor> NamesInFile(const models::ModelDirectory& files,
                                                          const models::ModelTensor& tensor);

// Copies rows of the host into `place`, of the same shape, on any device. What another device takes
// is of its own type and in its own order: it goes through a buffer of the host that holds
// buffer_elements numbers, or one row if that is more, and not through a second copy of all rows.
void CopyThroughBuffer(const at::Tensor& rows, int64_t buffer_elements, at::Tensor& place);

// Reads parts that stand one below the other into `place`: float, half or bfloat16, contiguous, in
// the engine's form. Errors: kInvalidArgument for a part that is missing or of another shape,
// kDataLoss for values that are not finite.
absl::Status ReadFloats(const formats::TensorSource& file,
                        const std::vector<models::FileTensor>& parts,
                        const models::FileLayout& layout, const at::Tensor& place);

// The reverse: values of the host, in their own type.
absl::Status WriteFloats(const std::vector<models::FileTensor>& parts,
                         const models::FileLayout& layout, const at::Tensor& values,
                         formats::SafetensorsWriter& writer);

// A matrix of zeros in the arena's memory; arena: null for bytes of its own on the host. Of FP16
// and BF16 `packed` is what ReadFloats may fill.
[[nodiscard]] MatrixWeights EmptyMatrix(kernels::WeightFormat format, int64_t rows, int64_t columns,
                                        PackedArena* arena = nullptr);

// The values that ReadFloats reads, rounded to nearest. shape: of the matrix, in its format. A
// matrix whose rows are not those of the file stands beside it in FP32. Errors: as ReadFloats.
absl::StatusOr<MatrixWeights> ReadAndQuantize(const formats::TensorSource& file,
                                              const std::vector<models::FileTensor>& parts,
                                              const models::FileLayout& layout,
                                              const kernels::WeightMatrix& shape,
                                              PackedArena* arena);

// Codes and scales as the file has them (TensorSource::ReadCodes). shape: in the format with these
// codes and groups. Errors: as ReadFloats.
absl::StatusOr<MatrixWeights> ReadCodes(const formats::TensorSource& file,
                                        const std::vector<models::FileTensor>& parts,
                                        const kernels::WeightMatrix& shape, PackedArena* arena);

// Quantizes float [outputs, inputs] of the host by rounding to nearest. name: for messages. Errors:
// kDataLoss for values that are not finite.
absl::StatusOr<MatrixWeights> PackFloats(const std::string& name, kernels::WeightFormat format,
                                         const at::Tensor& values, PackedArena* arena = nullptr);

// The same bytes at another place of the host.
[[nodiscard]] MatrixWeights CopyPacked(const MatrixWeights& matrix);

// Packs codes and scales that somebody else has rounded to. rows: as FormatOperations::pack wants
// them, of a matrix [outputs, inputs].
[[nodiscard]] MatrixWeights PackCodes(kernels::WeightFormat format, int64_t outputs, int64_t inputs,
                                      const kernels::QuantizedRows& rows);

// Reads packed bytes and scales. Errors: kInvalidArgument for another size than the format has,
// kDataLoss for weights that come out not finite.
absl::StatusOr<MatrixWeights> ReadPacked(const formats::TensorSource& file, const std::string& name,
                                         const kernels::WeightMatrix& shape, PackedArena* arena);

// Reads the int8 form of versions before 0.2. name: as in the file.
absl::StatusOr<MatrixWeights> ReadInt8PerChannel(const formats::TensorSource& file,
                                                 const std::string& name,
                                                 const std::vector<int64_t>& shape, bool transposed,
                                                 PackedArena* arena = nullptr);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_MODELS_TENSOR_FILES_H_
