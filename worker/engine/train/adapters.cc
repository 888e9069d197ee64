// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/adapters.h"

#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

#include "base/durable_file.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

constexpr int64_t kRankMax = 1024;  // spec.proto

absl::Status Validate(const LoraSettings& settings) {
  const auto wrong = [](absl::string_view field, auto value, absl::string_view wanted) {
    return absl::FailedPreconditionError(
        absl::StrCat("lora.", std::string(field), ": ", value, "; wants ", std::string(wanted)));
  };
  if (settings.rank < 1 || settings.rank > kRankMax) {
    return wrong("rank", settings.rank, absl::StrCat("1 to ", kRankMax));
  }
  if (!(settings.alpha > 0.0) || !std::isfinite(settings.alpha)) {
    return wrong("alpha", settings.alpha, "a number above 0");
  }
  if (!(settings.dropout >= 0.0 && settings.dropout < 1.0)) {
    return wrong("dropout", settings.dropout, "0 or more, below 1");
  }
  return absl::OkStatus();
}

// torch.nn.Linear's default initialization, which PEFT uses for A.
void FillUniform(uint64_t seed, uint32_t index, at::Tensor& a) {
  const float bound = 1.0F / std::sqrt(static_cast<float>(a.size(1)));
  const kernels::RandomStream stream = {
      .seed = seed, .use = kernels::RandomUse::kAdapterInitialization, .layer = index};
  auto* values = a.data_ptr<float>();
  for (int64_t i = 0; i < a.numel(); ++i) {
    values[i] = bound * (2.0F * kernels::RandomUnit(stream, i) - 1.0F);
  }
}

LinearWeights& LinearOf(const models::AdapterModule& module, DecoderWeights& weights) {
  BlockWeights& block = weights.blocks[static_cast<size_t>(module.layer)];
  switch (module.slot) {
    case models::Slot::kQkv:
      return block.qkv;
    case models::Slot::kAttentionOutput:
      return block.attention_output;
    case models::Slot::kUp:
      return block.up;
    default:
      return block.down;
  }
}

// PEFT's name for a model of this kind.
std::string ConfigText(const Adapters& adapters) {
  const LoraSettings& settings = adapters.settings;
  // "all-linear" expanded to the names, because every version of PEFT accepts those.
  std::set<std::string> targets(settings.targets.begin(), settings.targets.end());
  if (targets.empty() || targets.count(models::kAllLinear) > 0) {
    targets.clear();
    for (const models::AdapterModule& module : adapters.modules) {
      targets.insert(module.name);
    }
  }
  const nlohmann::ordered_json json = {{"alpha_pattern", nlohmann::ordered_json::object()},
                                       {"auto_mapping", nullptr},
                                       {"base_model_name_or_path", settings.base_model},
                                       {"bias", "none"},
                                       {"fan_in_fan_out", adapters.modules.front().transposed},
                                       {"inference_mode", true},
                                       {"init_lora_weights", true},
                                       {"layers_pattern", nullptr},
                                       {"layers_to_transform", nullptr},
                                       {"lora_alpha", settings.alpha},
                                       {"lora_dropout", settings.dropout},
                                       {"modules_to_save", nullptr},
                                       {"peft_type", "LORA"},
                                       {"r", settings.rank},
                                       {"rank_pattern", nlohmann::ordered_json::object()},
                                       {"revision", nullptr},
                                       {"target_modules", targets},
                                       {"task_type", "CAUSAL_LM"}};
  return json.dump(1) + "\n";
}

}  // namespace

absl::StatusOr<Adapters> MakeAdapters(const LoraSettings& settings,
                                      const models::ModelDirectory& files, uint64_t seed,
                                      at::Device device) {
  WATTLE_RETURN_IF_ERROR(Validate(settings));
  auto modules = models::AdapterModules(files.config, settings.targets, settings.rank);
  if (!modules.ok()) {
    return absl::FailedPreconditionError(modules.status().message());
  }
  Adapters adapters;
  adapters.settings = settings;
  adapters.files = files;
  adapters.modules = *std::move(modules);
  adapters.files.tensor_prefix.clear();
  for (const models::AdapterModule& module : adapters.modules) {
    adapters.parameters.push_back({.tensor = module.a});
    adapters.parameters.push_back({.tensor = module.b});
  }
  adapters.layout = ValueLayout(adapters.parameters);
  adapters.arena = at::zeros({adapters.layout.elements}, at::kFloat);
  for (size_t i = 0; i < adapters.modules.size(); ++i) {
    at::Tensor a = ArenaView(adapters.arena, adapters.layout, adapters.parameters, 2 * i);
    FillUniform(seed, static_cast<uint32_t>(i), a);
  }
  adapters.arena = adapters.arena.to(device);
  return adapters;
}

void AttachAdapters(const Adapters& adapters, const at::Tensor& arena, DecoderWeights& weights) {
  weights.blocks.resize(adapters.files.config.layers.size());
  for (size_t i = 0; i < adapters.modules.size(); ++i) {
    const models::AdapterModule& module = adapters.modules[i];
    LinearOf(module, weights)
        .adapters.push_back(
            {.a = ArenaView(arena, adapters.layout, adapters.parameters, 2 * i),
             .b = ArenaView(arena, adapters.layout, adapters.parameters, 2 * i + 1),
             .first_row = module.first_row,
             .scale = adapters.settings.alpha / static_cast<double>(adapters.settings.rank),
             .dropout = adapters.settings.dropout,
             .site = static_cast<int64_t>(i)});
  }
}

absl::Status SaveAdapters(const std::string& directory, const Adapters& adapters) {
  WATTLE_RETURN_IF_ERROR(MakeDirectories(directory));
  WATTLE_RETURN_IF_ERROR(
      WriteFileDurably(absl::StrCat(directory, "/", kAdapterConfigFile), ConfigText(adapters)));
  return WriteArena(absl::StrCat(directory, "/", kAdapterWeightsFile), adapters.files,
                    adapters.parameters, adapters.layout, adapters.arena, {});
}

void MergeAdapters(const Adapters& adapters, LoadedModel& model) {
  for (const models::AdapterModule& module : adapters.modules) {
    LinearWeights& linear = LinearOf(module, model.decoder.weights);
    for (const LowRankAdapter& adapter : linear.adapters) {
      linear.matrix.value.narrow(0, adapter.first_row, adapter.b.size(0))
          .addmm_(adapter.b, adapter.a, 1.0, adapter.scale);
    }
    linear.adapters.clear();
  }
}

}  // namespace wattle::engine
