// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/nut.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(ups_line, bytes) {
  (void)telemetry::UpsError(bytes).ok();  // any answer except a crash is right
  telemetry::UpsVariables variables;
  return ImpossibleReading(telemetry::ParseUpsVariable(bytes, &variables));
}
