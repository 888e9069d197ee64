// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/work_totals.h"

#include "absl/strings/str_cat.h"

#include "proto/did_work.h"
#include "proto/job_kind.h"
#include "proto/job_summary.h"

namespace wattle::runtime {

WorkKind WorkKindOf(const v1::Receipt& receipt) {
  const v1::WorkloadSignature& signature = receipt.work().signature();
  const v1::ModelShape& model = signature.model();
  const absl::string_view kind = KindOf(signature.method()).name;
  return {.kind = kind.empty() ? "unknown" : std::string(kind),
          .model = model.architecture().empty() ? "unknown"
                                                : absl::StrCat(model.architecture(), "-",
                                                               model.layers(), "x", model.width()),
          .device_class = receipt.device_class(),
          .source = SourceOf(receipt)};
}

void WorkTotals::Add(v1::AttemptState state, const v1::Receipt& receipt) {
  if (!DidWork(receipt)) {
    return;
  }
  const WorkKind kind = WorkKindOf(receipt);
  WorkSum& sum = done[kind][state];
  ++sum.attempts;
  sum.seconds += receipt.total().seconds();
  sum.energy_joules += receipt.total().gross_energy_joules();
  sum.tokens += static_cast<double>(receipt.work().tokens());
  const v1::Prediction& predicted = receipt.predicted();
  if (state == v1::ATTEMPT_STATE_FINISHED && predicted.run_seconds().mean() > 0 &&
      predicted.run_energy_joules().mean() > 0) {
    PredictionSum& both = predictions[kind];
    both.predicted_seconds += predicted.run_seconds().mean();
    both.measured_seconds += receipt.run().seconds();
    both.predicted_energy_joules += predicted.run_energy_joules().mean();
    both.measured_energy_joules += receipt.run().gross_energy_joules();
  }
}

}  // namespace wattle::runtime
