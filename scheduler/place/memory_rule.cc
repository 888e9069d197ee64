// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Compares the runner's estimated peak memory with the board's memory, and on an idle real board
// with the free memory.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "scheduler/place/memory_rule_internal.h"
#include "scheduler/place/place.h"
#include "scheduler/place/rule.h"
#include "units/format.h"

namespace wattle::scheduler {
namespace {

// The share of the memory that a runner may use. The system and the agent use the rest.
constexpr double kUsableShare = 0.95;

// CUDA's context, cuBLAS and cuDNN (197, 281 and 412 MiB on a Jetson Nano,
// github.com/wang-xinyu/tensorrtx/issues/1145) and libtorch's kernels (380 MB,
// github.com/pytorch/pytorch/pull/86509). Published figures, for a board that was not probed.
constexpr int64_t kCudaBytes = 1280LL << 20;
// Over what `wattle-worker probe` measured: a job loads further kernels than the probe.
constexpr double kOverMeasuredCuda = 1.25;

// The CPU and the GPU of a Jetson share their memory. The context on a card lies in the card's.
bool CudaTakesBoardMemory(const v1::DeviceInfo& device) {
  return device.accelerator() == "cuda" && absl::StartsWith(device.device_class(), "jetson-");
}

// What a process's use of the GPU takes beside its tensors.
int64_t CudaBytes(const v1::DeviceInfo& device) {
  int64_t measured = 0;
  for (const v1::MeasuredRates& rates : device.rates()) {
    if (rates.accelerator() == device.accelerator()) {
      measured = std::max(measured, rates.accelerator_memory_bytes());
    }
  }
  return measured > 0 ? static_cast<int64_t>(kOverMeasuredCuda * static_cast<double>(measured))
                      : kCudaBytes;
}

// The job on the device: its cores take no memory for the accelerator.
int64_t PeakMemoryHere(const Consideration& on, int64_t peak_memory_bytes) {
  return on.mode.on_cpu ? peak_memory_bytes
                        : PeakMemoryOn(on.device.device.info(), peak_memory_bytes);
}

// The first leaner form that takes at most `limit`; null: none does, or none is known.
const LeanerForm* LeanerFormThatFits(const Consideration& on, int64_t limit) {
  if (!on.job.leaner_forms.has_value()) {
    return nullptr;
  }
  for (const LeanerForm& form : *on.job.leaner_forms) {
    if (PeakMemoryHere(on, form.peak_memory_bytes) <= limit) {
      return &form;
    }
  }
  return nullptr;
}

std::string WouldFitWith(const LeanerForm& form) {
  return absl::StrCat(", or would fit with ", form.change);
}

// What a person can change, behind "needs 1.4 GiB more".
std::string ChangeThatFits(const Consideration& on, int64_t limit) {
  if (!on.job.leaner_forms.has_value()) {
    return "";
  }
  if (const LeanerForm* const form = LeanerFormThatFits(on, limit); form != nullptr) {
    return WouldFitWith(*form);
  }
  return on.job.leaner_forms->empty() ? "; the job has no leaner form"
                                      : absl::StrCat("; it would not fit with ",
                                                     on.job.leaner_forms->back().change, " either");
}

std::optional<Refusal> CheckMemory(const Consideration& on) {
  const v1::Device& device = on.device.device;
  // Of several models the one that would run here counts.
  const int64_t needed = on.job.models.empty() ? PeakMemoryHere(on, on.job.peak_memory_bytes)
                                               : on.prediction.peak_memory_bytes();
  const int64_t usable = UsableMemoryBytes(device.info());
  if (needed <= 0 || device.info().memory_bytes() <= 0) {
    return std::nullopt;
  }
  if (needed > usable) {
    return Refuse(
        on,
        [&] {
          return absl::StrCat("needs ", FormatBytes(needed), " of memory, ", FormatBytes(usable),
                              " of its ", FormatBytes(device.info().memory_bytes()),
                              " are usable; needs ", FormatBytes(needed - usable), " more",
                              ChangeThatFits(on, usable));
        },
        true);
  }
  // Free memory counts only on an idle real board: an emulated board's memory is not the host's,
  // and a busy board will free memory.
  const int64_t available = device.heartbeat().memory_available_bytes();
  if (device.info().emulated() || on.start_in_seconds > 0 || available <= 0 ||
      needed <= available) {
    return std::nullopt;
  }
  const LeanerForm* const form = LeanerFormThatFits(on, available);
  return Refuse(on, [&] {
    return absl::StrCat("needs ", FormatBytes(needed), ", only ", FormatBytes(available),
                        " are free now; feasible once other programs leave ",
                        FormatBytes(needed - available), " more",
                        form == nullptr ? "" : WouldFitWith(*form));
  });
}

}  // namespace

int64_t PeakMemoryOn(const v1::DeviceInfo& device, int64_t peak_memory_bytes) {
  return peak_memory_bytes > 0 && CudaTakesBoardMemory(device)
             ? peak_memory_bytes + CudaBytes(device)
             : peak_memory_bytes;
}

bool FitsInMemory(const v1::DeviceInfo& device, int64_t peak_memory_bytes) {
  return device.memory_bytes() <= 0 ||
         PeakMemoryOn(device, peak_memory_bytes) <= UsableMemoryBytes(device);
}

int64_t UsableMemoryBytes(const v1::DeviceInfo& device) {
  return static_cast<int64_t>(static_cast<double>(device.memory_bytes()) * kUsableShare);
}

extern const Rule kMemoryRule = {"memory", RuleScope::kLoad, CheckMemory};

}  // namespace wattle::scheduler
