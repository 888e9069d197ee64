// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "cli/chart.h"
#include "cli/job_view.h"
#include "cli/labels.h"
#include <google/protobuf/repeated_field.h>

namespace wattle::cli {
namespace {

using Curve = google::protobuf::RepeatedPtrField<v1::CurvePoint>;

const Curve& CurveOf(const v1::Attempt& attempt) {
  return attempt.receipt().curve().empty() ? attempt.curve() : attempt.receipt().curve();
}

// The source of the watts. The receipt states the source; without a receipt, only "emulated" is
// known.
std::string EvidenceOf(const v1::Attempt& attempt) {
  if (attempt.has_receipt()) {
    return absl::StrCat(
        ", ", EvidenceWord(attempt.receipt().total().source(), attempt.receipt().emulated()));
  }
  return attempt.emulated() ? ", emulated" : "";
}

}  // namespace

std::string RenderJobChart(const v1::Job& job, const TextStyle& style) {
  const v1::Attempt* charted = nullptr;
  for (const v1::Attempt& attempt : job.attempts()) {
    charted = CurveOf(attempt).empty() ? charted : &attempt;
  }
  if (charted == nullptr) {
    return absl::StrCat("no curve of ", job.job_id(), ": no attempt has told of a step",
                        IsTerminal(job.state()) ? "" : " yet", "\n");
  }
  Chart loss = {.title = "", .line = {}, .marks = {}, .from_zero = false, .x_unit = "s"};
  Chart power = {.title = "", .line = {}, .marks = {}, .from_zero = true, .x_unit = "s"};
  for (const v1::CurvePoint& point : CurveOf(*charted)) {
    if (point.loss() != 0.0) {
      loss.line.push_back({point.seconds(), point.loss()});
    }
    if (point.heldout_loss() != 0.0) {
      loss.marks.push_back({point.seconds(), point.heldout_loss()});
    }
    if (point.has_power()) {
      power.line.push_back({point.seconds(), point.power_watts()});
    }
  }
  // Held-out losses from before the first step and after the last step are not part of the curve.
  for (const v1::Metric& metric : charted->receipt().metrics()) {
    if (metric.name() == "heldout_loss_before") {
      loss.marks.push_back({0.0, metric.value()});
    } else if (metric.name() == "heldout_loss_after") {
      loss.marks.push_back({charted->receipt().run().seconds(), metric.value()});
    }
  }
  const std::string of =
      absl::StrCat(" of ", charted->attempt_id(), " over device seconds of the run");
  loss.title = absl::StrCat("training loss", of, loss.marks.empty() ? "" : "; o held-out loss");
  power.title = absl::StrCat("watts", of, EvidenceOf(*charted));
  const std::string upper = RenderChart(loss, style);
  const std::string lower = RenderChart(power, style);
  if (upper.empty() && lower.empty()) {
    return absl::StrCat("no curve of ", charted->attempt_id(),
                        ": its steps have no loss, and it was too short for a sample of watts\n");
  }
  return absl::StrCat(upper, upper.empty() || lower.empty() ? "" : "\n", lower);
}

}  // namespace wattle::cli
