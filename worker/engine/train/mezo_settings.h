// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Settings of training by forward passes alone (train/mezo.h). No libtorch. Plain values.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_MEZO_SETTINGS_H_
#define WATTLE_WORKER_ENGINE_TRAIN_MEZO_SETTINGS_H_

#include <cstdint>

namespace wattle::engine {

struct MezoSettings {
  double perturbation = 1e-3;  // how far each weight is moved along a direction; above 0
  int64_t samples = 1;         // directions of a step; two passes each
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_MEZO_SETTINGS_H_
