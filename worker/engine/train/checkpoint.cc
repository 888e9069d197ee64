// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/train/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "formats/safetensors.h"
#include "worker/engine/torch_operators.h"
#include "worker/engine/train/best_weights.h"
#include "worker/engine/train/checkpoint_counters.h"

namespace wattle::engine {
namespace {

namespace fs = std::filesystem;

constexpr char kDirectoryPrefix[] = "checkpoint-";
constexpr char kPartialSuffix[] = ".partial";
constexpr char kOptimizerFile[] = "optimizer.safetensors";
constexpr char kScalars[] = "mezo.scalars";
constexpr char kKeeps[] = "mezo.keeps";
constexpr char kVersionKey[] = "wattle.checkpoint_version";
// 2: the optimizer's state by the engine's names and in the engine's shapes.
constexpr char kVersion[] = "2";

std::string DirectoryOf(const std::string& work_directory, int64_t step) {
  return absl::StrFormat("%s/%s%010d", work_directory, kDirectoryPrefix, step);
}

std::string WeightsPath(const std::string& directory, const TrainingState& state) {
  return absl::StrCat(directory, "/",
                      state.adapters.has_value() ? kAdapterWeightsFile : models::kWeightsFile);
}

// Steps of the complete checkpoints, newest first.
std::vector<int64_t> StepsIn(const std::string& work_directory) {
  std::vector<int64_t> steps;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(work_directory, error)) {
    const std::string name = entry.path().filename().string();
    absl::string_view number = name;
    int64_t step = 0;
    if (absl::ConsumePrefix(&number, kDirectoryPrefix) && absl::SimpleAtoi(number, &step)) {
      steps.push_back(step);
    }
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

void RemovePartialOnes(const std::string& work_directory) {
  std::error_code error;
  std::vector<fs::path> partial;
  for (const fs::directory_entry& entry : fs::directory_iterator(work_directory, error)) {
    const std::string name = entry.path().filename().string();
    if (absl::StartsWith(name, kDirectoryPrefix) && absl::EndsWith(name, kPartialSuffix)) {
      partial.push_back(entry.path());
    }
  }
  for (const fs::path& path : partial) {
    fs::remove_all(path, error);  // anything left is removed next time
  }
}

// Crash tests kill the process at the operations of one file, or of any file of a checkpoint.
FileOperationObserver CheckpointObserver(const std::string& site) {
  return [own = CrashObserver(site), any = CrashObserver("checkpoint")](
             FileOperation operation, FileOperationMoment moment, const std::string& path) {
    own(operation, moment, path);
    any(operation, moment, path);
  };
}

// The rename that completes a checkpoint.
absl::Status Publish(const std::string& work_directory, const std::string& partial,
                     const std::string& path) {
  std::error_code error;
  fs::remove_all(path,
                 error);  // same step of a run resumed from an older checkpoint
  const FileOperationObserver observer = CheckpointObserver("directory");
  observer(FileOperation::kRename, FileOperationMoment::kBefore, path);
  WATTLE_RETURN_IF_ERROR(RenameFile(partial, path));
  observer(FileOperation::kRename, FileOperationMoment::kAfter, path);
  observer(FileOperation::kSyncDirectory, FileOperationMoment::kBefore, path);
  WATTLE_RETURN_IF_ERROR(SyncDirectory(work_directory));
  observer(FileOperation::kSyncDirectory, FileOperationMoment::kAfter, path);
  return absl::OkStatus();
}

formats::SafetensorsMetadata MetadataOf(const CheckpointIdentity& identity,
                                        const TrainingCounters& counters,
                                        const std::vector<MezoMove>& mezo_log) {
  formats::SafetensorsMetadata metadata = {
      {kVersionKey, kVersion}, {"job", identity.job}, {"build", identity.build}};
  if (!mezo_log.empty()) {
    metadata["mezo_seed"] = absl::StrCat(mezo_log.front().direction.seed);
  }
  AppendCounters(counters, metadata);
  return metadata;
}

// A tensor of the optimizer's state in the file: by the engine's name of the parameter.
struct StoredState {
  formats::TensorDescription description;
  at::Tensor values;  // the tensor of the state
};

// The numbers of training by forward passes; directions are numbered from 0.
StoredState StoredLog(const char* name, int64_t moves) {
  return {{.name = name, .type = formats::DataType::kF32, .shape = {moves}},
          at::empty({moves}, at::kFloat)};
}

std::vector<StoredState> StoredLogs(const std::vector<MezoMove>& log) {
  if (log.empty()) {
    return {};
  }
  const auto moves = static_cast<int64_t>(log.size());
  StoredState scalars = StoredLog(kScalars, moves);
  StoredState keeps = StoredLog(kKeeps, moves);
  for (size_t i = 0; i < log.size(); ++i) {
    scalars.values.data_ptr<float>()[i] = log[i].scalar;
    keeps.values.data_ptr<float>()[i] = log[i].keep;
  }
  return {std::move(scalars), std::move(keeps)};
}

std::vector<StoredState> StoredStates(const TrainingState& state) {
  std::vector<StoredState> stored;
  const std::vector<Parameter>& parameters = state.trained().parameters;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!state.layout.holds(i)) {
      continue;
    }
    const models::ModelTensor& tensor = parameters[i].tensor;
    const std::vector<models::OptimizerTensor> kept =
        models::OptimizerTensors(state.optimizer.optimizer, tensor.shape);
    for (size_t k = 0; k < kept.size(); ++k) {
      stored.push_back(
          {{.name = absl::StrCat(tensor.name, ".", kept[k].name),
            .type = kept[k].in_bytes ? formats::DataType::kU8 : formats::DataType::kF32,
            .shape = kept[k].shape},
           state.optimizer.tensors[i][k]});
    }
  }
  return stored;
}

absl::Status WriteState(const std::string& path, const formats::SafetensorsMetadata& metadata,
                        const TrainingState& state) {
  std::vector<StoredState> stored = StoredStates(state);
  for (StoredState& log : StoredLogs(state.mezo_log)) {
    stored.push_back(std::move(log));
  }
  std::vector<formats::TensorDescription> tensors;
  tensors.reserve(stored.size());
  for (const StoredState& kept : stored) {
    tensors.push_back(kept.description);
  }
  WATTLE_ASSIGN_OR_RETURN(
      auto writer,
      formats::SafetensorsWriter::Create(path, tensors, metadata, CheckpointObserver("optimizer")));
  for (const StoredState& kept : stored) {
    const at::Tensor host = kept.values.to(at::kCPU);
    WATTLE_RETURN_IF_ERROR(
        writer.Write(kept.description.name,
                     absl::MakeConstSpan(static_cast<const std::byte*>(host.data_ptr()),
                                         static_cast<size_t>(kept.description.size_bytes()))));
  }
  return writer.Commit();
}

absl::Status ReadStored(const formats::SafetensorsFile& file, const StoredState& wanted) {
  const formats::TensorEntry* stored = file.Find(wanted.description.name);
  if (stored == nullptr || stored->shape != wanted.description.shape ||
      stored->type != wanted.description.type) {
    return absl::DataLossError(absl::StrCat(file.path(), ": tensor ", wanted.description.name,
                                            " is missing or of another shape"));
  }
  at::Tensor host = at::empty(stored->shape, wanted.values.scalar_type());
  WATTLE_RETURN_IF_ERROR(
      file.Read(*stored, absl::MakeSpan(static_cast<std::byte*>(host.data_ptr()),
                                        static_cast<size_t>(stored->size_bytes()))));
  wanted.values.copy_(host);
  return absl::OkStatus();
}

absl::Status ReadState(const formats::SafetensorsFile& file, const TrainingState& state) {
  for (const StoredState& wanted : StoredStates(state)) {
    WATTLE_RETURN_IF_ERROR(ReadStored(file, wanted));
  }
  return absl::OkStatus();
}

// Empty for a run with a backward pass.
absl::StatusOr<std::vector<MezoMove>> ReadLog(const formats::SafetensorsFile& file) {
  std::vector<MezoMove> log;
  const formats::TensorEntry* stored = file.Find(kScalars);
  if (stored == nullptr) {
    return log;
  }
  MetadataReader reader(file.path(), file.metadata());
  uint64_t seed = 0;
  reader.Read("mezo_seed", seed);
  WATTLE_RETURN_IF_ERROR(reader.status());
  const int64_t moves = stored->shape.empty() ? 0 : stored->shape[0];
  const StoredState scalars = StoredLog(kScalars, moves);
  const StoredState keeps = StoredLog(kKeeps, moves);
  WATTLE_RETURN_IF_ERROR(ReadStored(file, scalars));
  WATTLE_RETURN_IF_ERROR(ReadStored(file, keeps));
  for (int64_t i = 0; i < moves; ++i) {
    log.push_back({.direction = {.seed = seed, .number = static_cast<uint64_t>(i)},
                   .scalar = scalars.values.data_ptr<float>()[i],
                   .keep = keeps.values.data_ptr<float>()[i]});
  }
  return log;
}

// Calls body(stored values, their place in the state) for each trained tensor, one after the other.
template <typename Body>
absl::Status ForEachStoredWeight(const std::string& directory, const TrainingState& state,
                                 Body body) {
  const TrainedValues trained = state.trained();
  for (size_t i = 0; i < trained.parameters.size(); ++i) {
    at::Tensor place = trained.values[i];
    if (!place.defined()) {
      continue;
    }
    std::vector<at::Tensor> alone(trained.parameters.size());
    alone[i] = at::zeros(place.sizes(), place.scalar_type());
    WATTLE_RETURN_IF_ERROR(
        ReadValues(WeightsPath(directory, state), trained.files, trained.parameters, alone));
    body(alone[i], place);
  }
  return absl::OkStatus();
}

absl::Status RestoreFrom(const std::string& directory, const CheckpointIdentity& identity,
                         TrainingState& state, RestoredCheckpoint& restored) {
  const std::string path = absl::StrCat(directory, "/", kOptimizerFile);
  WATTLE_ASSIGN_OR_RETURN(const auto file, formats::SafetensorsFile::Open(path));
  MetadataReader reader(path, file.metadata());
  if (reader.Text(kVersionKey) != kVersion || !file.has_checksums()) {
    return absl::DataLossError(absl::StrCat(path, ": written by another version of wattle"));
  }
  const std::string job = reader.Text("job");
  if (reader.status().ok() && job != identity.job) {
    return absl::FailedPreconditionError(
        absl::StrCat(directory, ": is a checkpoint of another job (", job, "), this one is (",
                     identity.job, "); use another work directory"));
  }
  WATTLE_ASSIGN_OR_RETURN(
      const TrainingCounters counters,
      ReadCounters(path, file.metadata(), state.counters.loss_scale.has_value()));
  if (static_cast<int64_t>(counters.losses.size()) != counters.work.steps) {
    return absl::DataLossError(absl::StrCat(path, ": wants a loss for each step"));
  }
  WATTLE_ASSIGN_OR_RETURN(std::vector<MezoMove> mezo_log, ReadLog(file));
  WATTLE_RETURN_IF_ERROR(ForEachStoredWeight(directory, state, [](const auto&, const auto&) {}));
  if (counters.heldout_best.has_value()) {
    WATTLE_RETURN_IF_ERROR(
        PassBestWeightsOn(directory, fs::path(directory).parent_path().string()));
  }
  // A checkpoint that cannot be read leaves the state unchanged, for the next older one or a start
  // from step 0: the optimizer's state of a run that has not begun is zeros, and zeroing it needs
  // no extra memory; weights and counters change only after the whole checkpoint was read. The
  // weights are therefore read twice, first for their checksums, so that a second model is never in
  // memory.
  const absl::Status read = ReadState(file, state);
  if (!read.ok()) {
    state.optimizer.region.zero_();
    return read;
  }
  const absl::Status placed = ForEachStoredWeight(
      directory, state, [](const at::Tensor& values, at::Tensor& place) { place.copy_(values); });
  if (!placed.ok()) {
    return absl::AbortedError(
        absl::StrCat("a checkpoint that was just read cannot be read again: ", placed.message()));
  }
  state.counters = counters;
  state.mezo_log = std::move(mezo_log);
  restored.step = counters.work.steps;
  restored.same_build = reader.Text("build") == identity.build;
  return absl::OkStatus();
}

// Bytes of weights and the optimizer's state, excluding headers.
int64_t CheckpointBytes(const TrainingState& state) {
  int64_t size = state.optimizer.region.numel();
  for (const at::Tensor& values : state.trained().values) {
    size += values.defined() ? static_cast<int64_t>(values.nbytes()) : 0;
  }
  return size;
}

// Removes older checkpoints to make room, but keeps the newest. kResourceExhausted: even that is
// not enough.
absl::Status MakeRoom(const std::string& work_directory, int64_t wanted_bytes,
                      int64_t reserve_bytes) {
  WATTLE_RETURN_IF_ERROR(MakeDirectories(work_directory));
  const std::vector<int64_t> steps = StepsIn(work_directory);
  for (size_t kept = std::max<size_t>(steps.size(), 1);; --kept) {
    std::error_code error;
    const fs::space_info space = fs::space(work_directory, error);
    if (error || static_cast<int64_t>(space.available) >= wanted_bytes + reserve_bytes) {
      return absl::OkStatus();
    }
    if (kept <= 1) {
      return absl::ResourceExhaustedError(absl::StrCat(
          work_directory, ": a checkpoint of ", wanted_bytes, " bytes and the ", reserve_bytes,
          " kept free do not fit into ", space.available, " free; free space on this disk"));
    }
    fs::remove_all(DirectoryOf(work_directory, steps[kept - 1]), error);
  }
}

// Writes the files of a checkpoint into a directory of their own, each synced.
absl::Status WriteFiles(const std::string& work_directory, const std::string& directory,
                        const CheckpointIdentity& identity, const TrainingState& state) {
  std::error_code error;
  fs::remove_all(directory, error);
  WATTLE_RETURN_IF_ERROR(MakeDirectories(directory));
  const TrainedValues trained = state.trained();
  WATTLE_RETURN_IF_ERROR(WriteValues(WeightsPath(directory, state), trained.files,
                                     trained.parameters, trained.values,
                                     CheckpointObserver("weights")));
  if (state.counters.heldout_best.has_value()) {
    WATTLE_RETURN_IF_ERROR(PassBestWeightsOn(work_directory, directory));
  }
  return WriteState(absl::StrCat(directory, "/", kOptimizerFile),
                    MetadataOf(identity, state.counters, state.mezo_log), state);
}

int64_t SizeBytesOf(const std::string& directory) {
  int64_t total = 0;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    const auto size = entry.file_size(error);
    total += error ? 0 : static_cast<int64_t>(size);
  }
  return total;
}

}  // namespace

absl::StatusOr<CheckpointReport> WriteCheckpoint(const std::string& work_directory,
                                                 const CheckpointIdentity& identity,
                                                 const TrainingState& state,
                                                 int64_t free_space_reserve_bytes) {
  const Monotonic start = Clock::Real().Boottime();
  const int64_t step = state.counters.work.steps;
  const std::string path = DirectoryOf(work_directory, step);
  WATTLE_RETURN_IF_ERROR(
      MakeRoom(work_directory, CheckpointBytes(state), free_space_reserve_bytes));
  const std::string partial = path + kPartialSuffix;
  const absl::Status written = WriteFiles(work_directory, partial, identity, state);
  std::error_code error;
  if (!written.ok()) {
    fs::remove_all(partial, error);  // half a checkpoint only wastes space
    return written;
  }
  WATTLE_RETURN_IF_ERROR(Publish(work_directory, partial, path));
  const std::vector<int64_t> steps = StepsIn(work_directory);
  for (size_t i = kCheckpointsKept; i < steps.size(); ++i) {
    fs::remove_all(DirectoryOf(work_directory, steps[i]), error);  // one too many is harmless
  }
  return CheckpointReport{
      .step = step, .time = Clock::Real().Boottime() - start, .size_bytes = SizeBytesOf(path)};
}

int64_t RemoveCheckpoint(const std::string& work_directory, int64_t step) {
  std::error_code error;
  fs::remove_all(DirectoryOf(work_directory, step), error);
  const std::vector<int64_t> steps = StepsIn(work_directory);
  return steps.empty() ? 0 : steps.front();
}

absl::StatusOr<RestoredCheckpoint> RestoreNewestCheckpoint(const std::string& work_directory,
                                                           const CheckpointIdentity& identity,
                                                           TrainingState& state) {
  RemovePartialOnes(work_directory);
  RestoredCheckpoint restored;
  for (const int64_t step : StepsIn(work_directory)) {
    const absl::Status status =
        RestoreFrom(DirectoryOf(work_directory, step), identity, state, restored);
    if (status.ok()) {
      return restored;
    }
    if (absl::IsFailedPrecondition(status) || absl::IsAborted(status)) {
      return status;
    }
    restored.skipped.push_back(std::string(status.message()));
  }
  return restored;
}

}  // namespace wattle::engine
