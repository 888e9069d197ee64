// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/model_directory.h"

#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "formats/byte_pair_encoding.h"
#include "formats/json.h"
#include "formats/safetensors_set.h"
#include "models/family.h"
#include "models/field_reader.h"
#include "models/gguf_weights.h"
#include "models/ignorable_buffers.h"
#include "proto/quantization_recipe.h"

namespace wattle::models {
namespace {

using formats::DataType;
using formats::FormatShape;
using formats::SafetensorsSet;
using formats::TensorEntry;
using formats::TensorSource;

constexpr int64_t kGenerationConfigBytesMax = 1 << 20;
constexpr int64_t kTokenizerConfigBytesMax = 64 << 20;  // with a chat template
constexpr char kSentencePieceFile[] = "tokenizer.model";
constexpr char kAddedTokensFile[] = "added_tokens.json";
constexpr char kChatTemplateFile[] = "chat_template.jinja";

std::string Join(const std::string& directory, absl::string_view file) {
  return absl::StrCat(directory, "/", file);
}

int64_t FileSize(const std::string& path) {  // -1: no such file
  struct stat about = {};
  return stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode) ? about.st_size : -1;
}

absl::Status TensorError(const TensorSource& file, const std::string& tensor,
                         absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file.path(), ": tensor ", tensor, ": ", what));
}

absl::Status CheckShape(const TensorSource& file, const TensorEntry& tensor,
                        const std::vector<int64_t>& wanted) {
  if (tensor.shape != wanted) {
    return TensorError(file, tensor.name,
                       absl::StrCat("has shape ", FormatShape(tensor.shape), ", config.json wants ",
                                    FormatShape(wanted)));
  }
  return absl::OkStatus();
}

absl::StatusOr<const TensorEntry*> FindTensor(const TensorSource& file, const std::string& name,
                                              const std::vector<int64_t>& shape) {
  const TensorEntry* tensor = file.Find(name);
  if (tensor == nullptr) {
    return TensorError(
        file, name, absl::StrCat("missing; config.json wants it with shape ", FormatShape(shape)));
  }
  return tensor;
}

// Checks the tensors that the model takes from the file, one after the other.
class WeightsCheck {
 public:
  WeightsCheck(const TensorSource& file, ModelDirectory& model) : file_(file), model_(model) {}

  absl::Status Run() {
    const std::vector<ModelTensor> tensors = ModelTensors(model_.config);
    WATTLE_RETURN_IF_ERROR(model_.form == StoredForm::kPacked ? CheckPackedTensors(tensors)
                                                              : CheckFileTensors(tensors));
    const std::string embedding = model_.form == StoredForm::kPacked
                                      ? tensors.front().name
                                      : TensorNameInFile(model_, tensors.front().files[0].name);
    for (const TensorEntry& tensor : file_.tensors()) {
      if (known_.contains(tensor.name)) {
        continue;
      }
      WATTLE_ASSIGN_OR_RETURN(const bool harmless,
                              IsIgnorable(model_.config, file_, tensor, embedding));
      if (!harmless) {
        return TensorError(file_, tensor.name,
                           "not part of the model that config.json describes; remove it");
      }
      model_.ignored_tensors.push_back(tensor.name);
    }
    return absl::OkStatus();
  }

 private:
  // The final norm shows whether the file belongs to the family.
  absl::Status CheckFinalNorm(const std::vector<ModelTensor>& tensors) {
    const auto final_norm =
        std::find_if(tensors.begin(), tensors.end(),
                     [](const ModelTensor& tensor) { return tensor.slot == Slot::kFinalNorm; });
    const std::string name = TensorNameInFile(model_, final_norm->files[0].name);
    const TensorEntry* norm = file_.Find(name);
    if (norm == nullptr) {
      return TensorError(
          file_, name,
          absl::StrCat("missing; is the model of the family ", model_.config.family, "?"));
    }
    return CheckIsFloat(*norm);
  }

  // A file may mix the three types; matrices in 16 bits with norms in 32 are common.
  absl::Status CheckIsFloat(const TensorEntry& tensor) {
    return tensor.type == DataType::kF32 || tensor.type == DataType::kF16 ||
                   tensor.type == DataType::kBF16
               ? absl::OkStatus()
               : TensorError(file_, tensor.name,
                             absl::StrCat("has type ", formats::DataTypeName(tensor.type),
                                          "; wants F32, F16 or BF16"));
  }

  absl::Status CheckFileTensors(const std::vector<ModelTensor>& tensors) {
    WATTLE_RETURN_IF_ERROR(CheckFinalNorm(tensors));
    for (const ModelTensor& wanted : tensors) {
      for (const FileTensor& part : wanted.files) {
        const std::string name = TensorNameInFile(model_, part.name);
        WATTLE_ASSIGN_OR_RETURN(const TensorEntry* tensor, FindTensor(file_, name, part.shape));
        WATTLE_RETURN_IF_ERROR(CheckShape(file_, *tensor, part.shape));
        known_.insert(name);
        const bool may_be_int8 =
            model_.form == StoredForm::kInt8PerChannel && wanted.is_multiplied(model_.config);
        if (may_be_int8 && tensor->type == DataType::kI8) {
          WATTLE_RETURN_IF_ERROR(CheckChannelScale(*tensor, wanted.layout.transposed));
        } else {
          WATTLE_RETURN_IF_ERROR(CheckIsFloat(*tensor));
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckChannelScale(const TensorEntry& weight, bool transposed) {
    const std::string name = weight.name + kScaleSuffix;
    const TensorEntry* scale = file_.Find(name);
    if (scale == nullptr) {
      return TensorError(file_, name, "missing; run the quantize job again");
    }
    const std::vector<int64_t> shape = {weight.shape[transposed ? 1 : 0]};
    if (scale->shape != shape || scale->type != DataType::kF32) {
      return TensorError(
          file_, name,
          absl::StrCat("wants F32 ", FormatShape(shape), ", found ",
                       formats::DataTypeName(scale->type), " ", FormatShape(scale->shape)));
    }
    known_.insert(name);
    return absl::OkStatus();
  }

  // The kernels define the sizes of packed bytes; the loader checks them.
  absl::Status CheckPackedTensors(const std::vector<ModelTensor>& tensors) {
    for (const ModelTensor& wanted : tensors) {
      WATTLE_ASSIGN_OR_RETURN(const TensorEntry* tensor,
                              FindTensor(file_, wanted.name, wanted.shape));
      known_.insert(wanted.name);
      if (tensor->type == DataType::kU8 && wanted.is_matrix()) {
        if (file_.Find(wanted.name + kScaleSuffix) == nullptr) {
          return TensorError(file_, wanted.name + kScaleSuffix,
                             "missing; run the quantize job again");
        }
        known_.insert(wanted.name + kScaleSuffix);
      } else if (tensor->type != DataType::kF32) {
        return TensorError(file_, wanted.name,
                           absl::StrCat("has type ", formats::DataTypeName(tensor->type),
                                        "; wants F32 or packed U8"));
      } else {
        WATTLE_RETURN_IF_ERROR(CheckShape(file_, *tensor, wanted.shape));
      }
    }
    return absl::OkStatus();
  }

  const TensorSource& file_;
  ModelDirectory& model_;
  absl::flat_hash_set<std::string> known_;
};

// The form of the file, and its recipe.
absl::Status ReadForm(const TensorSource& file, ModelDirectory& model) {
  WATTLE_ASSIGN_OR_RETURN(model.recipe, RecipeOfIdentity(kNoQuantization));
  const auto form = file.metadata().find(kQuantizationMetadataKey);
  if (form == file.metadata().end()) {
    return absl::OkStatus();
  }
  if (form->second == kInt8PerChannelForm) {
    model.form = StoredForm::kInt8PerChannel;
    WATTLE_ASSIGN_OR_RETURN(model.recipe, RecipeOfIdentity(kInt8Quantization));
    return absl::OkStatus();
  }
  if (form->second != kPackedForm) {
    return absl::UnimplementedError(absl::StrCat(file.path(), ": quantization ", form->second,
                                                 ": not supported in this version; run the "
                                                 "quantize job again"));
  }
  model.form = StoredForm::kPacked;
  const auto recipe = file.metadata().find(kRecipeMetadataKey);
  if (recipe == file.metadata().end() ||
      !google::protobuf::util::JsonStringToMessage(recipe->second, &model.recipe).ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        file.path(), ": ", kRecipeMetadataKey, ": missing or no recipe; quantize the model again"));
  }
  const absl::Status status = CheckRecipe(model.recipe);
  return status.ok()
             ? status
             : absl::InvalidArgumentError(absl::StrCat(file.path(), ": ", kRecipeMetadataKey, ": ",
                                                       std::string(status.message())));
}

v1::TensorFormat FormatOf(formats::NumberForm form) {
  const auto format = [](v1::NumberScheme scheme, int bits, int64_t group) {
    v1::TensorFormat made;
    made.set_scheme(scheme);
    made.set_bits(bits);
    made.set_group_size(static_cast<int32_t>(group));
    return made;
  };
  switch (form) {
    case formats::NumberForm::kFloat32:
      break;
    case formats::NumberForm::kFloat16:
      return format(v1::NUMBER_SCHEME_FLOAT, 16, 0);
    case formats::NumberForm::kBfloat16:
      return format(v1::NUMBER_SCHEME_BFLOAT, 16, 0);
    case formats::NumberForm::kInt8Groups:
      return format(v1::NUMBER_SCHEME_SYMMETRIC, 8, formats::kGroupColumns);
    case formats::NumberForm::kInt4Groups:
      return format(v1::NUMBER_SCHEME_SYMMETRIC, 4, formats::kGroupColumns);
    case formats::NumberForm::kInt6Blocks:
      return format(v1::NUMBER_SCHEME_SYMMETRIC, 6, formats::kBlockGroupColumns);
  }
  return format(v1::NUMBER_SCHEME_FLOAT, 32, 0);
}

// The form shared by all parts of a tensor; FP32 if they differ.
formats::NumberForm FormOf(const TensorSource& file, const ModelDirectory& model,
                           const ModelTensor& tensor) {
  std::optional<formats::NumberForm> common;
  for (const FileTensor& part : tensor.files) {
    const formats::NumberForm form = file.FormOf(*file.Find(TensorNameInFile(model, part.name)));
    if (common.value_or(form) != form) {
      return formats::NumberForm::kFloat32;
    }
    common = form;
  }
  return common.value_or(formats::NumberForm::kFloat32);
}

// The forms of an unquantized model's matrices as a recipe. All tensors of the model must be
// present.
v1::QuantizationRecipe StoredRecipe(const TensorSource& file, const ModelDirectory& model) {
  v1::QuantizationRecipe recipe;
  for (const ModelTensor& tensor : ModelTensors(model.config)) {
    const bool multiplied = tensor.is_matrix() && tensor.is_multiplied(model.config);
    if (!multiplied && tensor.slot != Slot::kTokens) {
      continue;
    }
    const v1::TensorFormat format = FormatOf(FormOf(file, model, tensor));
    if (!multiplied) {
      *recipe.mutable_embedding() = format;
    } else if (tensor.slot == Slot::kTokens || tensor.slot == Slot::kHead) {
      *recipe.mutable_head() = format;
    } else if (!recipe.has_matrices()) {
      *recipe.mutable_matrices() = format;
    } else if (FormatName(format) != FormatName(recipe.matrices())) {
      v1::TensorException& exception = *recipe.add_exceptions();
      exception.set_tensor(tensor.name);
      *exception.mutable_format() = format;
    }
  }
  std::sort(recipe.mutable_exceptions()->begin(), recipe.mutable_exceptions()->end(),
            [](const auto& a, const auto& b) { return a.tensor() < b.tensor(); });
  recipe.set_name(RecipeIdentity(recipe));
  return recipe;
}

// Adds a file to the model if it exists.
void AddFile(const std::string& directory, const std::string& name, ModelDirectory& model) {
  const int64_t size = FileSize(Join(directory, name));
  if (size >= 0) {
    model.files.push_back(name);
    model.size_bytes += size;
  }
}

absl::Status CheckWeights(const std::string& directory, ModelDirectory& model) {
  WATTLE_ASSIGN_OR_RETURN(const auto weights, OpenWeights(directory, model.config));
  const TensorSource& file = *weights;
  const std::string prefix = FamilyOf(model.config).file_prefix;
  const std::string embedding = ModelTensors(model.config).front().files[0].name;
  model.tensor_prefix = file.Find(prefix + embedding) != nullptr ? prefix : "";
  WATTLE_RETURN_IF_ERROR(ReadForm(file, model));
  model.weights_files = file.FileNames();
  if (file.path() == Join(directory, formats::kWeightsIndexFileName)) {
    model.weights_files.emplace_back(formats::kWeightsIndexFileName);
  }
  for (const std::string& name : model.weights_files) {
    AddFile(directory, name, model);
  }
  WATTLE_RETURN_IF_ERROR(WeightsCheck(file, model).Run());
  model.stored_recipe = model.is_quantized() ? model.recipe : StoredRecipe(file, model);
  return absl::OkStatus();
}

// The object in an optional file; empty without the file.
absl::StatusOr<formats::Json> ReadObject(const std::string& path, int64_t bytes_max) {
  if (FileSize(path) < 0) {
    return formats::Json::object();
  }
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, bytes_max));
  WATTLE_ASSIGN_OR_RETURN(formats::Json json, formats::ParseJson(text, path));
  if (!json.is_object()) {
    return formats::WrongKind(path, "the file", "an object", json);
  }
  return json;
}

// Chat models list more end tokens in generation_config.json than in config.json.
absl::Status AddGenerationEndTokens(const std::string& path, DecoderConfig& config) {
  WATTLE_ASSIGN_OR_RETURN(const formats::Json json, ReadObject(path, kGenerationConfigBytesMax));
  FieldReader reader(json, path);
  const std::vector<int64_t> ends =
      reader.TokenIds("eos_token_id", std::nullopt, config.vocabulary);
  WATTLE_RETURN_IF_ERROR(reader.status());
  AddEndTokens(ends, config);
  return absl::OkStatus();
}

// The text of the end token in tokenizer_config.json; empty if it has none.
absl::StatusOr<std::string> ReadEndTokenText(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const formats::Json json, ReadObject(path, kTokenizerConfigBytesMax));
  FieldReader reader(json, path);
  std::string text;
  if (const auto field = json.find("eos_token"); field != json.end() && field->is_object()) {
    reader.Inside("eos_token", [&](FieldReader& token) { text = token.Text("content", ""); });
  } else {
    text = reader.Text("eos_token", "");
  }
  WATTLE_RETURN_IF_ERROR(reader.status());
  return text;
}

// phi-1.5 has no tokens in config.json. The default of transformers' class, 2, is "#" in its
// vocabulary.
absl::Status FillTextTokens(const std::string& directory,
                            const formats::BytePairEncoding& tokenizer, DecoderConfig& config) {
  if (config.eos_token_id == kNoToken) {
    const std::string path = Join(directory, kTokenizerConfigFile);
    WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadEndTokenText(path));
    const std::vector<int64_t> tokens = tokenizer.Encode(text, formats::SpecialTokens::kRecognise);
    if (!tokens.empty() && tokenizer.Decode({tokens.back()}) == text) {
      config.eos_token_id = tokens.back();
    } else if (!text.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": eos_token: \"", formats::Printable(text),
                       "\" is no token of the tokenizer; write the one that ends a text"));
    } else if (tokenizer.eos_token_id().has_value()) {
      config.eos_token_id = *tokenizer.eos_token_id();
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat(Join(directory, kConfigFile), ": eos_token_id: missing, and neither ",
                       kGenerationConfigFile,
                       " nor the tokenizer names an end token; write the id that the "
                       "tokenizer has for it"));
    }
  }
  if (config.bos_token_id == kNoToken) {
    config.bos_token_id = tokenizer.begin_token_id().value_or(config.eos_token_id);
  }
  return absl::OkStatus();
}

// The file that BytePairEncoding::LoadDirectory reads first.
std::string TokenizerPath(const std::string& directory) {
  if (FileSize(Join(directory, kTokenizerFile)) >= 0) {
    return Join(directory, kTokenizerFile);
  }
  const bool vocabulary = FileSize(Join(directory, kVocabularyFile)) >= 0 &&
                          FileSize(Join(directory, kMergesFile)) >= 0;
  return Join(directory, vocabulary ? kVocabularyFile : kSentencePieceFile);
}

absl::Status CheckTokenizer(const std::string& directory, ModelDirectory& model) {
  WATTLE_ASSIGN_OR_RETURN(const formats::BytePairEncoding tokenizer,
                          formats::BytePairEncoding::LoadDirectory(directory));
  if (tokenizer.vocabulary_size() > model.config.vocabulary) {
    return absl::InvalidArgumentError(
        absl::StrCat(TokenizerPath(directory), ": with added tokens the tokenizer has ",
                     tokenizer.vocabulary_size(), " tokens, the model's vocabulary ",
                     model.config.vocabulary, " (vocab_size of ", Join(directory, kConfigFile),
                     "); use the tokenizer that the model was trained with"));
  }
  return FillTextTokens(directory, tokenizer, model.config);
}

}  // namespace

std::string ModelDirectory::quantization() const {
  return RecipeIdentity(recipe);
}

std::string TensorNameInFile(const ModelDirectory& model, const std::string& tensor) {
  for (const SlotNames& names : FamilyOf(model.config).slots) {
    if (names.slot == Slot::kHead && (tensor == absl::StrCat(names.parts[0], ".weight") ||
                                      tensor == absl::StrCat(names.parts[0], ".bias"))) {
      return tensor;
    }
  }
  return model.tensor_prefix + tensor;
}

absl::StatusOr<std::unique_ptr<TensorSource>> OpenWeights(const std::string& directory,
                                                          const DecoderConfig& config) {
  const std::string gguf = Join(directory, kGgufFile);
  absl::StatusOr<SafetensorsSet> set = SafetensorsSet::OpenDirectory(directory);
  if (absl::IsNotFound(set.status()) && FileSize(gguf) >= 0) {
    WATTLE_ASSIGN_OR_RETURN(GgufWeights weights, GgufWeights::Open(gguf, config));
    return std::make_unique<GgufWeights>(std::move(weights));
  }
  WATTLE_RETURN_IF_ERROR(set.status());
  return std::make_unique<SafetensorsSet>(*std::move(set));
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
  WATTLE_RETURN_IF_ERROR(
      AddGenerationEndTokens(Join(directory, kGenerationConfigFile), model.config));
  WATTLE_RETURN_IF_ERROR(CheckWeights(directory, model));
  WATTLE_RETURN_IF_ERROR(CheckTokenizer(directory, model));
  for (const char* file : {kConfigFile, kMergesFile, kTokenizerFile, kVocabularyFile,
                           kSentencePieceFile, kAddedTokensFile, kChatTemplateFile,
                           kTokenizerConfigFile, kSpecialTokensFile, kGenerationConfigFile}) {
    AddFile(directory, file, model);
  }
  std::sort(model.files.begin(), model.files.end());
  return model;
}

}  // namespace wattle::models
