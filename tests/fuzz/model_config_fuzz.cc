// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "base/status_macros.h"
#include "models/decoder_config.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(model_config, bytes) {
  WATTLE_ASSIGN_OR_RETURN(const models::DecoderConfig config,
                          models::ParseDecoderConfig(bytes, "config.json"));
  const std::string text = models::FormatDecoderConfig(config);
  const auto again = models::ParseDecoderConfig(text, "config.json");
  WATTLE_CHECK(again.ok() && models::FormatDecoderConfig(*again) == text,
               "a config comes back as it was");
  return absl::OkStatus();
}
