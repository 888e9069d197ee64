// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a job says about the methods of training: AdamW, low-rank adapters, and forward passes alone
// (train/mezo.h). No libtorch. Plain values.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_METHOD_SETTINGS_H_
#define WATTLE_WORKER_ENGINE_TRAIN_METHOD_SETTINGS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace wattle::engine {

struct AdamWSettings {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;  // decoupled; matrices and tables only, not biases and norms
  double clip_norm = 1.0;     // of the global gradient norm; ≤ 0: none
};

struct LoraSettings {
  int64_t rank = 8;
  double alpha = 8.0;                     // adapters count alpha / rank
  double dropout = 0.0;                   // of the adapters' input
  std::vector<std::string> targets = {};  // models/adapters.h; empty: every linear layer
  bool merge = false;                     // the result is the whole model, with the adapters added
  std::string base_model = {};            // what adapter_config.json names as the model beside them
};

struct MezoSettings {
  double perturbation = 1e-3;  // how far each weight is moved along a direction; above 0
  int64_t samples = 1;         // directions of a step; two passes each
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_METHOD_SETTINGS_H_
