// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/model_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"

#include "base/durable_file.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "formats/safetensors.h"
#include "formats/safetensors_set.h"
#include "models/family.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/device/cuda_capability.h"
#include "worker/engine/device/device.h"
#include "worker/engine/device/device_name.h"
#include "worker/engine/model_job.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/quant/recipe_formats.h"
#include "worker/engine/torch_border.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

// Larger files of a model directory than config and tokenizer are weights, which are not copied.
constexpr int64_t kCompanionBytesMax = int64_t{64} << 20;

// Loads one model; every tensor is read from the file to its place before the next one.
class ModelLoad {
 public:
  ModelLoad(const formats::TensorSource& file, const LoadOptions& options, LoadedModel& model)
      : file_(file), options_(options), model_(model) {}

  absl::Status Run() {
    const models::DecoderConfig& config = model_.files.config;
    WATTLE_ASSIGN_OR_RETURN(const at::Device device, DeviceNamed(options_.device));
    model_.parameters = ParametersOf(config);
    WATTLE_RETURN_IF_ERROR(ChooseFormats());
    model_.layout = ValueLayout(model_.parameters);
    model_.arena = ZeroArena(model_.layout.elements, at::dtype(at::kFloat).device(device));
    const DeviceOperations& operations = OperationsOn(device);
    packed_arena_ = PackedArena(PackedShapes(), device);
    for (size_t i = 0; i < model_.parameters.size(); ++i) {
      WATTLE_RETURN_IF_ERROR(LoadParameter(i));
      if (const auto packed = packed_.find(i); packed != packed_.end()) {
        packed->second = operations.Stored(std::move(packed->second), device);
      }
    }
    DecoderWeights weights = WeightsOver(config, model_.parameters, model_.layout, model_.arena);
    for (auto& [parameter, packed] : packed_) {
      MatrixAt(weights, model_.parameters[parameter].tensor) = std::move(packed);
    }
    TieHead(config, weights);
    model_.decoder = MakeDecoder(config, std::move(weights), device);
    model_.decoder.int8_keys_and_values = KeysAndValuesAreInt8(model_.recipe);
    return absl::OkStatus();
  }

 private:
  absl::Status ChooseFormats() {
    const models::ModelDirectory& files = model_.files;
    model_.recipe = options_.recipe != nullptr ? *options_.recipe
                    : options_.in_stored_form  ? files.stored_recipe
                                               : files.recipe;
    if (options_.recipe != nullptr && files.is_quantized()) {
      return absl::FailedPreconditionError(absl::StrCat(
          model_.directory, ": this model is ", files.quantization(),
          " already; use its unquantized parent for ", RecipeIdentity(*options_.recipe)));
    }
    WATTLE_RETURN_IF_ERROR(CheckRecipeFits(model_.recipe, files.config));
    for (Parameter& parameter : model_.parameters) {
      WATTLE_ASSIGN_OR_RETURN(
          parameter.format,
          options_.recipe == nullptr && options_.in_stored_form
              ? StoredFormatOfTensor(model_.recipe, files.config, parameter.tensor)
              : FormatOfTensor(model_.recipe, files.config, parameter.tensor));
      if (options_.double_quantize && options_.recipe != nullptr &&
          parameter.format.scheme == kernels::WeightScheme::kNf4) {
        parameter.format.scheme = kernels::WeightScheme::kNf4DoubleQuantized;
      }
      if (options_.bf16_matrices && parameter.in_arena() && IsMatrixSlot(parameter.tensor)) {
        parameter.format.scheme = kernels::WeightScheme::kBf16;
      }
      parameter.trainable = !parameter.is_quantized();
    }
    return absl::OkStatus();
  }

  static kernels::WeightMatrix ShapeOf(const Parameter& parameter) {
    return {.format = parameter.format,
            .rows = parameter.tensor.shape[0],
            .columns = parameter.tensor.shape[1]};
  }

  // Shapes of the matrices that this load packs.
  [[nodiscard]] std::vector<kernels::WeightMatrix> PackedShapes() const {
    std::vector<kernels::WeightMatrix> shapes;
    for (const Parameter& parameter : model_.parameters) {
      if (!options_.defer_quantized && !parameter.in_arena()) {
        shapes.push_back(ShapeOf(parameter));
      }
    }
    return shapes;
  }

  absl::Status LoadParameter(size_t index) {
    const Parameter& parameter = model_.parameters[index];
    if (options_.defer_quantized && !parameter.in_arena()) {
      return absl::OkStatus();
    }
    switch (model_.files.form) {
      case models::StoredForm::kPacked:
        return parameter.is_quantized()
                   ? LoadPacked(index)
                   : LoadFloats(index, {{parameter.tensor.name, parameter.tensor.shape}}, {});
      case models::StoredForm::kInt8PerChannel:
        if (parameter.is_quantized()) {
          return LoadInt8PerChannel(index);
        }
        break;
      case models::StoredForm::kHuggingFace:
        break;
    }
    if (options_.recipe != nullptr && parameter.is_quantized()) {
      return LoadAndQuantize(index);
    }
    return kernels::OperationsOf(parameter.format.scheme).pack == nullptr
               ? LoadFloats(index, NamesInFile(model_.files, parameter.tensor),
                            parameter.tensor.layout)
               : LoadCodes(index);
  }

  // FP32, or FP16 and BF16 if the file has them.
  absl::Status LoadFloats(size_t index, const std::vector<models::FileTensor>& files,
                          const models::FileLayout& layout) {
    const Parameter& parameter = model_.parameters[index];
    if (parameter.in_arena()) {
      return ReadFloats(file_, files, layout,
                        ArenaView(model_.arena, model_.layout, model_.parameters, index));
    }
    const kernels::WeightMatrix shape = ShapeOf(parameter);
    packed_[index] = EmptyMatrix(shape.format, shape.rows, shape.columns, &packed_arena_);
    packed_[index].dequantized_products = !options_.in_stored_form;
    return ReadFloats(file_, files, layout, packed_[index].packed);
  }

  absl::Status LoadAndQuantize(size_t index) {
    const Parameter& parameter = model_.parameters[index];
    WATTLE_ASSIGN_OR_RETURN(
        packed_[index],
        ReadAndQuantize(file_, NamesInFile(model_.files, parameter.tensor), parameter.tensor.layout,
                        ShapeOf(parameter), &packed_arena_));
    const bool go_on =
        !options_.on_quantized || options_.on_quantized(parameter.tensor.element_count());
    return go_on ? absl::OkStatus() : absl::CancelledError("stopped while quantizing");
  }

  absl::Status LoadCodes(size_t index) {
    const Parameter& parameter = model_.parameters[index];
    WATTLE_ASSIGN_OR_RETURN(packed_[index],
                            ReadCodes(file_, NamesInFile(model_.files, parameter.tensor),
                                      ShapeOf(parameter), &packed_arena_));
    return absl::OkStatus();
  }

  absl::Status LoadPacked(size_t index) {
    const Parameter& parameter = model_.parameters[index];
    WATTLE_ASSIGN_OR_RETURN(packed_[index], ReadPacked(file_, parameter.tensor.name,
                                                       ShapeOf(parameter), &packed_arena_));
    return absl::OkStatus();
  }

  absl::Status LoadInt8PerChannel(size_t index) {
    const Parameter& parameter = model_.parameters[index];
    WATTLE_ASSIGN_OR_RETURN(
        packed_[index],
        ReadInt8PerChannel(file_, NamesInFile(model_.files, parameter.tensor).front().name,
                           parameter.tensor.shape, parameter.tensor.layout.transposed,
                           &packed_arena_));
    return absl::OkStatus();
  }

  const formats::TensorSource& file_;
  const LoadOptions& options_;
  LoadedModel& model_;
  PackedArena packed_arena_;
  std::map<size_t, MatrixWeights> packed_;  // by parameter
};

absl::StatusOr<LoadedModel> LoadChecked(const std::string& directory, const LoadOptions& options) {
  LoadedModel model;
  model.directory = directory;
  WATTLE_ASSIGN_OR_RETURN(model.files, models::InspectModelDirectory(directory));
  WATTLE_ASSIGN_OR_RETURN(const auto weights, models::OpenWeights(directory, model.files.config));
  WATTLE_RETURN_IF_ERROR(ModelLoad(*weights, options, model).Run());
  return model;
}

// Copies everything of a model directory except the weights.
absl::Status SaveCompanions(const std::string& directory, const LoadedModel& model) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory, ": cannot make this directory: ", error.message(), "; choose another output"));
  }
  for (const std::string& name : model.files.files) {
    const std::vector<std::string>& weights = model.files.weights_files;
    if (name == models::kConfigFile ||
        std::find(weights.begin(), weights.end(), name) != weights.end()) {
      continue;
    }
    WATTLE_ASSIGN_OR_RETURN(
        const std::string content,
        ReadWholeFile(absl::StrCat(model.directory, "/", name), kCompanionBytesMax));
    WATTLE_RETURN_IF_ERROR(WriteFileDurably(absl::StrCat(directory, "/", name), content));
  }
  return WriteFileDurably(absl::StrCat(directory, "/", models::kConfigFile),
                          models::FormatDecoderConfig(model.files.config));
}

// A tensor in its packed form.
struct StoredTensor {
  formats::TensorDescription description;
  at::Tensor values;  // contiguous, on the host
};

std::vector<StoredTensor> PackedTensors(const LoadedModel& model) {
  std::vector<StoredTensor> stored;
  DecoderWeights weights = model.decoder.weights;  // shares the tensors
  const auto add = [&](const std::string& name, formats::DataType type, const at::Tensor& values) {
    stored.push_back({{.name = name, .type = type, .shape = values.sizes().vec()},
                      values.to(at::kCPU).contiguous()});
  };
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    const models::ModelTensor& tensor = model.parameters[i].tensor;
    if (model.parameters[i].in_arena()) {
      add(tensor.name, formats::DataType::kF32,
          ArenaView(model.arena, model.layout, model.parameters, i));
      continue;
    }
    const MatrixWeights& matrix = MatrixAt(weights, tensor);
    add(tensor.name, formats::DataType::kU8, matrix.packed);
    add(tensor.name + models::kScaleSuffix, formats::DataType::kU8, matrix.scales);
  }
  return stored;
}

absl::Status WritePacked(const std::string& path, const LoadedModel& model) {
  std::string recipe;
  if (!google::protobuf::util::MessageToJsonString(model.recipe, &recipe).ok()) {
    return absl::InternalError(absl::StrCat(path, ": the recipe cannot be written as JSON"));
  }
  const std::vector<StoredTensor> stored = PackedTensors(model);
  std::vector<formats::TensorDescription> descriptions;
  descriptions.reserve(stored.size());
  for (const StoredTensor& tensor : stored) {
    descriptions.push_back(tensor.description);
  }
  WATTLE_ASSIGN_OR_RETURN(auto writer, formats::SafetensorsWriter::Create(
                                           path, descriptions,
                                           {{"format", "pt"},
                                            {models::kQuantizationMetadataKey, models::kPackedForm},
                                            {models::kRecipeMetadataKey, recipe}}));
  for (const StoredTensor& tensor : stored) {
    const auto* bytes = static_cast<const std::byte*>(tensor.values.data_ptr());
    WATTLE_RETURN_IF_ERROR(writer.Write(
        tensor.description.name,
        absl::MakeConstSpan(bytes, static_cast<size_t>(tensor.description.size_bytes()))));
  }
  return writer.Commit();
}

}  // namespace

absl::Status CheckDevice(const std::string& name) {
  return AtTorchBorder("device", [&] { return DeviceNamed(name).status(); });
}

DeviceMemory MemoryOfDevice(const std::string& name) {
  DeviceMemory memory;
  const absl::Status status = AtTorchBorder("device", [&]() -> absl::Status {
    WATTLE_ASSIGN_OR_RETURN(const at::Device device, DeviceNamed(name));
    memory.total_bytes = TotalMemory(device).value_or(0);
    memory.shares_host = SharesHostMemory(device);
    return absl::OkStatus();
  });
  return status.ok() ? memory : DeviceMemory();
}

bool LoadedModel::is_quantized() const {
  return std::any_of(parameters.begin(), parameters.end(),
                     [](const Parameter& parameter) { return parameter.is_quantized(); });
}

std::vector<at::Tensor> LoadedModel::Values() const {
  std::vector<at::Tensor> values = ArenaViews(arena, layout, parameters);
  DecoderWeights weights = decoder.weights;  // shares the tensors
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].is_bf16()) {
      values[i] = MatrixAt(weights, parameters[i].tensor).packed;
    }
  }
  return values;
}

absl::StatusOr<LoadedModel> LoadModel(const std::string& directory, const LoadOptions& options) {
  return AtTorchBorder(
      directory, [&] { return LoadChecked(directory, options); },
      "a quantized form of the model, or a device with more memory");
}

absl::Status ReadValues(const std::string& path, const models::ModelDirectory& files,
                        const std::vector<Parameter>& parameters,
                        const std::vector<at::Tensor>& values) {
  WATTLE_ASSIGN_OR_RETURN(const auto file, formats::SafetensorsSet::OpenFile(path));
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (const at::Tensor& place = values[i]; place.defined()) {
      const models::ModelTensor& tensor = parameters[i].tensor;
      WATTLE_RETURN_IF_ERROR(ReadFloats(file, NamesInFile(files, tensor), tensor.layout, place));
    }
  }
  return absl::OkStatus();
}

absl::Status WriteValues(const std::string& path, const models::ModelDirectory& files,
                         const std::vector<Parameter>& parameters,
                         const std::vector<at::Tensor>& values,
                         const FileOperationObserver& observer) {
  std::vector<formats::TensorDescription> descriptions;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!values[i].defined()) {
      continue;
    }
    const auto type = values[i].scalar_type() == at::kBFloat16 ? formats::DataType::kBF16
                                                               : formats::DataType::kF32;
    for (const models::FileTensor& part : NamesInFile(files, parameters[i].tensor)) {
      descriptions.push_back({.name = part.name, .type = type, .shape = part.shape});
    }
  }
  WATTLE_ASSIGN_OR_RETURN(auto writer, formats::SafetensorsWriter::Create(
                                           path, descriptions, {{"format", "pt"}}, observer));
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (values[i].defined()) {
      const models::ModelTensor& tensor = parameters[i].tensor;
      WATTLE_RETURN_IF_ERROR(
          WriteFloats(NamesInFile(files, tensor), tensor.layout, values[i].to(at::kCPU), writer));
    }
  }
  return writer.Commit();
}

absl::Status ReadArena(const std::string& path, const models::ModelDirectory& files,
                       const std::vector<Parameter>& parameters, const ArenaLayout& layout,
                       at::Tensor& arena) {
  return ReadValues(path, files, parameters, ArenaViews(arena, layout, parameters));
}

absl::Status WriteArena(const std::string& path, const models::ModelDirectory& files,
                        const std::vector<Parameter>& parameters, const ArenaLayout& layout,
                        const at::Tensor& arena, const FileOperationObserver& observer) {
  return WriteValues(path, files, parameters, ArenaViews(arena, layout, parameters), observer);
}

absl::Status SaveModel(const std::string& directory, const LoadedModel& model) {
  WATTLE_RETURN_IF_ERROR(SaveCompanions(directory, model));
  return AtTorchBorder(directory, [&] {
    const std::string path = absl::StrCat(directory, "/", models::kWeightsFile);
    return model.is_quantized()
               ? WritePacked(path, model)
               : WriteValues(path, model.files, model.parameters, model.Values(), {});
  });
}

QuantizableWeights QuantizableWeightsOf(const models::DecoderConfig& config) {
  QuantizableWeights total;
  for (const models::ModelTensor& tensor : models::ModelTensors(config)) {
    if (tensor.is_multiplied(config)) {
      ++total.matrices;
      total.weights += tensor.element_count();
    }
  }
  return total;
}

absl::Status InitializeModelDirectory(const std::string& directory, uint64_t seed) {
  const std::string path = absl::StrCat(directory, "/", models::kWeightsFile);
  if (std::filesystem::exists(path)) {
    return absl::AlreadyExistsError(
        absl::StrCat(path, ": there are weights already; remove them to start from scratch"));
  }
  models::ModelDirectory files;
  WATTLE_ASSIGN_OR_RETURN(
      files.config, models::ReadDecoderConfig(absl::StrCat(directory, "/", models::kConfigFile)));
  files.tensor_prefix = models::FamilyOf(files.config).file_prefix;
  return AtTorchBorder(directory, [&] {
    const std::vector<Parameter> parameters = ParametersOf(files.config);
    const ArenaLayout layout = ValueLayout(parameters);
    at::Tensor arena = at::zeros({layout.elements}, at::kFloat);
    FillRandom(files.config, parameters, layout, seed, arena);
    return WriteArena(path, files, parameters, layout, arena, {});
  });
}

}  // namespace wattle::engine
