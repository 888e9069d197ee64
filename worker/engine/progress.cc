// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/progress.h"

namespace wattle::engine {

absl::string_view PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kLoad:
      return "load";
    case Phase::kTrain:
      return "train";
    case Phase::kEvaluate:
      return "evaluate";
    case Phase::kCheckpoint:
      return "checkpoint";
    case Phase::kGenerate:
      return "generate";
    case Phase::kQuantize:
      return "quantize";
    case Phase::kSave:
      return "save";
  }
  return "";
}

}  // namespace wattle::engine
