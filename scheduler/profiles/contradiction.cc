// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/contradiction.h"

#include <cmath>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/match.h"

#include "scheduler/profiles/run_interval.h"

namespace wattle::scheduler {
namespace {

// The rows of one workload, batch, length and mode, one for each board of a class.
using Siblings = std::vector<const v1::ProfileRow*>;

std::map<std::string, Siblings> SiblingsOf(const ProfileTable::ClassRows& rows) {
  std::map<std::string, Siblings> siblings;
  for (const auto& [key, row] : rows) {
    if (row.source() == v1::PROFILE_SOURCE_MEASURED && !row.device_id().empty() &&
        !IsOutdated(row)) {
      v1::ProfileRow of_class = row;
      of_class.clear_device_id();
      siblings[ProfileKey(of_class)].push_back(&row);
    }
  }
  return siblings;
}

int64_t CountOf(const v1::ProfileRow& row, Quantity quantity) {
  return quantity == Quantity::kTime ? row.seconds_per_unit().count()
                                     : row.energy_joules_per_unit().count();
}

// The contradiction between the two rows if they differ by more than their intervals and their
// class allow.
std::optional<Contradiction> Between(const v1::ProfileRow& row, const v1::ProfileRow& other,
                                     Quantity quantity, const Calibration& calibration) {
  if (CountOf(row, quantity) < 2 || CountOf(other, quantity) < 2) {
    return std::nullopt;
  }
  const auto a = RunInterval(row, quantity, calibration, row.device_id());
  const auto b = RunInterval(other, quantity, calibration, other.device_id());
  if (!a.has_value() || !b.has_value()) {
    return std::nullopt;
  }
  const double ratio = a->mean() / b->mean();
  const double allowed = std::log(a->high() / a->mean()) + std::log(b->high() / b->mean()) +
                         kInterval90 * kClassDeviation;
  if (std::abs(std::log(ratio)) <= allowed) {
    return std::nullopt;
  }
  return Contradiction{row, other, quantity, ratio, std::exp(allowed)};
}

// The contradiction of a board with its siblings in this row, if it is the odd one.
std::optional<Contradiction> OddOne(const v1::ProfileRow& row, const Siblings& siblings,
                                    Quantity quantity, const Calibration& calibration) {
  std::optional<Contradiction> nearest;
  size_t contradicted = 0;
  for (const v1::ProfileRow* other : siblings) {
    const auto found = other == &row ? std::nullopt : Between(row, *other, quantity, calibration);
    if (found.has_value()) {
      ++contradicted;
      if (!nearest.has_value() ||
          std::abs(std::log(found->ratio)) < std::abs(std::log(nearest->ratio))) {
        nearest = found;
      }
    }
  }
  const bool odd = siblings.size() == 2 ? nearest.has_value() && nearest->ratio > 1
                                        : 2 * contradicted > siblings.size() - 1;
  return odd ? nearest : std::nullopt;
}

double Excess(const Contradiction& found) {
  return std::abs(std::log(found.ratio)) - std::log(found.allowed_ratio);
}

}  // namespace

std::vector<Contradiction> FindContradictions(const ProfileTable& table) {
  std::vector<Contradiction> all;
  for (const auto& [device_class, rows] : table.by_class()) {
    if (absl::StartsWith(device_class, "generic-")) {
      continue;
    }
    std::map<std::string, Contradiction> worst;  // Keyed by device.
    for (const auto& [key, siblings] : SiblingsOf(rows)) {
      for (const v1::ProfileRow* row : siblings) {
        for (const Quantity quantity : {Quantity::kTime, Quantity::kEnergy}) {
          const auto found = OddOne(*row, siblings, quantity, table.calibration());
          if (!found.has_value()) {
            continue;
          }
          const auto [at, is_new] = worst.emplace(row->device_id(), *found);
          if (!is_new && Excess(*found) > Excess(at->second)) {
            at->second = *found;
          }
        }
      }
    }
    for (auto& [device_id, found] : worst) {
      all.push_back(std::move(found));
    }
  }
  return all;
}

}  // namespace wattle::scheduler
