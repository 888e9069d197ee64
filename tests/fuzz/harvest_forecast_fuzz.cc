// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "formats/harvest_forecast.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(harvest_forecast, bytes) {
  WATTLE_ASSIGN_OR_RETURN(v1::HarvestForecast forecast,
                          formats::ParseHarvestForecast(bytes, "sun.csv"));
  forecast.set_name("sun");
  return core::ValidateForecast(forecast);
}
