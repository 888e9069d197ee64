// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The settings of AdamW and of gradient clipping. Plain values.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_ADAMW_SETTINGS_H_
#define WATTLE_WORKER_ENGINE_TRAIN_ADAMW_SETTINGS_H_

namespace wattle::engine {

struct AdamWSettings {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;  // decoupled; matrices and tables only, not biases and norms
  double clip_norm = 1.0;     // of the global gradient norm; ≤ 0: none
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_ADAMW_SETTINGS_H_
