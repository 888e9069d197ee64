// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/adapters.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

#include "models/family.h"

namespace wattle::models {
namespace {

// PEFT's prefix to the model's name of a module.
constexpr char kPeftPrefix[] = "base_model.model.";

bool Names(absl::string_view target, absl::string_view module) {
  return target == kAllLinear || module == target ||
         absl::EndsWith(module, absl::StrCat(".", std::string(target)));
}

ModelTensor AdapterTensor(const ModelTensor& matrix, const std::string& module,
                          absl::string_view which, std::vector<int64_t> shape) {
  ModelTensor tensor;
  tensor.slot = matrix.slot;
  tensor.layer = matrix.layer;
  tensor.name = absl::StrCat(module, ".", std::string(which));
  tensor.shape = shape;
  tensor.files = {{absl::StrCat(kPeftPrefix, module, ".", std::string(which), ".weight"), shape}};
  return tensor;
}

// Every linear layer inside the blocks.
std::vector<AdapterModule> AllModules(const DecoderConfig& config, int64_t rank) {
  const std::string prefix = FamilyOf(config).file_prefix;
  std::vector<AdapterModule> modules;
  for (const ModelTensor& matrix : ModelTensors(config)) {
    if (matrix.layer < 0 || matrix.part != Part::kWeight || !matrix.is_matrix()) {
      continue;
    }
    int64_t row = 0;
    for (const FileTensor& file : matrix.files) {
      const std::string module =
          absl::StrCat(prefix, std::string(absl::StripSuffix(file.name, ".weight")));
      const int64_t outputs = file.shape[matrix.layout.transposed ? 1 : 0];
      AdapterModule adapter;
      adapter.name = module.substr(module.rfind('.') + 1);
      adapter.slot = matrix.slot;
      adapter.layer = matrix.layer;
      adapter.first_row = row;
      adapter.transposed = matrix.layout.transposed;
      adapter.a = AdapterTensor(matrix, module, "lora_A", {rank, matrix.shape[1]});
      adapter.b = AdapterTensor(matrix, module, "lora_B", {outputs, rank});
      adapter.b.layout.interleaved_heads = matrix.layout.interleaved_heads;
      modules.push_back(std::move(adapter));
      row += outputs;
    }
  }
  return modules;
}

std::string ModuleOf(const AdapterModule& adapter) {
  return std::string(absl::StripSuffix(adapter.a.name, ".lora_A"));
}

}  // namespace

absl::StatusOr<std::vector<AdapterModule>> AdapterModules(const DecoderConfig& config,
                                                          const std::vector<std::string>& targets,
                                                          int64_t rank) {
  std::vector<AdapterModule> all = AllModules(config, rank);
  const std::vector<std::string> wanted =
      targets.empty() ? std::vector<std::string>{kAllLinear} : targets;
  for (const std::string& target : wanted) {
    if (std::none_of(all.begin(), all.end(), [&](const AdapterModule& adapter) {
          return Names(target, ModuleOf(adapter));
        })) {
      std::set<std::string> names;
      for (const AdapterModule& adapter : all) {
        names.insert(adapter.name);
      }
      return absl::InvalidArgumentError(absl::StrCat(
          "lora.targets: \"", target, "\" names no linear layer of this ", FamilyOf(config).name,
          "; write ", kAllLinear, " or some of: ", absl::StrJoin(names, ", ")));
    }
  }
  all.erase(std::remove_if(all.begin(), all.end(),
                           [&](const AdapterModule& adapter) {
                             return std::none_of(wanted.begin(), wanted.end(),
                                                 [&](const std::string& target) {
                                                   return Names(target, ModuleOf(adapter));
                                                 });
                           }),
            all.end());
  return all;
}

int64_t AdapterParameterCount(const std::vector<AdapterModule>& modules) {
  int64_t count = 0;
  for (const AdapterModule& adapter : modules) {
    count += adapter.a.element_count() + adapter.b.element_count();
  }
  return count;
}

}  // namespace wattle::models
