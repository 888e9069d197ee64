// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/checkpoint_counters.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace wattle::engine {
namespace {

constexpr char kNumericallyContinued[] = "numerically_continued";  // only written if true

// 17 digits keep every bit of a double.
std::string Exact(double value) {
  return absl::StrFormat("%.17g", value);
}
void AppendExact(std::string* out, double value) {
  out->append(Exact(value));
}

}  // namespace

void AppendCounters(const TrainingCounters& counters, formats::SafetensorsMetadata& metadata) {
  metadata["position"] = absl::StrCat(counters.position);
  metadata["random_counter"] = absl::StrCat(counters.random_counter);
  metadata["steps"] = absl::StrCat(counters.work.steps);
  metadata["examples"] = absl::StrCat(counters.work.examples);
  metadata["tokens"] = absl::StrCat(counters.work.tokens);
  metadata["real_tokens"] = absl::StrCat(counters.work.real_tokens);
  metadata["losses"] = absl::StrJoin(counters.losses, ",", AppendExact);
  metadata["heldout_last_step"] = absl::StrCat(counters.heldout_last_step);
  if (counters.heldout_before.has_value()) {
    metadata["heldout_before"] = Exact(*counters.heldout_before);
  }
  if (counters.heldout_last.has_value()) {
    metadata["heldout_last"] = Exact(*counters.heldout_last);
  }
  if (counters.heldout_best.has_value()) {
    metadata["heldout_best"] = Exact(*counters.heldout_best);
    metadata["heldout_best_step"] = absl::StrCat(counters.heldout_best_step);
    metadata["evaluations_without_gain"] = absl::StrCat(counters.evaluations_without_gain);
  }
  if (counters.loss_scale.has_value()) {
    metadata["loss_scale"] = Exact(counters.loss_scale->scale);
    metadata["loss_scale_good_steps"] = absl::StrCat(counters.loss_scale->good_steps);
    metadata["skipped_steps"] = absl::StrCat(counters.loss_scale->skipped_steps);
  }
  if (counters.numerically_continued) {
    metadata[kNumericallyContinued] = "true";
  }
}

absl::StatusOr<TrainingCounters> ReadCounters(const std::string& path,
                                              const formats::SafetensorsMetadata& metadata,
                                              bool has_loss_scale) {
  MetadataReader reader(path, metadata);
  TrainingCounters counters;
  reader.Read("position", counters.position);
  reader.Read("random_counter", counters.random_counter);
  reader.Read("steps", counters.work.steps);
  reader.Read("examples", counters.work.examples);
  reader.Read("tokens", counters.work.tokens);
  reader.Read("real_tokens", counters.work.real_tokens);
  reader.Read("losses", counters.losses);
  reader.Read("heldout_last_step", counters.heldout_last_step);
  reader.Read("heldout_before", counters.heldout_before);
  reader.Read("heldout_last", counters.heldout_last);
  reader.Read("heldout_best", counters.heldout_best);
  if (counters.heldout_best.has_value()) {
    reader.Read("heldout_best_step", counters.heldout_best_step);
    reader.Read("evaluations_without_gain", counters.evaluations_without_gain);
  }
  if (has_loss_scale) {
    LossScale& loss_scale = counters.loss_scale.emplace();
    reader.Read("loss_scale", loss_scale.scale);
    reader.Read("loss_scale_good_steps", loss_scale.good_steps);
    reader.Read("skipped_steps", loss_scale.skipped_steps);
  }
  counters.numerically_continued = metadata.count(kNumericallyContinued) != 0;
  if (!reader.status().ok()) {
    return reader.status();
  }
  return counters;
}

std::string MetadataReader::Text(const std::string& key) {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) {
    Fail(key);
    return "";
  }
  return found->second;
}

void MetadataReader::Read(const std::string& key, int64_t& number) {
  if (!absl::SimpleAtoi(Text(key), &number)) {
    Fail(key);
  }
}

void MetadataReader::Read(const std::string& key, uint64_t& number) {
  if (!absl::SimpleAtoi(Text(key), &number)) {
    Fail(key);
  }
}

void MetadataReader::Read(const std::string& key, double& number) {
  if (!absl::SimpleAtod(Text(key), &number)) {
    Fail(key);
  }
}

void MetadataReader::Read(const std::string& key, std::optional<double>& number) {
  if (metadata_.count(key) != 0) {
    Read(key, number.emplace());
  }
}

void MetadataReader::Read(const std::string& key, std::vector<double>& numbers) {
  for (const absl::string_view text : absl::StrSplit(Text(key), ',', absl::SkipEmpty())) {
    if (!absl::SimpleAtod(text, &numbers.emplace_back())) {
      Fail(key);
    }
  }
}

void MetadataReader::Fail(const std::string& key) {
  status_ = absl::DataLossError(absl::StrCat(path_, ": \"", key, "\" is missing or no number"));
}

}  // namespace wattle::engine
