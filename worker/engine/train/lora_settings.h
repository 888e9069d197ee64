// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a job says about low-rank adapters. Plain values.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_LORA_SETTINGS_H_
#define WATTLE_WORKER_ENGINE_TRAIN_LORA_SETTINGS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace wattle::engine {

struct LoraSettings {
  int64_t rank = 8;
  double alpha = 8.0;                     // adapters count alpha / rank
  double dropout = 0.0;                   // of the adapters' input
  std::vector<std::string> targets = {};  // models/adapters.h; empty: every linear layer
  bool merge = false;                     // the result is the whole model, with the adapters added
  std::string base_model = {};            // what adapter_config.json names as the model beside them
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_LORA_SETTINGS_H_
