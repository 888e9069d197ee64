// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/models/model_files.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <ATen/ATen.h>

#include "base/check.h"
#include "base/durable_file.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "formats/safetensors.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/model_job.h"
#include "worker/engine/torch_border.h"

namespace wattle::engine {
namespace {

// Larger files of a model directory than config and tokenizer are weights, which are not copied.
constexpr int64_t kCompanionBytesMax = int64_t{64} << 20;
// GPT-2's own, Radford et al. 2019, section 2.3.
constexpr float kInitialDeviation = 0.02F;

absl::StatusOr<at::Device> DeviceOf(const std::string& name) {
  const at::Device device(name.empty() ? "cpu" : name);
  if (device.is_cuda() && !at::hasCUDA()) {
    return absl::UnavailableError(
        absl::StrCat("device \"", name, "\": this libtorch has no CUDA device; use \"cpu\""));
  }
  return device;
}

at::ScalarType ScalarTypeOf(formats::DataType type) {
  switch (type) {
    case formats::DataType::kF32:
      return at::kFloat;
    case formats::DataType::kF16:
      return at::kHalf;
    case formats::DataType::kBF16:
      return at::kBFloat16;
    case formats::DataType::kI8:
      return at::kChar;
    case formats::DataType::kI32:
      return at::kInt;
    case formats::DataType::kI64:
      return at::kLong;
    case formats::DataType::kU8:
      return at::kByte;
  }
  return at::kFloat;
}

// A tensor of the file in its own type; the mapping is not aligned, so its bytes are copied.
absl::StatusOr<at::Tensor> ReadTensor(const formats::SafetensorsFile& file,
                                      const std::string& name) {
  const formats::TensorEntry* entry = file.Find(name);
  if (entry == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": tensor ", name, " is missing; fetch or copy the model again"));
  }
  at::Tensor tensor = at::empty(entry->shape, ScalarTypeOf(entry->type));
  const absl::Span<const std::byte> bytes = file.Bytes(*entry);
  std::memcpy(tensor.data_ptr(), bytes.data(), bytes.size());
  return tensor;
}

absl::Status CheckShape(const std::string& path, const std::string& name, const at::Tensor& tensor,
                        at::IntArrayRef wanted) {
  if (tensor.sizes() != wanted) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": tensor ", name, " has ", tensor.numel(),
        " elements in another shape than the config says; use a matching config.json"));
  }
  return absl::OkStatus();
}

absl::Status LoadInt8(const formats::SafetensorsFile& file, at::Device device, LoadedModel& model) {
  absl::Status status;
  const auto read = [&](const std::string& name) {
    auto tensor = ReadTensor(file, TensorNameInFile(model.files, name));
    if (!tensor.ok()) {
      status = tensor.status();
      return at::Tensor();
    }
    return tensor->to(device);
  };
  const auto read_float = [&](const std::string& name) {
    const at::Tensor tensor = read(name);
    return tensor.defined() ? tensor.to(at::kFloat) : tensor;
  };
  VisitWeights(
      model.files.config, model.decoder.weights,
      {.linear =
           [&](const std::string& name, LinearWeights& linear) {
             const at::Tensor codes = read(name + ".weight");
             linear.codes = codes.defined() ? codes.t().contiguous() : codes;
             linear.scales = read_float(name + ".weight" + formats::kScaleSuffix);
             linear.bias = read_float(name + ".bias");
           },
       .table =
           [&](const std::string& name, TableWeights& table) {
             // The table of an untied head's model stays FP32.
             const at::Tensor stored = read(name);
             if (stored.defined() && stored.scalar_type() == at::kChar) {
               table.codes = stored;
               table.scales = read_float(name + formats::kScaleSuffix);
             } else {
               table.weight = stored.defined() ? stored.to(at::kFloat) : stored;
             }
           },
       .tensor = [&](const std::string& name, at::Tensor& tensor) { tensor = read_float(name); }});
  return status;
}

absl::StatusOr<LoadedModel> LoadChecked(const std::string& directory, const std::string& device) {
  LoadedModel model;
  model.directory = directory;
  WATTLE_ASSIGN_OR_RETURN(model.files, formats::InspectModelDirectory(directory));
  WATTLE_ASSIGN_OR_RETURN(model.decoder.device, DeviceOf(device));
  model.decoder.config = model.files.config;
  model.layout = MakeFlatLayout(model.files.config);
  const std::string path = absl::StrCat(directory, "/", formats::kWeightsFile);
  if (model.files.int8) {
    WATTLE_ASSIGN_OR_RETURN(const auto file, formats::SafetensorsFile::Open(path));
    WATTLE_RETURN_IF_ERROR(LoadInt8(file, model.decoder.device, model));
    return model;
  }
  at::Tensor flat = at::zeros({model.layout.elements}, at::kFloat);
  WATTLE_RETURN_IF_ERROR(ReadFlat(path, model.files, model.layout, flat));
  model.flat = model.decoder.device.is_cpu() ? flat : flat.to(model.decoder.device);
  model.decoder.weights = WeightsOver(model.files.config, model.layout, model.flat);
  return model;
}

}  // namespace

absl::StatusOr<LoadedModel> LoadModel(const std::string& directory, const std::string& device) {
  return AtTorchBorder(directory, [&] { return LoadChecked(directory, device); });
}

absl::Status ReadFlat(const std::string& path, const formats::ModelDirectory& names,
                      const FlatLayout& layout, at::Tensor& flat) {
  WATTLE_ASSIGN_OR_RETURN(const auto file, formats::SafetensorsFile::Open(path));
  for (const FlatEntry& entry : layout.entries) {
    const std::string name = TensorNameInFile(names, entry.tensor.name);
    WATTLE_ASSIGN_OR_RETURN(const at::Tensor stored, ReadTensor(file, name));
    WATTLE_RETURN_IF_ERROR(CheckShape(path, name, stored, entry.tensor.shape));
    at::Tensor target = FlatView(flat, entry);
    target.copy_(stored);
    if (!at::isfinite(target.sum()).item<bool>() && !at::isfinite(target).all().item<bool>()) {
      return absl::DataLossError(
          absl::StrCat(path, ": tensor ", name,
                       " has values that are not finite; fetch or train the model again"));
    }
  }
  return absl::OkStatus();
}

absl::Status WriteFlat(const std::string& path, const formats::ModelDirectory& names,
                       const FlatLayout& layout, const at::Tensor& flat,
                       const FileOperationObserver& observer) {
  std::vector<formats::TensorDescription> tensors;
  for (const FlatEntry& entry : layout.entries) {
    formats::TensorDescription tensor = entry.tensor;
    tensor.type = formats::DataType::kF32;
    tensor.name = TensorNameInFile(names, entry.tensor.name);
    tensors.push_back(std::move(tensor));
  }
  WATTLE_ASSIGN_OR_RETURN(
      auto writer, formats::SafetensorsWriter::Create(path, tensors, {{"format", "pt"}}, observer));
  const at::Tensor host = flat.device().is_cpu() ? flat : flat.to(at::kCPU);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const FlatEntry& entry = layout.entries[i];
    const float* values = host.data_ptr<float>() + entry.offset;
    const auto size = static_cast<size_t>(tensors[i].size_bytes());
    WATTLE_RETURN_IF_ERROR(writer.Write(
        tensors[i].name, absl::MakeConstSpan(reinterpret_cast<const std::byte*>(values), size)));
  }
  return writer.Commit();
}

absl::Status SaveModelCompanions(const std::string& directory, const LoadedModel& model) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory, ": cannot make this directory: ", error.message(), "; choose another output"));
  }
  for (const std::string& name : model.files.files) {
    if (name == formats::kConfigFile || absl::EndsWith(name, ".safetensors")) {
      continue;
    }
    WATTLE_ASSIGN_OR_RETURN(
        const std::string content,
        ReadWholeFile(absl::StrCat(model.directory, "/", name), kCompanionBytesMax));
    WATTLE_RETURN_IF_ERROR(WriteFileDurably(absl::StrCat(directory, "/", name), content));
  }
  return WriteFileDurably(absl::StrCat(directory, "/", formats::kConfigFile),
                          formats::FormatDecoderConfig(model.files.config));
}

absl::Status SaveModel(const std::string& directory, const LoadedModel& model) {
  WATTLE_CHECK(!model.is_int8(), "an int8 model is the quantizer's to save");
  WATTLE_RETURN_IF_ERROR(SaveModelCompanions(directory, model));
  return AtTorchBorder(directory, [&] {
    return WriteFlat(absl::StrCat(directory, "/", formats::kWeightsFile), model.files, model.layout,
                     model.flat, {});
  });
}

at::Tensor RandomFlat(const formats::DecoderConfig& config, const FlatLayout& layout,
                      uint64_t seed) {
  at::Tensor flat = at::zeros({layout.elements}, at::kFloat);
  const float residual = kInitialDeviation / std::sqrt(2.0F * static_cast<float>(config.layers));
  for (size_t i = 0; i < layout.entries.size(); ++i) {
    const FlatEntry& entry = layout.entries[i];
    const std::string& name = entry.tensor.name;
    at::Tensor view = FlatView(flat, entry);
    if (entry.tensor.shape.size() > 1) {
      const float deviation = absl::EndsWith(name, "c_proj.weight") ? residual : kInitialDeviation;
      kernels::RandomNormal({.seed = seed,
                             .use = kernels::RandomUse::kInitialization,
                             .layer = static_cast<uint32_t>(i)},
                            deviation, view.numel(), view.data_ptr<float>());
    } else if (absl::EndsWith(name, ".weight")) {
      view.fill_(1.0);
    }
  }
  return flat;
}

absl::Status InitializeModelDirectory(const std::string& directory, uint64_t seed) {
  const std::string path = absl::StrCat(directory, "/", formats::kWeightsFile);
  if (std::filesystem::exists(path)) {
    return absl::AlreadyExistsError(
        absl::StrCat(path, ": there are weights already; remove them to start from scratch"));
  }
  formats::ModelDirectory names;
  WATTLE_ASSIGN_OR_RETURN(
      names.config, formats::ReadDecoderConfig(absl::StrCat(directory, "/", formats::kConfigFile)));
  names.tensor_prefix = "transformer.";
  return AtTorchBorder(directory, [&] {
    const FlatLayout layout = MakeFlatLayout(names.config);
    return WriteFlat(path, names, layout, RandomFlat(names.config, layout, seed), {});
  });
}

}  // namespace wattle::engine
