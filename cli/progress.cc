// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/labels.h"
#include "cli/table.h"

#include "proto/job_summary.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

constexpr int kBarWidth = 26;

// " emulated" or " modelled"; "" for watts that a sensor of the device measured.
std::string EvidenceNote(const v1::AttemptProgress& progress, const v1::Candidate* chosen) {
  if (chosen != nullptr && chosen->emulated()) {
    return " emulated";
  }
  // An older worker does not report the source of its watts.
  return progress.energy_source() == v1::ENERGY_SOURCE_MODEL ? " modelled" : "";
}

// The parts after the bar, the most important first, with shorter ones for a narrow terminal.
std::vector<std::string> Parts(const v1::JobUpdate& update, const v1::Candidate* chosen,
                               bool narrow) {
  const v1::AttemptProgress& progress = update.progress();
  const std::string note = EvidenceNote(progress, chosen);
  std::vector<std::string> parts;
  if (progress.loss() != 0.0) {
    parts.push_back(absl::StrFormat("loss %.3f", progress.loss()));
  }
  if (progress.power_watts() > 0.0) {
    parts.push_back(absl::StrCat(FormatPower(Watts(progress.power_watts())), note));
  }
  if (progress.remaining_seconds() > 0.0) {
    const double scale = chosen != nullptr ? chosen->prediction().time_scale() : 1.0;
    const absl::Duration left = absl::Seconds(progress.remaining_seconds());
    // An emulated device has two clocks. The wall clock comes first, because it is the user's
    // waiting time.
    parts.push_back(
        scale == 0.0 || scale == 1.0
            ? absl::StrCat("left ", FormatElapsed(left))
            : absl::StrCat("left ", FormatElapsed(left * scale),
                           narrow ? "" : absl::StrCat(" wall, ", FormatElapsed(left), " device")));
  }
  if (progress.tokens_per_second() > 0.0) {
    parts.push_back(absl::StrCat(FormatCount(std::round(progress.tokens_per_second())), " tok/s"));
  }
  if (progress.energy_joules() > 0.0) {
    parts.push_back(absl::StrCat(FormatEnergy(Joules(progress.energy_joules())), note));
  }
  if (progress.heldout_loss() != 0.0) {
    parts.push_back(absl::StrFormat("held-out %.3f", progress.heldout_loss()));
  }
  return parts;
}

}  // namespace

std::string RenderBar(double ratio, int width) {
  const int inner = std::max(width - 2, 1);
  const double held = std::isfinite(ratio) ? std::clamp(ratio, 0.0, 1.0) : 0.0;
  // Rounded down: a full bar means done.
  const auto filled = static_cast<int>(std::floor(held * inner + 1e-9));
  return absl::StrCat("[", std::string(static_cast<size_t>(filled), '#'),
                      std::string(static_cast<size_t>(inner - filled), '.'), "]");
}

std::string RenderJobProgress(const v1::JobUpdate& update, const TextStyle& style) {
  const v1::AttemptProgress& progress = update.progress();
  const bool narrow = style.width_columns > 0 && style.width_columns < 100;
  const v1::Candidate* chosen = nullptr;
  std::string where;
  for (const v1::Attempt& attempt : update.job().attempts()) {
    if (attempt.attempt_id() == progress.attempt_id()) {
      chosen = ChosenCandidate(attempt.placement());
      where = AttemptDevice(attempt);
    }
  }
  std::string line = absl::StrCat(progress.attempt_id(),
                                  where.empty() ? ""
                                  : narrow      ? " "
                                                : " on ",
                                  where, " ", progress.phase());
  if (progress.steps_total() > 0) {
    const double ratio =
        static_cast<double>(progress.step()) / static_cast<double>(progress.steps_total());
    // On a narrow terminal the numbers replace the bar.
    absl::StrAppend(&line, narrow ? "" : absl::StrCat(" ", RenderBar(ratio, kBarWidth)), " ",
                    progress.step(), "/", progress.steps_total());
  }
  line = Printable(line);
  const auto limit = static_cast<size_t>(std::max(style.width_columns - 1, 0));
  for (const std::string& part : Parts(update, chosen, narrow)) {
    const std::string longer = absl::StrCat(line, "  ", part);
    if (limit > 0 && DisplayWidth(longer) > limit) {
      break;  // A less important part must not replace a more important one.
    }
    line = longer;
  }
  return limit == 0 ? line : FitText(line, limit);
}

void LiveLine::Update(absl::string_view line) {
  if (style_.is_terminal) {
    out_ << "\r\x1b[K" << line << std::flush;
    shown_ = true;
    return;
  }
  const Monotonic now = clock_.Boottime();
  if (!ever_ || now - last_ >= kPlainInterval) {
    out_ << line << "\n" << std::flush;
    ever_ = true;
    last_ = now;
  }
}

void LiveLine::Print(absl::string_view line) {
  Clear();
  out_ << line << "\n" << std::flush;
}

void LiveLine::Clear() {
  if (shown_) {
    out_ << "\r\x1b[K" << std::flush;
    shown_ = false;
  }
}

}  // namespace wattle::cli
