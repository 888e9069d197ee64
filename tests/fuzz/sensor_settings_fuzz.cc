// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz_file.h"
#include "tests/fuzz/fuzz_target.h"
#include "worker/agent/sensor_settings.h"

WATTLE_FUZZ_TARGET(sensor_settings, bytes) {
  return agent::ReadSensorSettings(InFile(bytes)).status();
}
