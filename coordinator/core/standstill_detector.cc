// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/standstill_detector.h"

#include <algorithm>

#include "base/fault_point.h"

namespace wattle::core {

void StandstillDetector::Note(Monotonic now) {
  if (now - noted_ >= break_min_ && !WATTLE_FAULT_POINT("standstill")) {
    since_ = now;
  }
  noted_ = std::max(noted_, now);
}

}  // namespace wattle::core
