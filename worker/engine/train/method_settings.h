// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A job's settings for the methods of training: AdamW, low-rank adapters, and training by forward
// passes only (train/mezo.h). No libtorch. Plain values.
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
  double weight_decay = 0.0;  // decoupled; only for matrices and tables, not for biases and norms
  double clip_norm = 1.0;     // maximum of the global gradient norm; ≤ 0: none
};

struct LoraSettings {
  int64_t rank = 8;
  double alpha = 8.0;                     // adapters are multiplied by alpha / rank
  double dropout = 0.0;                   // dropout of the adapters' input
  std::vector<std::string> targets = {};  // models/adapters.h; empty: every linear layer
  bool merge = false;                     // the result is the whole model including the adapters
  std::string base_model = {};            // the base model named in adapter_config.json
};

struct MezoSettings {
  double perturbation = 1e-3;  // distance that each weight is moved along a direction; above 0
  int64_t samples = 1;         // directions per step; two passes each
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_METHOD_SETTINGS_H_
