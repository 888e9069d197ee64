// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/place/device/work_times.h"

#include <algorithm>
#include <cstddef>

#include "scheduler/place/device/link_times.h"
#include "scheduler/predict/predict.h"

namespace wattle::scheduler {
namespace {

// With a window or two a day, these pieces reach beyond every pack's horizon and most runs.
constexpr size_t kPiecesMax = 64;

}  // namespace

std::shared_ptr<const WorkTimes> WorkTimesOf(const policy::Limits& limits) {
  return limits.windows.empty() && !limits.budget.has_value()
             ? nullptr
             : std::make_shared<const WorkTimes>(
                   WorkTimes{policy::OpenTimes(limits.windows), limits.budget});
}

std::vector<policy::WorkPiece> PiecesOf(const WorkTimes* times, const WorkAhead& ahead) {
  if (times == nullptr) {
    return {{ahead.begin, ahead.begin + ahead.work}};
  }
  std::vector<policy::WorkPiece> pieces = policy::PiecesUnder(
      times->windows, times->budget,
      {.start = ahead.begin, .work = ahead.work, .draw = ahead.draw, .spent = ahead.spent});
  if (pieces.size() > kPiecesMax) {
    pieces[kPiecesMax - 1].end = pieces.back().end;
    pieces.resize(kPiecesMax);
  }
  return pieces;
}

std::optional<WorkAhead> AttemptAhead(const DeviceView& view, absl::Time free_at, absl::Time now) {
  if (free_at <= now) {
    return std::nullopt;
  }
  WorkAhead ahead;
  ahead.begin = std::max(view.goes_on_at, now);
  ahead.work = free_at > ahead.begin ? free_at - ahead.begin : absl::Seconds(1);
  ahead.draw = DrawOfAttempt(view);
  return ahead;
}

void CutAt(absl::Time end, std::vector<policy::WorkPiece>& pieces) {
  std::erase_if(pieces, [end](const policy::WorkPiece& piece) { return piece.begin >= end; });
  if (!pieces.empty()) {
    pieces.back().end = std::min(pieces.back().end, end);
  }
}

Watts DrawOfAttempt(const DeviceView& view) {
  const double scale = view.device.info().time_scale();
  return Watts(view.running_power.value() / (scale > 0 ? scale : 1));
}

double FinishIn(absl::Time now, const policy::Limits& limits, const policy::OpenTimes& windows,
                const RunFromStart& run, double run_seconds) {
  const v1::Prediction& prediction = run.prediction;
  const double work_seconds = prediction.time_scale() * TotalSeconds(prediction, run_seconds);
  if (windows.always() && !limits.budget) {
    return run.start_in_seconds + work_seconds;
  }
  const absl::Time start = now + absl::Seconds(run.start_in_seconds);
  absl::Duration fetch;
  absl::Duration upload;
  if (HasLinkLimits(
          limits)) {  // The times of fetch and upload then include their waits for work's windows.
    fetch = absl::Seconds(prediction.time_scale() * prediction.fetch_seconds());
    upload = absl::Seconds(prediction.time_scale() * prediction.upload_seconds());
  }
  Joules spent = run.spent;
  if (limits.budget &&
      policy::DayOf(*limits.budget, start) != policy::DayOf(*limits.budget, start + fetch)) {
    spent = Joules(0);
  }
  const absl::Time finish =
      policy::FinishUnder(windows, limits.budget,
                          {.start = start + fetch,
                           .work = absl::Seconds(work_seconds) - fetch - upload,
                           .draw = Watts(prediction.mean_power_watts() / prediction.time_scale()),
                           .spent = spent});
  return absl::ToDoubleSeconds(std::min(finish + upload - now, kNeverEnds));
}

}  // namespace wattle::scheduler
