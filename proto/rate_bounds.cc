// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/rate_bounds.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/str_format.h"

namespace wattle {
namespace {

// The slowest memory is that of a microcontroller; the fastest is a data centre's accelerator's.
constexpr double kBytesMin = 1e8;
constexpr double kBytesMax = 8e12;
constexpr double kOperationsMin = 1e7;
constexpr double kOperationsMax = 2e16;
// A product reads at least 4 bits for each weight, from the memory above or from a cache.
constexpr double kWeightsMin = 1e7;
constexpr double kWeightsOfByte = 2;
// Factor by which a measurement may exceed a datasheet, because datasheets round clocks.
constexpr double kAboveDatasheet = 1.1;

struct Bounded {
  const char* name;
  double value;
  double least;
  double most;
};

double MostOf(double known_peak, double otherwise) {
  return known_peak > 0 ? kAboveDatasheet * known_peak : otherwise;
}

}  // namespace

std::string RateProblem(const v1::MeasuredRates& rates, const RatePeaks& peaks) {
  const double bytes = MostOf(peaks.memory_bytes_per_second, kBytesMax);
  const double operations = MostOf(peaks.operations_per_second, kOperationsMax);
  const Bounded bounds[] = {
      {"memory_bytes_per_second", rates.memory_bytes_per_second(), kBytesMin, bytes},
      {"fp32_flops", rates.fp32_flops(), kOperationsMin, operations},
      {"bf16_flops", rates.bf16_flops(), kOperationsMin, operations},
      {"fp16_flops", rates.fp16_flops(), kOperationsMin, operations},
      {"int8_weights_per_second", rates.int8_weights_per_second(), kWeightsMin, bytes},
      {"int4_weights_per_second", rates.int4_weights_per_second(), kWeightsMin,
       kWeightsOfByte * bytes},
  };
  bool any = false;
  for (const Bounded& each : bounds) {
    if (each.value == 0) {
      continue;
    }
    any = true;
    if (!std::isfinite(each.value) || each.value < each.least || each.value > each.most) {
      return absl::StrFormat("%s %g is outside %g to %g", each.name, each.value, each.least,
                             each.most);
    }
  }
  const std::pair<const char*, int64_t> taken[] = {
      {"accelerator_memory_bytes", rates.accelerator_memory_bytes()},
      {"card_memory_bytes", rates.card_memory_bytes()}};
  for (const auto& [name, bytes_of_gpu] : taken) {
    if (bytes_of_gpu < 0 || bytes_of_gpu > kAcceleratorUseBytesMax) {
      return absl::StrFormat("%s %d is outside 0 to %d", name, bytes_of_gpu,
                             kAcceleratorUseBytesMax);
    }
  }
  return any ? "" : "no rate was measured";
}

}  // namespace wattle
