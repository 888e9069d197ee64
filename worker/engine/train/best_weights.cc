// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/best_weights.h"

#include <filesystem>
#include <fstream>
#include <limits>
#include <system_error>

#include "absl/strings/str_cat.h"

#include "base/crash_point.h"
#include "base/durable_file.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/engine/models/model_files.h"

namespace wattle::engine {
namespace {

namespace fs = std::filesystem;

std::string PathIn(const std::string& directory) {
  return absl::StrCat(directory, "/", kBestWeightsFile);
}

// For disks without hard links.
absl::Status CopyDurably(const std::string& from, const std::string& to) {
  constexpr size_t kChunkBytes = 1 << 20;
  std::ifstream in(from, std::ios::binary);
  if (!in) {
    return absl::DataLossError(absl::StrCat(from, ": cannot be read"));
  }
  WATTLE_ASSIGN_OR_RETURN(DurableFile out, DurableFile::Create(to));
  std::string chunk(kChunkBytes, '\0');
  while (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || in.gcount() > 0) {
    WATTLE_RETURN_IF_ERROR(
        out.Append(absl::string_view(chunk).substr(0, static_cast<size_t>(in.gcount()))));
  }
  return out.Commit();
}

}  // namespace

absl::Status NoteHeldoutLoss(const std::string& work_directory, double loss, TrainingState& state) {
  TrainingCounters& counters = state.counters;
  // A NaN loss is no improvement.
  if (!(loss < counters.heldout_best.value_or(std::numeric_limits<double>::infinity()))) {
    ++counters.evaluations_without_gain;
    return absl::OkStatus();
  }
  WATTLE_RETURN_IF_ERROR(MakeDirectories(work_directory));
  const TrainedValues trained = state.trained();
  WATTLE_RETURN_IF_ERROR(WriteValues(PathIn(work_directory), trained.files, trained.parameters,
                                     trained.values, CrashObserver("best")));
  counters.heldout_best = loss;
  counters.heldout_best_step = counters.work.steps;
  counters.evaluations_without_gain = 0;
  return absl::OkStatus();
}

absl::Status PassBestWeightsOn(const std::string& from_directory, const std::string& to_directory) {
  const std::string from = PathIn(from_directory);
  const std::string to = PathIn(to_directory);
  std::error_code error;
  fs::remove(to, error);
  fs::create_hard_link(from, to, error);
  return error ? CopyDurably(from, to) : SyncDirectory(to_directory);
}

absl::Status TakeBestWeights(const std::string& work_directory, const TrainingState& state) {
  const TrainedValues trained = state.trained();
  return ReadValues(PathIn(work_directory), trained.files, trained.parameters, trained.values);
}

}  // namespace wattle::engine
