// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Inputs that are larger than the worker may ever hold.
#include "absl/strings/str_cat.h"

#include "scheduler/place/constraint_registry_internal.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

class CacheQuota final : public Constraint {
 public:
  [[nodiscard]] absl::string_view name() const override { return "cache_quota"; }
  [[nodiscard]] std::optional<Refusal> Check(const Consideration& on) const override {
    const int64_t quota = on.device.device.info().cache_quota_bytes();
    int64_t needed = 0;
    for (const InputView& input : on.job.inputs) {
      needed += input.artifact.size_bytes();
    }
    if (quota <= 0 || needed <= quota) {
      return std::nullopt;
    }
    return Refusal{
        absl::StrCat("inputs of ", FormatBytes(needed), " exceed its cache quota of ",
                     FormatBytes(quota), "; feasible with a quota of ", FormatBytes(needed)),
        true};
  }
};

}  // namespace

const Constraint& CacheQuotaConstraint() {
  static const auto* const kConstraint = new CacheQuota();
  return *kConstraint;
}

}  // namespace wattle::scheduler
