// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/quant/int8_model.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <ATen/ATen.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "worker/engine/kernels/int8.h"

namespace wattle::engine {
namespace {

struct Int8Rows {
  at::Tensor codes;   // int8 [out, in]
  at::Tensor scales;  // float [out]
};

// rows: float [out, in].
absl::StatusOr<Int8Rows> QuantizeRows(const std::string& name, const at::Tensor& rows) {
  const at::Tensor source = rows.to(at::kCPU).contiguous();
  Int8Rows result{at::empty(source.sizes(), at::kChar), at::empty({source.size(0)}, at::kFloat)};
  if (!kernels::QuantizeInt8Rows(source.data_ptr<float>(), source.size(0), source.size(1),
                                 result.codes.data_ptr<int8_t>(),
                                 result.scales.data_ptr<float>())) {
    return absl::DataLossError(
        absl::StrCat(name, ": has values that are not finite; train or fetch the model again"));
  }
  return Int8Rows{result.codes.to(rows.device()), result.scales.to(rows.device())};
}

// One matrix to quantize, wherever it stands.
struct Target {
  std::string name;
  LinearWeights* linear = nullptr;
  TableWeights* table = nullptr;
};

absl::Status QuantizeTarget(const Target& target) {
  if (target.linear != nullptr) {
    WATTLE_ASSIGN_OR_RETURN(Int8Rows rows, QuantizeRows(target.name, target.linear->weight.t()));
    target.linear->codes = std::move(rows.codes);
    target.linear->scales = std::move(rows.scales);
    target.linear->weight = at::Tensor();
    target.linear->bias = target.linear->bias.clone();  // the flat buffer is to be freed
    return absl::OkStatus();
  }
  WATTLE_ASSIGN_OR_RETURN(Int8Rows rows, QuantizeRows(target.name, target.table->weight));
  *target.table = {at::Tensor(), std::move(rows.codes), std::move(rows.scales)};
  return absl::OkStatus();
}

std::vector<Target> TargetsOf(LoadedModel& model) {
  std::vector<Target> targets;
  const formats::DecoderConfig& config = model.files.config;
  VisitWeights(
      config, model.decoder.weights,
      {.linear =
           [&](const std::string& name, LinearWeights& linear) {
             targets.push_back({name + ".weight", &linear, nullptr});
           },
       .table =
           [&](const std::string& name, TableWeights& table) {
             if (formats::IsLinearWeight(config, name)) {
               targets.push_back({name, nullptr, &table});
             } else {
               table.weight = table.weight.clone();
             }
           },
       .tensor = [](const std::string& /*name*/, at::Tensor& tensor) { tensor = tensor.clone(); }});
  return targets;
}

// A tensor as it stands in the int8 file.
struct StoredTensor {
  formats::TensorDescription description;
  at::Tensor values;  // contiguous, on the host
};

formats::DataType StoredType(const at::Tensor& values) {
  return values.scalar_type() == at::kChar ? formats::DataType::kI8 : formats::DataType::kF32;
}

std::vector<StoredTensor> StoredTensors(const LoadedModel& model) {
  std::vector<StoredTensor> stored;
  const auto add = [&](const std::string& name, const at::Tensor& values) {
    const at::Tensor host = values.to(at::kCPU).contiguous();
    stored.push_back({{.name = TensorNameInFile(model.files, name),
                       .type = StoredType(host),
                       .shape = host.sizes().vec()},
                      host});
  };
  DecoderWeights weights = model.decoder.weights;  // shares the tensors
  VisitWeights(model.files.config, weights,
               {.linear =
                    [&](const std::string& name, LinearWeights& linear) {
                      add(name + ".weight", linear.codes.t());  // back to the file's [in, out]
                      add(name + ".weight" + formats::kScaleSuffix, linear.scales);
                      add(name + ".bias", linear.bias);
                    },
                .table =
                    [&](const std::string& name, TableWeights& table) {
                      add(name, table.codes.defined() ? table.codes : table.weight);
                      if (table.codes.defined()) {
                        add(name + formats::kScaleSuffix, table.scales);
                      }
                    },
                .tensor = [&](const std::string& name, at::Tensor& tensor) { add(name, tensor); }});
  return stored;
}

}  // namespace

int64_t QuantizableParameters(const formats::DecoderConfig& config) {
  int64_t count = 0;
  for (const formats::TensorDescription& tensor : formats::CheckpointTensors(config)) {
    count += formats::IsLinearWeight(config, tensor.name) ? tensor.element_count() : 0;
  }
  return count;
}

absl::StatusOr<LoadedModel> LoadForInference(const ModelJob& job) {
  WATTLE_ASSIGN_OR_RETURN(LoadedModel model, LoadModel(job.directory, job.device));
  if (job.quantization == LoadQuantization::kNone && model.is_int8()) {
    return absl::FailedPreconditionError(absl::StrCat(
        job.directory, ": this model is int8 already; use its FP32 parent for quantization: none"));
  }
  if (job.quantization == LoadQuantization::kInt8 && !model.is_int8()) {
    WATTLE_RETURN_IF_ERROR(QuantizeInPlace(model, nullptr));
  }
  return model;
}

absl::Status QuantizeInPlace(LoadedModel& model, ProgressSink* sink) {
  WATTLE_CHECK(!model.is_int8(), "only an FP32 model is quantized");
  const std::vector<Target> targets = TargetsOf(model);
  const auto total = static_cast<int64_t>(targets.size());
  for (int64_t step = 1; step <= total; ++step) {
    const Monotonic start = Clock::Real().Boottime();
    const Target& target = targets[static_cast<size_t>(step - 1)];
    const at::Tensor& weight =
        target.linear != nullptr ? target.linear->weight : target.table->weight;
    const int64_t count = weight.numel();
    WATTLE_RETURN_IF_ERROR(QuantizeTarget(target));
    if (sink == nullptr) {
      continue;
    }
    StepReport report{.phase = Phase::kQuantize, .step = step, .steps_total = total};
    report.flops = 2.0 * static_cast<double>(count);  // a division and a rounding each
    report.compute_time = Clock::Real().Boottime() - start;
    if (sink->OnStep(report) != StepDecision::kGoOn) {
      return absl::CancelledError("stopped while quantizing");
    }
  }
  if (model.files.config.tied_embeddings) {
    model.decoder.weights.head = model.decoder.weights.tokens;
  }
  model.flat = at::Tensor();
  model.files.int8 = true;
  return absl::OkStatus();
}

absl::Status SaveInt8Model(const std::string& directory, const LoadedModel& model) {
  WATTLE_RETURN_IF_ERROR(SaveModelCompanions(directory, model));
  const std::vector<StoredTensor> stored = StoredTensors(model);
  std::vector<formats::TensorDescription> descriptions;
  descriptions.reserve(stored.size());
  for (const StoredTensor& tensor : stored) {
    descriptions.push_back(tensor.description);
  }
  WATTLE_ASSIGN_OR_RETURN(
      auto writer,
      formats::SafetensorsWriter::Create(
          absl::StrCat(directory, "/", formats::kWeightsFile), descriptions,
          {{"format", "pt"}, {formats::kQuantizationMetadataKey, formats::kInt8PerChannel}}));
  for (const StoredTensor& tensor : stored) {
    const auto* bytes = static_cast<const std::byte*>(tensor.values.data_ptr());
    WATTLE_RETURN_IF_ERROR(writer.Write(
        tensor.description.name,
        absl::MakeConstSpan(bytes, static_cast<size_t>(tensor.description.size_bytes()))));
  }
  return writer.Commit();
}

ModelFigures FiguresOf(const LoadedModel& model) {
  return {.config = model.files.config,
          .parameter_count = model.files.config.parameter_count(),
          .int8 = model.is_int8()};
}

}  // namespace wattle::engine
