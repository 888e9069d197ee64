// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <cstddef>

#include "absl/types/span.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "formats/safetensors.h"
#include "tests/fuzz/fuzz_target.h"

// The header of weights and of checkpoints.
WATTLE_FUZZ_TARGET(tensor_header, bytes) {
  const auto size_bytes = static_cast<int64_t>(bytes.size());
  WATTLE_ASSIGN_OR_RETURN(
      const formats::SafetensorsHeader header,
      formats::ParseSafetensorsHeader(
          "m", absl::MakeConstSpan(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()),
          size_bytes));
  for (const formats::TensorEntry& tensor : header.tensors) {
    WATTLE_CHECK(
        tensor.offset_bytes >= 0 &&
            header.data_start_bytes + tensor.offset_bytes + tensor.size_bytes() <= size_bytes,
        "an accepted tensor lies inside the file");
  }
  return absl::OkStatus();
}
