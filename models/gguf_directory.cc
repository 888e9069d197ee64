// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/gguf_directory.h"

#include <cmath>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/durable_file.h"
#include "base/status_macros.h"
#include "formats/gguf.h"
#include "formats/gguf_tokenizer.h"
#include "formats/safetensors_set.h"
#include "models/family.h"
#include "models/gguf_config.h"
#include "models/gguf_keys_internal.h"
#include "models/gguf_tensors.h"
#include "models/gguf_weights.h"

namespace wattle::models {
namespace {

namespace fs = std::filesystem;
using formats::DataType;
using formats::GgufTensor;
using formats::GgufType;

absl::Status CheckVocabulary(const formats::GgufFile& file, const DecoderConfig& config) {
  const formats::GgufValue* tokens = file.header().FindValue(kTokensKey);
  const auto* texts = tokens == nullptr ? nullptr : std::get_if<std::vector<std::string>>(tokens);
  if (texts != nullptr && static_cast<int64_t>(texts->size()) > config.vocabulary) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": ", kTokensKey, ": has ", texts->size(), " tokens, tensor ",
                     kGgufTokens, " ", config.vocabulary, " rows; convert the model again"));
  }
  return absl::OkStatus();
}

absl::Status WriteIn(const std::string& directory, absl::string_view name,
                     absl::string_view content) {
  return WriteFileDurably(absl::StrCat(directory, "/", name), content);
}

constexpr int64_t kQuantizationVersion = 2;  // version of the block formats: GGML_QNT_VERSION
constexpr float kF16Max = 65504.0F;
constexpr float kQ8CodeMax = 127.0F;
constexpr float kQ4CodeMax = 8.0F;

// llama.cpp's number for the type of most tensors (general.file_type).
int64_t FileTypeOf(GgufType type) {
  return type == GgufType::kF32 ? 0 : type == GgufType::kF16 ? 1 : type == GgufType::kQ4_0 ? 2 : 7;
}

GgufTensor TensorOf(const GgufPlacement& placement, GgufType type) {
  const bool fits = placement.is_matrix &&
                    placement.gguf.shape.back() % formats::TraitsOf(type).block_elements == 0;
  return {.name = placement.gguf.name,
          .type = fits ? type : GgufType::kF32,
          .shape = placement.gguf.shape};
}

// The values of a tensor of F32, F16 or BF16, rounded to `type`.
absl::StatusOr<std::vector<float>> ValuesOf(const formats::TensorSource& source,
                                            const formats::TensorEntry& tensor, GgufType type) {
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.size_bytes()));
  WATTLE_RETURN_IF_ERROR(source.Read(tensor, absl::MakeSpan(bytes)));
  std::vector<float> values(static_cast<size_t>(tensor.element_count()));
  formats::DequantizeGguf(tensor.type == DataType::kF16    ? GgufType::kF16
                          : tensor.type == DataType::kBF16 ? GgufType::kBF16
                                                           : GgufType::kF32,
                          bytes, absl::MakeSpan(values));
  const float most = type == GgufType::kF16    ? kF16Max
                     : type == GgufType::kQ8_0 ? kF16Max * kQ8CodeMax
                     : type == GgufType::kQ4_0 ? kF16Max * kQ4CodeMax
                                               : INFINITY;
  for (const float value : values) {
    if (!std::isfinite(value)) {
      return absl::DataLossError(absl::StrCat(source.path(), ": tensor ", tensor.name,
                                              ": has values that are not finite"));
    }
    if (std::abs(value) > most) {
      return absl::OutOfRangeError(
          absl::StrCat(source.path(), ": tensor ", tensor.name, ": has the value ", value, ", ",
                       formats::TraitsOf(type).name, " holds at most ", most, "; choose type f32"));
    }
  }
  return values;
}

// The numbers in the order of the GGUF tensor.
std::vector<float> Converted(const GgufPlacement& placement, const std::vector<float>& values) {
  const int64_t rows = placement.gguf.shape[0];
  const int64_t columns = placement.gguf.shape.size() > 1 ? placement.gguf.shape[1] : 1;
  const GgufConversion& conversion = placement.conversion;
  std::vector<float> converted(values.size());
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      const int64_t from = conversion.transposed
                               ? column * rows + row
                               : conversion.HuggingFaceRow(row, rows) * columns + column;
      const float value = values[static_cast<size_t>(from)];
      converted[static_cast<size_t>(row * columns + column)] =
          conversion.one_added ? value + 1.0F : value;
    }
  }
  return converted;
}

}  // namespace

absl::StatusOr<std::optional<std::string>> FindGguf(const std::string& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    return path;
  }
  if (fs::exists(fs::path(path) / formats::kWeightsFileName, error) ||
      fs::exists(fs::path(path) / formats::kWeightsIndexFileName, error)) {
    return std::nullopt;
  }
  std::vector<std::string> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
    if (entry.path().extension() == ".gguf") {
      found.push_back(entry.path().string());
    }
  }
  if (found.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": has ", found.size(), " .gguf files; give the path of one of them"));
  }
  return found.empty() ? std::nullopt : std::optional<std::string>(found.front());
}

absl::Status ImportGguf(const std::string& gguf, const std::string& directory) {
  WATTLE_ASSIGN_OR_RETURN(const formats::GgufFile file, formats::GgufFile::Open(gguf));
  WATTLE_ASSIGN_OR_RETURN(const DecoderConfig config, DecoderConfigOfGguf(file));
  WATTLE_RETURN_IF_ERROR(GgufWeights::Open(gguf, config).status());
  WATTLE_ASSIGN_OR_RETURN(
      const std::vector<formats::NamedFile> tokenizer,
      formats::TokenizerFilesOfGguf(file.header().metadata, gguf, GgufPreTokenizerNames()));
  WATTLE_RETURN_IF_ERROR(CheckVocabulary(file, config));
  for (const formats::NamedFile& each : tokenizer) {
    WATTLE_RETURN_IF_ERROR(WriteIn(directory, each.name, each.content));
  }
  WATTLE_RETURN_IF_ERROR(WriteIn(directory, kConfigFile, FormatDecoderConfig(config)));
  std::error_code error;
  fs::create_symlink(fs::absolute(gguf), fs::path(directory) / kGgufFile, error);
  return error ? absl::InternalError(
                     absl::StrCat(directory, "/", kGgufFile, ": cannot link: ", error.message()))
               : absl::OkStatus();
}

absl::Status WriteGguf(const ModelDirectory& model, const formats::TensorSource& weights,
                       GgufArchitectureFields fields, const std::string& gguf, GgufType type) {
  fields.metadata["general.file_type"] = FileTypeOf(type);
  fields.metadata["general.quantization_version"] = kQuantizationVersion;
  const std::vector<GgufPlacement> placements = GgufPlacements(model.config);
  std::vector<GgufTensor> tensors;
  if (!fields.rope_factors.empty()) {
    tensors.push_back(
        {.name = kGgufRopeFactors, .shape = {static_cast<int64_t>(fields.rope_factors.size())}});
  }
  for (const GgufPlacement& placement : placements) {
    tensors.push_back(TensorOf(placement, type));
  }
  WATTLE_ASSIGN_OR_RETURN(auto writer, formats::GgufWriter::Create(gguf, fields.metadata, tensors));
  if (!fields.rope_factors.empty()) {
    WATTLE_RETURN_IF_ERROR(writer.Write(kGgufRopeFactors, fields.rope_factors));
  }
  for (const GgufPlacement& placement : placements) {
    const formats::TensorEntry* tensor =
        weights.Find(TensorNameInFile(model, placement.hugging_face.name));
    WATTLE_CHECK(tensor != nullptr, "the weights are the model's");
    WATTLE_ASSIGN_OR_RETURN(const std::vector<float> values,
                            ValuesOf(weights, *tensor, TensorOf(placement, type).type));
    WATTLE_RETURN_IF_ERROR(writer.Write(placement.gguf.name, Converted(placement, values)));
  }
  return writer.Commit();
}

absl::Status ExportGguf(const std::string& directory, const std::string& gguf, GgufType type) {
  WATTLE_ASSIGN_OR_RETURN(const ModelDirectory model, InspectModelDirectory(directory));
  if (model.is_quantized()) {
    return absl::FailedPreconditionError(
        absl::StrCat(directory, ": is quantized (", model.quantization(),
                     "), and GGUF has no blocks for its codes; export the model that it was made "
                     "from"));
  }
  WATTLE_ASSIGN_OR_RETURN(const auto weights, OpenWeights(directory, model.config));
  WATTLE_ASSIGN_OR_RETURN(GgufArchitectureFields fields, GgufFieldsOf(model.config, directory));
  WATTLE_ASSIGN_OR_RETURN(formats::GgufMetadata tokenizer,
                          formats::GgufTokenizerOf(directory, model.config.vocabulary));
  if (tokenizer.contains(kBeginId) && tokenizer[kBeginId] != fields.metadata[kBeginId]) {
    return absl::UnimplementedError(absl::StrCat(
        directory, ": the tokenizer begins a text with token ",
        std::get<int64_t>(tokenizer[kBeginId]), ", config.json has bos_token_id ",
        model.config.bos_token_id, "; GGUF metadata can hold one of them, make them equal"));
  }
  fields.metadata.merge(tokenizer);
  return WriteGguf(model, *weights, std::move(fields), gguf, type);
}

}  // namespace wattle::models
