// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/pi_firmware.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(pi_firmware, bytes) {
  const auto throttled = telemetry::ParseThrottled(bytes);
  return throttled.ok() ? absl::OkStatus()
                        : ImpossibleReading(telemetry::ParsePmicAnswer(bytes).status());
}
