// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/decoder_config.h"

#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "formats/json_internal.h"

namespace wattle::formats {
namespace {

constexpr char kArchitecture[] = "gpt2";
// Far above every model of the family, far below where a product of two would overflow.
constexpr int64_t kSizeMax = 1 << 24;
constexpr int64_t kConfigBytesMax = 1 << 20;
constexpr int64_t kDefaultTokenId =
    50256;  // "<|endoftext|>" of GPT-2, the default of transformers' GPT2Config.

// Reads typed fields of config.json; the first error stays.
class FieldReader {
 public:
  FieldReader(const Json& json, absl::string_view file) : json_(json), file_(file) {}

  // absent: the default; nothing: the field is required.
  int64_t Size(const char* field, std::optional<int64_t> absent) {
    const Json* value = Find(field);
    if (value == nullptr) {
      if (!absent.has_value()) {
        Fail(absl::InvalidArgumentError(
            absl::StrCat(file_, ": ", field, ": missing; a whole number from 1 on is needed")));
      }
      return absent.value_or(1);
    }
    const std::optional<int64_t> number = WholeNumber(*value);
    if (!number.has_value() || *number < 1 || *number > kSizeMax) {
      Fail(WrongKind(file_, field, absl::StrCat("a whole number from 1 to ", kSizeMax), *value));
      return 1;
    }
    return *number;
  }

  int64_t TokenId(const char* field, int64_t vocabulary) {
    const Json* value = Find(field);
    const std::optional<int64_t> id =
        value == nullptr ? std::optional<int64_t>(kDefaultTokenId) : WholeNumber(*value);
    if (!id.has_value()) {
      Fail(WrongKind(file_, field, "a whole number", *value));
      return 0;
    }
    if (*id < 0 || *id >= vocabulary) {
      Fail(absl::InvalidArgumentError(absl::StrCat(
          file_, ": ", field, ": ", *id, value == nullptr ? " (the default)" : "",
          " is outside the vocabulary of ", vocabulary, "; write the id of <|endoftext|>")));
      return 0;
    }
    return *id;
  }

  // A number in [low, high).
  double Number(const char* field, double absent, double low, double high) {
    const Json* value = Find(field);
    if (value == nullptr) {
      return absent;
    }
    if (!value->is_number() || value->get<double>() < low || value->get<double>() >= high) {
      Fail(
          WrongKind(file_, field, absl::StrCat("a number from ", low, " to below ", high), *value));
      return absent;
    }
    return value->get<double>();
  }

  bool Flag(const char* field, bool absent) {
    const Json* value = Find(field);
    if (value == nullptr) {
      return absent;
    }
    if (!value->is_boolean()) {
      Fail(WrongKind(file_, field, "true or false", *value));
      return absent;
    }
    return value->get<bool>();
  }

  std::string Text(const char* field, const char* absent) {
    const Json* value = Find(field);
    if (value == nullptr) {
      return absent;
    }
    if (!value->is_string()) {
      Fail(WrongKind(file_, field, "text", *value));
      return absent;
    }
    return value->get<std::string>();
  }

  // A variant of the architecture that the engine does not have.
  void Refuse(const char* field, absl::string_view value, absl::string_view wanted) {
    Fail(
        absl::UnimplementedError(absl::StrCat(file_, ": ", field, " ", Printable(value),
                                              ": not supported in this version; wanted ", wanted)));
  }

  void Fail(absl::Status status) {
    if (status_.ok()) {
      status_ = std::move(status);
    }
  }
  [[nodiscard]] const absl::Status& status() const { return status_; }

 private:
  // null counts as absent, as in transformers.
  const Json* Find(const char* field) const {
    const auto found = json_.find(field);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }

  const Json& json_;
  absl::string_view file_;
  absl::Status status_ = absl::OkStatus();
};

void RefuseVariants(FieldReader& reader) {
  const std::string activation = reader.Text("activation_function", "gelu_new");
  // Two names of one function: GELU by its tanh approximation.
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh") {
    reader.Refuse("activation_function", activation, "gelu_new");
  }
  if (!reader.Flag("scale_attn_weights", true)) {
    reader.Refuse("scale_attn_weights", "false", "true");
  }
  for (const char* field :
       {"scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention"}) {
    if (reader.Flag(field, false)) {
      reader.Refuse(field, "true", "false");
    }
  }
}

absl::Status CheckHeads(const DecoderConfig& config, absl::string_view where) {
  if (config.width % config.heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        where, ": a width of ", config.width, " is not divisible by ", config.heads, " heads"));
  }
  return absl::OkStatus();
}

}  // namespace

int64_t DecoderConfig::parameter_count() const {
  int64_t count = 0;
  for (const TensorDescription& tensor : CheckpointTensors(*this)) {
    count += tensor.element_count();
  }
  return count;
}

absl::StatusOr<DecoderConfig> ParseDecoderConfig(absl::string_view text, absl::string_view file) {
  WATTLE_ASSIGN_OR_RETURN(const Json json, ParseJson(text, file));
  if (!json.is_object()) {
    return WrongKind(file, "the file", "an object", json);
  }
  FieldReader reader(json, file);
  const std::string model_type = reader.Text("model_type", "");
  WATTLE_RETURN_IF_ERROR(reader.status());
  if (model_type.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": model_type: missing; is this a Hugging Face config.json?"));
  }
  if (model_type != kArchitecture) {
    return absl::UnimplementedError(
        absl::StrCat(file, ": model_type ", Printable(model_type),
                     ": not supported in this version; use a model of the GPT-2 family (gpt2)"));
  }
  RefuseVariants(reader);

  DecoderConfig config;
  config.layers = reader.Size("n_layer", std::nullopt);
  config.width = reader.Size("n_embd", std::nullopt);
  config.heads = reader.Size("n_head", std::nullopt);
  config.vocabulary = reader.Size("vocab_size", std::nullopt);
  config.max_positions = reader.Size("n_positions", reader.Size("n_ctx", 1024));
  config.mlp_width = reader.Size("n_inner", 4 * config.width);
  config.norm_epsilon = reader.Number("layer_norm_epsilon", 1e-5, 0.0, 1.0);
  config.tied_embeddings = reader.Flag("tie_word_embeddings", true);
  config.attention_dropout = reader.Number("attn_pdrop", 0.1, 0.0, 1.0);
  config.residual_dropout = reader.Number("resid_pdrop", 0.1, 0.0, 1.0);
  config.embedding_dropout = reader.Number("embd_pdrop", 0.1, 0.0, 1.0);
  WATTLE_RETURN_IF_ERROR(reader.status());
  config.bos_token_id = reader.TokenId("bos_token_id", config.vocabulary);
  config.eos_token_id = reader.TokenId("eos_token_id", config.vocabulary);
  WATTLE_RETURN_IF_ERROR(reader.status());
  WATTLE_RETURN_IF_ERROR(CheckHeads(config, absl::StrCat(file, ": n_embd")));
  return config;
}

absl::StatusOr<DecoderConfig> ReadDecoderConfig(const std::string& path) {
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, kConfigBytesMax));
  return ParseDecoderConfig(text, path);
}

std::string FormatDecoderConfig(const DecoderConfig& config, DataType stored_type) {
  nlohmann::ordered_json json;
  json["architectures"] = {"GPT2LMHeadModel"};
  json["model_type"] = kArchitecture;
  json["activation_function"] = "gelu_new";
  json["vocab_size"] = config.vocabulary;
  json["n_positions"] = config.max_positions;
  json["n_ctx"] = config.max_positions;
  json["n_embd"] = config.width;
  json["n_layer"] = config.layers;
  json["n_head"] = config.heads;
  json["n_inner"] = config.mlp_width == 4 * config.width ? nlohmann::ordered_json(nullptr)
                                                         : nlohmann::ordered_json(config.mlp_width);
  json["layer_norm_epsilon"] = config.norm_epsilon;
  json["attn_pdrop"] = config.attention_dropout;
  json["resid_pdrop"] = config.residual_dropout;
  json["embd_pdrop"] = config.embedding_dropout;
  json["bos_token_id"] = config.bos_token_id;
  json["eos_token_id"] = config.eos_token_id;
  json["tie_word_embeddings"] = config.tied_embeddings;
  json["torch_dtype"] = stored_type == DataType::kF16    ? "float16"
                        : stored_type == DataType::kBF16 ? "bfloat16"
                                                         : "float32";
  return json.dump(2) + "\n";
}

std::vector<TensorDescription> CheckpointTensors(const DecoderConfig& config, DataType type) {
  std::vector<TensorDescription> tensors;
  const auto add = [&](std::string name, std::vector<int64_t> shape) {
    tensors.push_back({.name = std::move(name), .type = type, .shape = std::move(shape)});
  };
  const int64_t width = config.width;
  add("wte.weight", {config.vocabulary, width});
  add("wpe.weight", {config.max_positions, width});
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const std::string block = absl::StrCat("h.", layer, ".");
    add(block + "ln_1.weight", {width});
    add(block + "ln_1.bias", {width});
    add(block + "attn.c_attn.weight", {width, 3 * width});
    add(block + "attn.c_attn.bias", {3 * width});
    add(block + "attn.c_proj.weight", {width, width});
    add(block + "attn.c_proj.bias", {width});
    add(block + "ln_2.weight", {width});
    add(block + "ln_2.bias", {width});
    add(block + "mlp.c_fc.weight", {width, config.mlp_width});
    add(block + "mlp.c_fc.bias", {config.mlp_width});
    add(block + "mlp.c_proj.weight", {config.mlp_width, width});
    add(block + "mlp.c_proj.bias", {width});
  }
  add("ln_f.weight", {width});
  add("ln_f.bias", {width});
  if (!config.tied_embeddings) {
    add("lm_head.weight", {config.vocabulary, width});
  }
  return tensors;
}

bool IsLinearWeight(const DecoderConfig& config, absl::string_view checkpoint_tensor_name) {
  if (checkpoint_tensor_name == (config.tied_embeddings ? "wte.weight" : "lm_head.weight")) {
    return true;
  }
  return absl::StartsWith(checkpoint_tensor_name, "h.") &&
         (absl::EndsWith(checkpoint_tensor_name, ".c_attn.weight") ||
          absl::EndsWith(checkpoint_tensor_name, ".c_proj.weight") ||
          absl::EndsWith(checkpoint_tensor_name, ".c_fc.weight"));
}

v1::ModelShape ToShape(const DecoderConfig& config) {
  v1::ModelShape shape;
  shape.set_architecture(kArchitecture);
  shape.set_layers(static_cast<int32_t>(config.layers));
  shape.set_width(static_cast<int32_t>(config.width));
  shape.set_heads(static_cast<int32_t>(config.heads));
  shape.set_vocabulary_size(static_cast<int32_t>(config.vocabulary));
  shape.set_context_length(static_cast<int32_t>(config.max_positions));
  return shape;
}

absl::StatusOr<DecoderConfig> FromShape(const v1::ModelShape& shape) {
  if (shape.architecture() != kArchitecture) {
    return absl::UnimplementedError(
        absl::StrCat("model_shape.architecture: \"", Printable(shape.architecture()),
                     "\" is not supported in this version; write gpt2"));
  }
  struct Size {
    absl::string_view field;
    int32_t value = 0;
  };
  for (const Size& size :
       {Size{"layers", shape.layers()}, Size{"width", shape.width()}, Size{"heads", shape.heads()},
        Size{"vocabulary_size", shape.vocabulary_size()},
        Size{"context_length", shape.context_length()}}) {
    if (size.value < 1 || size.value > kSizeMax) {
      return absl::InvalidArgumentError(absl::StrCat("model_shape.", size.field, ": ", size.value,
                                                     " is not between 1 and ", kSizeMax));
    }
  }
  DecoderConfig config;
  config.layers = shape.layers();
  config.width = shape.width();
  config.heads = shape.heads();
  config.mlp_width = 4 * config.width;
  config.vocabulary = shape.vocabulary_size();
  config.max_positions = shape.context_length();
  config.bos_token_id = config.vocabulary - 1;  // Where GPT-2 has its one special token.
  config.eos_token_id = config.vocabulary - 1;
  WATTLE_RETURN_IF_ERROR(CheckHeads(config, "model_shape.width"));
  return config;
}

}  // namespace wattle::formats
