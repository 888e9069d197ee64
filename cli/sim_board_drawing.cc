// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/sim_board_drawing.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/labels.h"
#include "cli/page.h"

#include "proto/state_names.h"
#include "units/format.h"

namespace wattle::cli {
namespace {

constexpr double kSun = 40;  // height of the sun, below the charge
constexpr double kSunGap = 8;
constexpr Watts kSunMin(0.1);  // smaller values are rounding errors of a pack without a panel

// "day 2 06:15". Hour 0 of a scenario is a midnight.
std::string ScenarioTime(double seconds) {
  const absl::Time at = absl::UnixEpoch() + absl::Seconds(seconds);
  const auto day = static_cast<int64_t>(std::max(0.0, seconds) / sim::kSecondsOfDay) + 1;
  return absl::StrCat("day ", day, " ", absl::FormatTime("%H:%M", at, absl::UTCTimeZone()));
}

// The label of a grid line: the day at midnight, otherwise the time of day.
std::string LineTime(double seconds) {
  const std::string time = ScenarioTime(seconds);
  const size_t blank = time.rfind(' ');
  return time.substr(blank) == " 00:00" ? time.substr(0, blank) : time.substr(blank + 1);
}

// A polyline that is vertical where the value changes.
class StepLine {
 public:
  void Add(double x, double y) {
    const std::string at = absl::StrFormat("%.1f", y);
    if (!last_y_.empty() && at != last_y_) {
      absl::StrAppendFormat(&points_, "%.1f,%s %.1f,%s ", x, last_y_, x, at);
    } else if (last_y_.empty()) {
      absl::StrAppendFormat(&points_, "%.1f,%s ", x, at);
    }
    last_y_ = at;
    last_x_ = x;
  }
  // The points so far.
  [[nodiscard]] std::string Points() const {
    return last_y_.empty() ? "" : absl::StrFormat("%s%.1f,%s", points_, last_x_, last_y_);
  }

 private:
  std::string points_;
  std::string last_y_;
  double last_x_ = 0.0;
};

class BoardDrawing {
 public:
  BoardDrawing(const sim::Scenario& scenario, const sim::BoardRecord& board)
      : scenario_(scenario), board_(board), drawing_(0.0, scenario.duration_seconds, LineTime) {
    for (const sim::PackSample& sample : board_.pack) {
      sun_max_ = std::max({sun_max_, sample.sun, sample.expected_sun.value_or(Watts(0)),
                           sample.told_sun.value_or(Watts(0))});
    }
  }

  [[nodiscard]] std::string Html() const {
    double height = Drawing::kLane;
    std::string content;
    if (!board_.pack.empty()) {
      content += Charge(height);
      height += Drawing::kCharge;
      if (sun_max_ >= kSunMin) {
        content += Sun(height + kSunGap);
        height += kSunGap + kSun;
      }
    }
    return absl::StrCat(
        "<h3>", Escaped(board_.name), " <small>", Escaped(board_.device_class), Source(),
        "</small></h3>\n",
        drawing_.Svg(board_.name, height, absl::StrCat(Cuts(height), Bars(), content)));
  }

 private:
  [[nodiscard]] std::string Source() const {
    return board_.shared_pack.empty() ? board_.pack.empty() ? ", on mains" : ""
                                      : absl::StrCat(", pack ", Escaped(board_.shared_pack));
  }

  [[nodiscard]] size_t NumberOf(const std::string& group) const {
    const auto& jobs = scenario_.jobs;
    return static_cast<size_t>(
        std::find_if(jobs.begin(), jobs.end(),
                     [&group](const sim::JobGroup& one) { return one.spec.name() == group; }) -
        jobs.begin());
  }

  // The times without a link or without power, drawn behind everything else.
  [[nodiscard]] std::string Cuts(double height) const {
    std::string cuts;
    for (const sim::LinkCut& cut : scenario_.cuts) {
      if (cut.group == board_.group) {
        cuts += Cut("no link", cut.begin_seconds, cut.end_seconds, height);
      }
    }
    for (const sim::TimeOff& time : board_.times_off) {
      cuts += Cut("no power", time.begin_seconds, time.end_seconds, height);
    }
    return cuts;
  }

  [[nodiscard]] std::string Cut(const char* lacks, double begin_seconds, double end_seconds,
                                double height) const {
    const double begin = drawing_.X(begin_seconds);
    return absl::StrFormat(
        "<rect class=\"cut\" x=\"%.1f\" y=\"0\" width=\"%.1f\" "
        "height=\"%g\"><title>%s: %s to %s</title></rect>\n",
        begin, drawing_.X(end_seconds) - begin, height, lacks, ScenarioTime(begin_seconds),
        ScenarioTime(end_seconds));
  }

  static std::string Ending(const sim::AttemptRecord& attempt) {
    const std::string state = Word(attempt.state);
    if (attempt.state == v1::ATTEMPT_STATE_FINISHED) {
      return state;
    }
    return absl::StrCat(IsTerminal(attempt.state) ? state : absl::StrCat("at the end ", state),
                        attempt.reason.empty() ? "" : ": ", attempt.reason);
  }

  [[nodiscard]] std::string Bars() const {
    std::string bars;
    for (const sim::AttemptRecord& attempt : board_.attempts) {
      const bool marked = attempt.state == v1::ATTEMPT_STATE_FAILED ||
                          attempt.state == v1::ATTEMPT_STATE_SUPERSEDED;
      bars += drawing_.Bar(
          {.css = absl::StrCat(ColourOf(NumberOf(attempt.group)), marked ? " " : "",
                               marked ? Word(attempt.state) : ""),
           .begin_seconds = attempt.begin_seconds,
           .end_seconds = attempt.end_seconds,
           .label = attempt.job,
           .title = absl::StrCat(
               attempt.job, ": ", ScenarioTime(attempt.begin_seconds), " to ",
               ScenarioTime(attempt.end_seconds), " (",
               FormatElapsed(absl::Seconds(attempt.end_seconds - attempt.begin_seconds)), "), ",
               attempt.energy ? FormatEnergy(*attempt.energy) : "no receipt yet", ", ",
               Ending(attempt))});
    }
    return bars;
  }

  [[nodiscard]] std::string Charge(double top) const {
    std::string points;
    for (const sim::PackSample& sample : board_.pack) {
      absl::StrAppendFormat(&points, "%.1f,%.1f ", drawing_.X(sample.at_seconds),
                            Drawing::Y(sample.charge.value(), top, Drawing::kCharge));
    }
    std::string reserve;
    std::string scale = Drawing::ChargeScale(top);
    if (board_.reserve > Fraction(0)) {
      const double y = Drawing::Y(board_.reserve.value(), top, Drawing::kCharge);
      reserve =
          absl::StrFormat("<line class=\"reserve\" x1=\"0\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                          Drawing::kWidth, y, y);
      scale += Drawing::ScaleText(y - 3, absl::StrCat("reserve ", FormatPercent(board_.reserve)),
                                  /*at_end=*/true);
    }
    return absl::StrCat(reserve, "<polyline class=\"charge\" points=\"", points,
                        "\"><title>charge</title></polyline>\n", scale);
  }

  [[nodiscard]] std::string Sun(double top) const {
    const auto y = [this, top](Watts sun) { return Drawing::Y(sun / sun_max_, top, kSun); };
    StepLine truth;
    for (const sim::PackSample& sample : board_.pack) {
      truth.Add(drawing_.X(sample.at_seconds), y(sample.sun));
    }
    return absl::StrCat(
        absl::StrFormat(
            "<polygon class=\"sun\" points=\"0,%g %s %g,%g\"><title>sun</title></polygon>\n",
            top + kSun, truth.Points(), Drawing::kWidth, top + kSun),
        Lines("expected", &sim::PackSample::expected_sun, y),
        Lines("told", &sim::PackSample::told_sun, y),
        Drawing::ScaleText(top + 10, FormatPower(sun_max_)));
  }

  // One line for each stretch of samples that have the value.
  template <typename Y>
  std::string Lines(const char* style, std::optional<Watts> sim::PackSample::*value,
                    const Y& y) const {
    std::vector<StepLine> lines;
    bool known = false;
    for (const sim::PackSample& sample : board_.pack) {
      const std::optional<Watts>& watts = sample.*value;
      if (watts.has_value()) {
        if (!known) {
          lines.emplace_back();
        }
        lines.back().Add(drawing_.X(sample.at_seconds), y(*watts));
      }
      known = watts.has_value();
    }
    std::string drawn;
    for (const StepLine& line : lines) {
      absl::StrAppend(&drawn, "<polyline class=\"", style, "\" points=\"", line.Points(), "\"/>\n");
    }
    return drawn;
  }

  const sim::Scenario& scenario_;
  const sim::BoardRecord& board_;
  const Drawing drawing_;
  Watts sun_max_{};
};

}  // namespace

std::string ColourOf(size_t number) {
  return absl::StrCat("c", number % kColours);
}

std::string BoardSection(const sim::Scenario& scenario, const sim::BoardRecord& board) {
  return BoardDrawing(scenario, board).Html();
}

}  // namespace wattle::cli
