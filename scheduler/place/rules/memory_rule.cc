// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Compares the runner's estimated peak memory with the board's memory, and with that of a GPU with
// its own memory; on an idle real board also with the free memory. The free memory of a card is not
// queried, because that needs a context on it: the use by other programs counts as the probe found
// it, and a job that finds too little memory ends with the leaner form.
#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "scheduler/place/place.h"
#include "scheduler/place/rules/memory_rule_internal.h"
#include "scheduler/place/rules/rule.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

// Share of a memory that a runner may use. On a board the system and the agent use the rest; on a
// card the rest covers what the tensor plan ignores, such as holes between tensors.
constexpr double kUsableShare = 0.95;

// CUDA's context, cuBLAS and cuDNN (197, 281 and 412 MiB on a Jetson Nano,
// github.com/wang-xinyu/tensorrtx/issues/1145) and libtorch's kernels (380 MB,
// github.com/pytorch/pytorch/pull/86509). Published figures, for a board that was not probed.
constexpr int64_t kCudaBytes = 1280LL << 20;
// Part of the host's memory beside a card: measured on an H200 (docs/operate/performance.md).
constexpr int64_t kCudaBytesBesideCard = 303LL << 20;
// Factor above the measurement of `wattle-worker probe`: a job loads more kernels than the probe.
constexpr double kOverMeasuredCuda = 1.25;

enum class GpuMemory { kNone, kOfBoard, kOfCard, kNotKnown };

GpuMemory GpuMemoryOf(const v1::DeviceInfo& device) {
  if (device.accelerator() != "cuda") {
    return GpuMemory::kNone;
  }
  if (device.accelerator_total_bytes() > 0) {
    return device.accelerator_shares_memory() ? GpuMemory::kOfBoard : GpuMemory::kOfCard;
  }
  // An older worker, or an emulated board.
  return absl::StartsWith(device.device_class(), "jetson-") ? GpuMemory::kOfBoard
                                                            : GpuMemory::kNotKnown;
}

// Adds the memory that CUDA takes beside the tensors of a process. measured: the field with the
// measurement for this memory.
void AddCuda(const v1::DeviceInfo& device, int64_t (v1::MeasuredRates::*measured_bytes)() const,
             int64_t otherwise, MemoryNeed& need) {
  int64_t measured = 0;
  for (const v1::MeasuredRates& rates : device.rates()) {
    if (rates.accelerator() == device.accelerator()) {
      measured = std::max(measured, (rates.*measured_bytes)());
    }
  }
  need.assumed_bytes = measured > 0 ? 0 : otherwise;
  need.bytes += measured > 0
                    ? static_cast<int64_t>(kOverMeasuredCuda * static_cast<double>(measured))
                    : otherwise;
}

MemoryNeeds NeedsOfCores(const v1::DeviceInfo& device, int64_t bytes) {
  return {.host = {.bytes = bytes, .total_bytes = device.memory_bytes()}, .card = {}};
}

// The needs of the job where it would run.
MemoryNeeds NeedsHere(const DeviceEvaluation& on, const PeakMemory& peak) {
  const v1::DeviceInfo& device = on.device.device.info();
  return on.mode.on_cpu ? NeedsOfCores(device, peak.cores_bytes) : NeedsOn(device, peak);
}

// If there are several models, the one that would run here counts; without an estimate of its peak,
// the measured peak of its runs.
MemoryNeeds NeedsOfJob(const DeviceEvaluation& on) {
  if (on.job.models.empty()) {
    return NeedsHere(on, on.job.peak_memory);
  }
  for (const ModelView& model : on.job.models) {
    if (on.mode.model_choice.has_value() &&
        model.artifact.artifact_id() == on.mode.model_choice->artifact_id() &&
        model.peak_memory.cores_bytes > 0) {
      return NeedsHere(on, model.peak_memory);
    }
  }
  return NeedsOfCores(on.device.device.info(), on.prediction.peak_memory_bytes());
}

// The first leaner form whose needs pass; null if none does, or none is known.
template <typename Passes>
const LeanerForm* LeanerFormThat(const DeviceEvaluation& on, const Passes& passes) {
  if (!on.job.leaner_forms.has_value()) {
    return nullptr;
  }
  for (const LeanerForm& form : *on.job.leaner_forms) {
    if (passes(NeedsHere(on, form.peak_memory))) {
      return &form;
    }
  }
  return nullptr;
}

std::string WouldFitWith(const LeanerForm& form) {
  return absl::StrCat(", or would fit with ", form.change);
}

// The possible change by a person, to follow "needs 1.4 GiB more".
std::string ChangeThatFits(const DeviceEvaluation& on) {
  if (!on.job.leaner_forms.has_value()) {
    return "";
  }
  const auto fits = [](const MemoryNeeds& needs) { return needs.fit(); };
  if (const LeanerForm* const form = LeanerFormThat(on, fits); form != nullptr) {
    return WouldFitWith(*form);
  }
  return on.job.leaner_forms->empty() ? "; the job has no leaner form"
                                      : absl::StrCat("; it would not fit with ",
                                                     on.job.leaner_forms->back().change, " either");
}

// "needs 9.0 GiB of memory, 7.6 GiB of its 8.0 GiB are usable; needs 1.4 GiB more".
std::string TooLarge(const MemoryNeed& need, bool of_card) {
  const std::string assumed =
      need.assumed_bytes > 0
          ? absl::StrCat(" (", FormatBytes(need.assumed_bytes),
                         " of it assumed for CUDA until 'wattle-worker probe --rates' measures it)")
          : "";
  return absl::StrCat("needs ", FormatBytes(need.bytes), of_card ? " of its card's" : " of",
                      " memory", assumed, ", ", FormatBytes(need.usable_bytes()),
                      of_card ? " of the card's " : " of its ", FormatBytes(need.total_bytes),
                      " are usable; needs ", FormatBytes(need.bytes - need.usable_bytes()),
                      " more");
}

std::optional<Refusal> CheckMemory(const DeviceEvaluation& on) {
  const v1::Device& device = on.device.device;
  const MemoryNeeds needs = NeedsOfJob(on);
  if (!needs.fit()) {
    const bool of_card = !needs.card.fits();
    return Refuse(
        on,
        [&] {
          return absl::StrCat(TooLarge(of_card ? needs.card : needs.host, of_card),
                              ChangeThatFits(on));
        },
        true);
  }
  // Free memory counts only on an idle real board: an emulated board's memory is not the host's,
  // and a busy board will free memory.
  const int64_t available = device.heartbeat().memory_available_bytes();
  const int64_t needed = needs.host.bytes;
  if (device.info().memory_bytes() <= 0 || device.info().emulated() || on.start_in_seconds > 0 ||
      available <= 0 || needed <= available) {
    return std::nullopt;
  }
  const LeanerForm* const form = LeanerFormThat(on, [available](const MemoryNeeds& leaner) {
    return leaner.fit() && leaner.host.bytes <= available;
  });
  return Refuse(on, [&] {
    return absl::StrCat("needs ", FormatBytes(needed), ", only ", FormatBytes(available),
                        " are free now; feasible once other programs leave ",
                        FormatBytes(needed - available), " more",
                        form == nullptr ? "" : WouldFitWith(*form));
  });
}

}  // namespace

int64_t MemoryNeed::usable_bytes() const {
  return static_cast<int64_t>(static_cast<double>(total_bytes) * kUsableShare);
}

MemoryNeeds NeedsOn(const v1::DeviceInfo& device, const PeakMemory& peak) {
  const GpuMemory memory = GpuMemoryOf(device);
  MemoryNeeds needs = NeedsOfCores(device, peak.cores_bytes);
  if (peak.cores_bytes <= 0 || memory == GpuMemory::kNone || memory == GpuMemory::kNotKnown) {
    return needs;
  }
  if (memory == GpuMemory::kOfBoard) {
    if (peak.knows_gpu()) {
      needs.host.bytes = peak.gpu_bytes + peak.beside_gpu_bytes;
    }
    AddCuda(device, &v1::MeasuredRates::accelerator_memory_bytes, kCudaBytes, needs.host);
    return needs;
  }
  if (!peak.knows_gpu()) {
    return needs;
  }
  needs.host.bytes = peak.beside_gpu_bytes;
  if (peak.gpu_bytes > 0) {
    needs.card = {.bytes = peak.gpu_bytes, .total_bytes = device.accelerator_total_bytes()};
    AddCuda(device, &v1::MeasuredRates::card_memory_bytes, kCudaBytes, needs.card);
    AddCuda(device, &v1::MeasuredRates::accelerator_memory_bytes, kCudaBytesBesideCard, needs.host);
  }
  return needs;
}

int64_t PeakMemoryOn(const v1::DeviceInfo& device, const PeakMemory& peak) {
  return GpuMemoryOf(device) == GpuMemory::kOfCard
             ? std::max(peak.cores_bytes, NeedsOn(device, peak).host.bytes)
             : NeedsOn(device, peak).host.bytes;
}

bool FitsInMemory(const v1::DeviceInfo& device, const PeakMemory& peak) {
  return NeedsOn(device, peak).fit();
}

extern const Rule kMemoryRule = {"memory", RuleScope::kLoad, CheckMemory};

}  // namespace wattle::scheduler
