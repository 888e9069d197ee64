// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/without_device.h"

#include <algorithm>
#include <optional>

#include "scheduler/profiles/class_row.h"
#include "scheduler/profiles/row_means.h"

namespace wattle::scheduler {
namespace {

std::vector<const v1::ProfileRow*> RowsOf(const ProfileTable& table, const std::string& device_id) {
  std::vector<const v1::ProfileRow*> rows;
  for (const auto& [device_class, of_class] : table.by_class()) {
    for (const auto& [key, row] : of_class) {
      if (row.device_id() == device_id) {
        rows.push_back(&row);
      }
    }
  }
  return rows;
}

// The classes' rows to which runs of these rows belong.
std::vector<const v1::ProfileRow*> ClassRowsOf(
    const ProfileTable& table, const std::vector<const v1::ProfileRow*>& of_device) {
  std::vector<const v1::ProfileRow*> rows;
  for (const v1::ProfileRow* row : of_device) {
    for (const ProfileTable::WorkloadRow& indexed :
         table.OfWorkload(row->device_class(), row->signature())) {
      const v1::ProfileRow* const of_class = &indexed.row();
      if (indexed.of_class && indexed.source == v1::PROFILE_SOURCE_MEASURED &&
          IsOfClassRow(*row, *of_class) &&
          std::find(rows.begin(), rows.end(), of_class) == rows.end()) {
        rows.push_back(of_class);
      }
    }
  }
  return rows;
}

void ForgetWhatNoRunTells(v1::ProfileRow* row) {
  row->clear_step_overhead_seconds();
  row->clear_peak_memory_bytes();
  row->clear_units_per_example();
  row->clear_bytes_per_token();
  row->clear_start_seconds();
  row->clear_units_per_step();
  row->clear_answer_lengths();
}

// The device's row computed from its runs before `since`; nullopt: no such run is still kept.
std::optional<v1::ProfileRow> Before(v1::ProfileRow row, double since) {
  auto* const runs = row.mutable_runs();
  runs->erase(std::remove_if(runs->begin(), runs->end(),
                             [since](const v1::RunObservation& run) {
                               return run.at_unix_seconds() >= since;
                             }),
              runs->end());
  const bool changed_since = row.change().at_unix_seconds() >= since;
  if (changed_since) {
    row.clear_change();
  }
  if (row.updated_unix_seconds() < since) {
    return row;
  }
  const std::vector<v1::RunObservation> measured = Measurements(row);
  const auto after_change = static_cast<int>(
      std::count_if(measured.begin(), measured.end(), [&row](const v1::RunObservation& run) {
        return run.at_unix_seconds() >= row.change().at_unix_seconds();
      }));
  if (after_change == 0) {
    return std::nullopt;
  }
  CountAnew(after_change, &row);
  ForgetWhatNoRunTells(&row);
  row.set_updated_unix_seconds(measured.back().at_unix_seconds());
  row.clear_source_note();
  return row;
}

// Keeps in the class's row the mode numbers of the boards' latest run that recorded them.
void KeepModeOf(absl::Span<const v1::ProfileRow* const> boards, v1::ProfileRow* of_class) {
  of_class->clear_runs();
  const v1::RunObservation* latest = nullptr;
  for (const v1::ProfileRow* board : boards) {
    for (const v1::RunObservation& run : board->runs()) {
      if (IsMeasurement(run) && run.has_power_mode() &&
          (latest == nullptr || run.at_unix_seconds() > latest->at_unix_seconds())) {
        latest = &run;
      }
    }
  }
  if (latest != nullptr) {
    v1::RunObservation& kept = *of_class->add_runs();
    kept.set_at_unix_seconds(latest->at_unix_seconds());
    kept.set_seconds_per_unit(latest->seconds_per_unit());
    *kept.mutable_power_mode() = latest->power_mode();
  }
}

// REQUIRES: there is a board.
v1::ProfileRow ByBoards(absl::Span<const v1::ProfileRow* const> boards, v1::ProfileRow of_class) {
  const v1::ProfileRow& newest = **std::max_element(
      boards.begin(), boards.end(), [](const v1::ProfileRow* a, const v1::ProfileRow* b) {
        return a->updated_unix_seconds() < b->updated_unix_seconds();
      });
  of_class.clear_answer_lengths();  // Rows of older versions mix the lengths of all devices.
  of_class.clear_throttled_fraction();
  if (newest.has_throttled_fraction()) {
    of_class.set_throttled_fraction(newest.throttled_fraction());
  }
  of_class.set_updated_unix_seconds(newest.updated_unix_seconds());
  of_class.set_source_note(newest.source_note());
  KeepModeOf(boards, &of_class);
  return WithNumbersOf(boards, std::move(of_class));
}

}  // namespace

ProfileTable WithoutDevice(const ProfileTable& table, const std::string& device_id) {
  const std::vector<const v1::ProfileRow*> of_device = RowsOf(table, device_id);
  std::vector<const v1::ProfileRow*> gone = ClassRowsOf(table, of_device);
  gone.insert(gone.end(), of_device.begin(), of_device.end());
  std::sort(gone.begin(), gone.end());
  ProfileTable rest;
  for (const auto& [device_class, rows] : table.by_class()) {
    for (const auto& [key, row] : rows) {
      if (!std::binary_search(gone.begin(), gone.end(), &row)) {
        (void)rest.Put(row);  // The row was valid when it entered the table.
      }
    }
  }
  rest.mutable_rates() = table.rates();
  return rest;
}

std::vector<v1::ProfileRow> RowsThatRemain(const ProfileTable& table, const std::string& device_id,
                                           absl::Time since) {
  const double since_seconds = absl::ToDoubleSeconds(since - absl::UnixEpoch());
  const std::vector<const v1::ProfileRow*> of_device = RowsOf(table, device_id);
  std::vector<v1::ProfileRow> before;
  for (const v1::ProfileRow* row : of_device) {
    if (std::optional<v1::ProfileRow> kept = Before(*row, since_seconds); kept.has_value()) {
      before.push_back(*std::move(kept));
    }
  }
  std::vector<v1::ProfileRow> remain = before;
  for (const v1::ProfileRow* of_class : ClassRowsOf(table, of_device)) {
    const bool touched =
        std::any_of(of_device.begin(), of_device.end(), [&](const v1::ProfileRow* row) {
          return row->updated_unix_seconds() >= since_seconds && IsOfClassRow(*row, *of_class);
        });
    if (!touched) {
      remain.push_back(*of_class);
      continue;
    }
    std::vector<const v1::ProfileRow*> boards = RowsOfBoards(table, *of_class, device_id);
    for (const v1::ProfileRow& row : before) {
      if (!IsOfAContendedRun(row) && IsOfClassRow(row, *of_class)) {
        boards.push_back(&row);
      }
    }
    if (!boards.empty()) {
      remain.push_back(ByBoards(boards, *of_class));
    }
  }
  return remain;
}

}  // namespace wattle::scheduler
