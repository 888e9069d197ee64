// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/answer_length.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/profiles/class_row.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/profiles/row_means.h"
#include "scheduler/profiles/signature_fields.h"

namespace wattle::scheduler {
namespace {

// Deviation of the answer's length between sets of prompts. An assumption.
constexpr double kOtherPromptsDeviation = 0.25;

// Tokens for each text that ended by itself (scheduler/profiles/learn.cc).
class EndsSeen {
 public:
  void Add(double tokens_per_end, double runs) {
    ends_ += runs / tokens_per_end;  // For each token.
    runs_ += runs;
  }
  void Add(const EndsSeen& more) {
    ends_ += more.ends_;
    runs_ += more.runs_;
  }
  [[nodiscard]] double TokensPerEnd() const { return ends_ > 0 ? runs_ / ends_ : 0; }

 private:
  double ends_ = 0;
  double runs_ = 0;
};

// Keyed by device. The rows of classes have the empty name.
using EndsByDevice = std::map<std::string, EndsSeen>;

// From the devices' rows. If no device's row has ends, from the rows of classes, which stay when a
// device is removed. 0: no run has ends.
double TokensPerEnd(const EndsByDevice& seen) {
  EndsSeen of_classes;
  EndsSeen of_devices;
  std::vector<double> by_device;
  for (const auto& [device_id, ends] : seen) {
    (device_id.empty() ? of_classes : of_devices).Add(ends);
    if (!device_id.empty()) {
      by_device.push_back(ends.TokensPerEnd());
    }
  }
  if (by_device.size() >= kBoardsWithAMiddle) {
    return MiddleOf(std::move(by_device));
  }
  return by_device.empty() ? of_classes.TokensPerEnd() : of_devices.TokensPerEnd();
}

// From this model's runs if it generated something, else from those of the models of its shape; 0:
// no run has ends.
double TokensPerEnd(const ProfileTable& table, const AnsweringModel& model) {
  v1::WorkloadSignature of_model;
  *of_model.mutable_model() = model.shape;
  EndsByDevice own;
  EndsByDevice alike;
  for (const auto& [device_class, rows] : table.by_class()) {
    for (const auto& [key, row] : rows) {
      if (row.unit() != v1::WORK_UNIT_GENERATED_TOKEN ||
          row.source() != v1::PROFILE_SOURCE_MEASURED || row.units_per_example() <= 0 ||
          !SameIn(SignaturePart::kModel, row.signature(), of_model)) {
        continue;
      }
      alike[row.device_id()].Add(row.units_per_example(),
                                 static_cast<double>(row.seconds_per_unit().count()));
      for (const v1::AnswerLengths& of : row.answer_lengths()) {
        if (of.model_artifact_id() == model.artifact_id) {
          own[row.device_id()].Add(of.tokens_per_end(), static_cast<double>(of.runs()));
        }
      }
    }
  }
  return own.empty() ? TokensPerEnd(alike) : TokensPerEnd(own);
}

}  // namespace

AnswerLength ExpectedAnswerLength(const ProfileTable& table, const AnsweringModel& model,
                                  double prompts, double most) {
  const double length = TokensPerEnd(table, model);
  if (length <= 0) {
    return {most, 0};
  }
  // If all texts had one length, the mean of the cut texts would be the shorter of both lengths;
  // texts with an equal chance to end at each token have a smaller mean. Real answers lie between
  // the two.
  const double alike = length * -std::expm1(-most / length);
  return {(alike + std::min(length, most)) / 2,
          std::hypot(kOtherPromptsDeviation, 1 / std::sqrt(std::max(1.0, prompts)))};
}

}  // namespace wattle::scheduler
