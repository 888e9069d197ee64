// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/smart_plug_answers.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(smart_plug, bytes) {
  const std::string json(bytes);
  absl::Status last = telemetry::ParseShellyGeneration(json).status();
  last.Update(telemetry::ParseShellyMeter(json).status());
  last.Update(telemetry::ParseShellyStatus(json).status());
  for (size_t channel = 0; channel < 2; ++channel) {
    last.Update(telemetry::ParseTasmotaStatus(json, channel).status());
  }
  return ImpossibleReading(last);
}
