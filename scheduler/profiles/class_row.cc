// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/class_row.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>

#include "scheduler/profiles/mode_numbers.h"
#include "scheduler/profiles/row_means.h"
#include "scheduler/profiles/signature_fields.h"

namespace wattle::scheduler {
namespace {

using Boards = absl::Span<const v1::ProfileRow* const>;

// Standard deviation of a normal variable over its median absolute deviation.
constexpr double kDeviationOfMedian = 1.4826;

template <typename Get>
double MiddleOver(Boards boards, Get get) {
  std::vector<double> values;
  for (const v1::ProfileRow* board : boards) {
    values.push_back(get(*board));
  }
  return MiddleOf(std::move(values));
}

// The second-largest value over the boards if there are at least three, so that a single board
// cannot raise it; else the largest.
template <typename Get>
double LargestOf(Boards boards, Get get) {
  std::vector<double> values;
  for (const v1::ProfileRow* board : boards) {
    values.push_back(static_cast<double>(get(*board)));
  }
  std::sort(values.begin(), values.end(), std::greater<>());
  return values[boards.size() >= kBoardsWithAMiddle ? 1 : 0];
}

// The spread covers one more run on one more board: the spread of the runs on a board plus that
// between boards.
template <typename Get>
v1::Statistic StatisticOf(Boards boards, Get get) {
  v1::Statistic statistic;
  std::vector<double> means;
  std::vector<double> deviations;
  for (const v1::ProfileRow* board : boards) {
    const v1::Statistic& of_board = get(*board);
    if (of_board.count() == 0 || !IsPositive(of_board.mean())) {
      continue;
    }
    means.push_back(of_board.mean());
    deviations.push_back(of_board.relative_deviation());
    const bool first = statistic.count() == 0;
    statistic.set_count(statistic.count() + of_board.count());
    statistic.set_min(first ? of_board.min() : std::min(statistic.min(), of_board.min()));
    statistic.set_max(first ? of_board.max() : std::max(statistic.max(), of_board.max()));
  }
  if (means.empty()) {
    return statistic;
  }
  const double middle = MiddleOf(means);
  std::vector<double> offsets;
  for (const double mean : means) {
    offsets.push_back(std::abs(mean - middle) / middle);
  }
  statistic.set_mean(middle);
  // Medians, so that a single board affects neither the mean nor the spread by its own numbers.
  statistic.set_relative_deviation(
      std::hypot(MiddleOf(deviations), kDeviationOfMedian * MiddleOf(offsets)));
  return statistic;
}

}  // namespace

bool IsOfClassRow(const v1::ProfileRow& of_device, const v1::ProfileRow& of_class) {
  if (of_device.source() != v1::PROFILE_SOURCE_MEASURED || of_device.device_id().empty() ||
      of_device.device_class() != of_class.device_class() ||
      of_device.emulated() != of_class.emulated() || of_device.unit() != of_class.unit() ||
      SignatureKey(of_device.signature()) != SignatureKey(of_class.signature()) ||
      ModeNameOf(of_device) != ModeNameOf(of_class)) {
    return false;
  }
  const v1::PowerMode* const mine = ModeOfRuns(of_device);
  const v1::PowerMode* const its = ModeOfRuns(of_class);
  return mine == nullptr || its == nullptr ||
         MaySetTheSame(ModeNumbersOf(*mine), ModeNumbersOf(*its));
}

std::vector<const v1::ProfileRow*> RowsOfBoards(const ProfileTable& table,
                                                const v1::ProfileRow& of_class,
                                                absl::string_view without_device) {
  std::vector<const v1::ProfileRow*> boards;
  for (const ProfileTable::WorkloadRow& indexed :
       table.OfWorkload(of_class.device_class(), of_class.signature())) {
    const v1::ProfileRow& row = indexed.row();
    if (!indexed.of_class && row.device_id() != without_device && !IsOfAContendedRun(row) &&
        IsOfClassRow(row, of_class)) {
      boards.push_back(&row);
    }
  }
  return boards;
}

v1::ProfileRow WithNumbersOf(Boards boards, v1::ProfileRow of_class) {
  const auto middle = [boards](auto get) {
    return MiddleOver(boards, [get](const v1::ProfileRow& row) { return (row.*get)(); });
  };
  const auto largest = [boards](auto get) {
    return LargestOf(boards, [get](const v1::ProfileRow& row) { return (row.*get)(); });
  };
  const auto statistic = [boards](auto get) {
    return StatisticOf(
        boards, [get](const v1::ProfileRow& row) -> const v1::Statistic& { return (row.*get)(); });
  };
  using Row = v1::ProfileRow;
  *of_class.mutable_seconds_per_unit() = statistic(&Row::seconds_per_unit);
  *of_class.mutable_power_watts() = statistic(&Row::power_watts);
  *of_class.mutable_energy_joules_per_unit() = statistic(&Row::energy_joules_per_unit);
  of_class.set_net_energy_joules_per_unit(middle(&Row::net_energy_joules_per_unit));
  of_class.set_idle_power_watts(middle(&Row::idle_power_watts));
  of_class.set_units_per_example(middle(&Row::units_per_example));
  of_class.set_units_per_step(middle(&Row::units_per_step));
  of_class.set_bytes_per_token(middle(&Row::bytes_per_token));
  of_class.set_start_seconds(middle(&Row::start_seconds));
  of_class.set_peak_power_watts(largest(&Row::peak_power_watts));
  of_class.set_temperature_celsius_max(largest(&Row::temperature_celsius_max));
  of_class.set_peak_memory_bytes(static_cast<int64_t>(largest(&Row::peak_memory_bytes)));
  return of_class;
}

}  // namespace wattle::scheduler
