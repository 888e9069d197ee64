// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/model_directory.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "formats/byte_pair_encoding.h"

namespace wattle::formats {
namespace {

constexpr char kPrefix[] = "transformer.";
constexpr char kHead[] = "lm_head.weight";

std::string Join(const std::string& directory, absl::string_view file) {
  return absl::StrCat(directory, "/", file);
}

int64_t FileSize(const std::string& path) {  // -1: no such file
  struct stat about = {};
  return stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode) ? about.st_size : -1;
}

absl::Status TensorError(const SafetensorsFile& file, const std::string& tensor,
                         absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file.path(), ": tensor ", tensor, ": ", what));
}

// Buffers that transformers once saved with the weights: the causal mask, and a tied head.
bool IsHarmlessExtra(const DecoderConfig& config, absl::string_view name) {
  return absl::EndsWith(name, ".attn.bias") || absl::EndsWith(name, ".attn.masked_bias") ||
         (config.tied_embeddings && name == kHead);
}

absl::Status CheckType(const SafetensorsFile& file, const TensorEntry& tensor, DataType stored_type,
                       bool may_be_int8) {
  if (tensor.type != stored_type && !(may_be_int8 && tensor.type == DataType::kI8)) {
    return TensorError(file, tensor.name,
                       absl::StrCat("has type ", DataTypeName(tensor.type), " beside ",
                                    DataTypeName(stored_type), "; save the model in one type"));
  }
  return absl::OkStatus();
}

absl::Status CheckScale(const SafetensorsFile& file, const TensorEntry& weight, bool per_row) {
  const std::string name = weight.name + kScaleSuffix;
  const TensorEntry* scale = file.Find(name);
  if (scale == nullptr) {
    return TensorError(file, name, "missing; run the quantize job again");
  }
  const std::vector<int64_t> shape = {weight.shape[per_row ? 0 : 1]};
  if (scale->shape != shape || scale->type != DataType::kF32) {
    return TensorError(file, name,
                       absl::StrCat("wants F32 ", FormatShape(shape), ", found ",
                                    DataTypeName(scale->type), " ", FormatShape(scale->shape)));
  }
  return absl::OkStatus();
}

absl::Status CheckTensors(const SafetensorsFile& file, ModelDirectory& model) {
  absl::flat_hash_set<std::string> known;
  // Norm weights are never quantized, so the last one tells how the rest is stored.
  const TensorEntry* last_norm = file.Find(model.tensor_prefix + "ln_f.weight");
  if (last_norm == nullptr) {
    return TensorError(file, model.tensor_prefix + "ln_f.weight",
                       "missing; is the model of the GPT-2 family?");
  }
  model.stored_type = last_norm->type;
  if (model.stored_type != DataType::kF32 && model.stored_type != DataType::kF16 &&
      model.stored_type != DataType::kBF16) {
    return TensorError(
        file, last_norm->name,
        absl::StrCat("has type ", DataTypeName(model.stored_type), "; wants F32, F16 or BF16"));
  }
  for (const TensorDescription& wanted : CheckpointTensors(model.config)) {
    const std::string name = TensorNameInFile(model, wanted.name);
    const TensorEntry* tensor = file.Find(name);
    if (tensor == nullptr) {
      return TensorError(
          file, name,
          absl::StrCat("missing; config.json wants it with shape ", FormatShape(wanted.shape)));
    }
    if (tensor->shape != wanted.shape) {
      return TensorError(file, name,
                         absl::StrCat("has shape ", FormatShape(tensor->shape),
                                      ", config.json wants ", FormatShape(wanted.shape)));
    }
    const bool linear = IsLinearWeight(model.config, wanted.name);
    WATTLE_RETURN_IF_ERROR(CheckType(file, *tensor, model.stored_type, model.int8 && linear));
    known.insert(name);
    if (tensor->type == DataType::kI8) {
      WATTLE_RETURN_IF_ERROR(CheckScale(file, *tensor, !absl::StartsWith(wanted.name, "h.")));
      known.insert(name + kScaleSuffix);
    }
  }
  for (const TensorEntry& tensor : file.tensors()) {
    if (!known.contains(tensor.name) && !IsHarmlessExtra(model.config, tensor.name)) {
      return TensorError(file, tensor.name,
                         "not part of the model that config.json describes; remove it");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckWeights(const std::string& directory, ModelDirectory& model) {
  const std::string path = Join(directory, kWeightsFile);
  if (FileSize(path) < 0) {
    const bool sharded = FileSize(path + ".index.json") >= 0;
    if (sharded) {
      return absl::UnimplementedError(absl::StrCat(path,
                                                   ".index.json: sharded weights are not supported "
                                                   "in this version; save the model as one file"));
    }
    return absl::NotFoundError(absl::StrCat(
        path, ": no such file; save the model with save_pretrained(..., safe_serialization=True)"));
  }
  WATTLE_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  model.tensor_prefix = file.Find(absl::StrCat(kPrefix, "wte.weight")) != nullptr ? kPrefix : "";
  const auto quantization = file.metadata().find(kQuantizationMetadataKey);
  if (quantization != file.metadata().end()) {
    if (quantization->second != kInt8PerChannel) {
      return absl::UnimplementedError(
          absl::StrCat(path, ": quantization ", quantization->second,
                       ": not supported in this version; quantize to int8"));
    }
    model.int8 = true;
  }
  return CheckTensors(file, model);
}

absl::Status CheckTokenizer(const std::string& directory, ModelDirectory& model) {
  WATTLE_ASSIGN_OR_RETURN(const BytePairEncoding tokenizer,
                          BytePairEncoding::LoadDirectory(directory));
  if (tokenizer.vocabulary_size() > model.config.vocabulary) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory, ": the tokenizer has ", tokenizer.vocabulary_size(),
                     " tokens, the model's vocabulary ", model.config.vocabulary,
                     "; use the tokenizer that the model was trained with"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string TensorNameInFile(const ModelDirectory& model, const std::string& tensor) {
  return tensor == kHead ? tensor : model.tensor_prefix + tensor;
}

absl::StatusOr<ModelDirectory> InspectModelDirectory(const std::string& directory) {
  struct stat about = {};
  if (stat(directory.c_str(), &about) != 0 || !S_ISDIR(about.st_mode)) {
    return absl::NotFoundError(absl::StrCat(
        directory, ": no such directory; give the path of a Hugging Face model directory"));
  }
  ModelDirectory model;
  const std::string config = Join(directory, kConfigFile);
  if (FileSize(config) < 0) {
    return absl::NotFoundError(
        absl::StrCat(config, ": no such file; give the path of a Hugging Face model directory"));
  }
  WATTLE_ASSIGN_OR_RETURN(model.config, ReadDecoderConfig(config));
  WATTLE_RETURN_IF_ERROR(CheckWeights(directory, model));
  WATTLE_RETURN_IF_ERROR(CheckTokenizer(directory, model));
  for (const char* file :
       {kConfigFile, kMergesFile, kWeightsFile, kTokenizerFile, kVocabularyFile}) {
    const int64_t size = FileSize(Join(directory, file));
    if (size >= 0) {
      model.files.emplace_back(file);
      model.size_bytes += size;
    }
  }
  std::sort(model.files.begin(), model.files.end());
  return model;
}

}  // namespace wattle::formats
