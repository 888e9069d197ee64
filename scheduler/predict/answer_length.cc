// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/predict/answer_length.h"

#include <algorithm>
#include <cmath>

#include "scheduler/profiles/profile_table.h"
#include "scheduler/profiles/signature_fields.h"

namespace wattle::scheduler {
namespace {

// Other prompts have answers of another length. An assumption.
constexpr double kOtherPromptsDeviation = 0.25;

// Tokens for each text that ended by itself (scheduler/profiles/learn.cc); 0: no run tells it.
double TokensPerEnd(const ProfileTable& table, const v1::ModelShape& model) {
  v1::WorkloadSignature of_model;
  *of_model.mutable_model() = model;
  double ends = 0;  // For each token.
  double runs = 0;
  for (const auto& [device_class, rows] : table.by_class()) {
    for (const auto& [key, row] : rows) {
      if (row.unit() == v1::WORK_UNIT_GENERATED_TOKEN && row.device_id().empty() &&
          row.source() == v1::PROFILE_SOURCE_MEASURED && row.units_per_example() > 0 &&
          SameIn(SignaturePart::kModel, row.signature(), of_model)) {
        const auto count = static_cast<double>(row.seconds_per_unit().count());
        ends += count / row.units_per_example();
        runs += count;
      }
    }
  }
  return ends > 0 ? runs / ends : 0;
}

}  // namespace

AnswerLength ExpectedAnswerLength(const ProfileTable& table, const v1::ModelShape& model,
                                  double prompts, double most) {
  const double length = TokensPerEnd(table, model);
  if (length <= 0) {
    return {most, 0};
  }
  // Cut texts of one length have the shorter of both as their mean; texts that may end at each
  // token alike have less. Answers of models are between the two.
  const double alike = length * -std::expm1(-most / length);
  return {(alike + std::min(length, most)) / 2,
          std::hypot(kOtherPromptsDeviation, 1 / std::sqrt(std::max(1.0, prompts)))};
}

}  // namespace wattle::scheduler
