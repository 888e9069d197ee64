// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/tegrastats_log.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(tegrastats_line, bytes) {
  return ImpossibleReading(telemetry::ParseTegrastatsLine(bytes).status());
}
