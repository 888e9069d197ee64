// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Rules about the device and its present state.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

#include "policy/guard_reason.h"
#include "proto/job_kind.h"
#include "proto/spec_revision.h"
#include "scheduler/place/rules/given_label.h"
#include "scheduler/place/rules/rule.h"
#include "scheduler/place/rules/selector.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::scheduler {
namespace {

// A worker without a runner cannot run jobs.
std::optional<Refusal> CheckEngine(const DeviceEvaluation& on) {
  if (!on.device.device.info().engine_version().empty()) {
    return std::nullopt;
  }
  return Refuse(
      on, [&] { return "has no engine; install wattle-runner beside its worker"; }, true);
}

// An older worker ignores unknown parts of a job, and would run another one.
std::optional<Refusal> CheckWorkerVersion(const DeviceEvaluation& on) {
  const v1::DeviceInfo& device = on.device.device.info();
  std::string unknown = UnknownToWorker(on.job.spec, device.spec_revision());
  if (on.job.profile_point.has_value() && unknown.empty()) {
    v1::JobSpec profile;
    profile.mutable_profile();
    unknown = UnknownToWorker(profile, device.spec_revision());
  }
  for (const InputView& input : on.job.inputs) {
    if (unknown.empty()) {
      unknown = UnknownToWorker(input.artifact, device.spec_revision());
    }
  }
  if (unknown.empty()) {
    return std::nullopt;
  }
  const std::string version =
      device.worker_version().empty() ? "" : absl::StrCat(" ", device.worker_version());
  return Refuse(
      on,
      [&] {
        return absl::StrCat("its worker", version, " is too old to know ", unknown,
                            "; feasible once the worker is updated, or without that");
      },
      true);
}

// A job may name its processor.
std::optional<Refusal> CheckProcessor(const DeviceEvaluation& on) {
  const v1::DeviceInfo& device = on.device.device.info();
  switch (on.job.spec.accelerator()) {
    case v1::ACCELERATOR_CUDA:
      return device.accelerator() == "cuda"
                 ? std::nullopt
                 : std::optional(Refuse(
                       on,
                       [&] {
                         return "runs no jobs on a GPU, and the job has accelerator: "
                                "cuda; feasible with accelerator: any";
                       },
                       true));
    case v1::ACCELERATOR_CPU:
      return device.accelerator().empty() || device.offers_cpu()
                 ? std::nullopt
                 : std::optional(Refuse(
                       on,
                       [&] {
                         return absl::StrCat("runs its jobs on ", device.accelerator(),
                                             " alone, and the job has accelerator: cpu; "
                                             "feasible with accelerator: any");
                       },
                       true));
    default:
      return std::nullopt;
  }
}

// GPUs before Ampere: by the board, or because `wattle-worker probe --rates` measured FP16 and no
// BF16.
bool GpuLacksBf16(const v1::DeviceInfo& device) {
  constexpr std::array<absl::string_view, 5> kBoards = {
      "jetson-nano", "jetson-nano-2gb", "jetson-tx2", "jetson-xavier-nx", "jetson-agx-xavier"};
  return absl::c_linear_search(kBoards, device.device_class()) ||
         absl::c_any_of(device.rates(), [&](const v1::MeasuredRates& rates) {
           return rates.accelerator() == device.accelerator() && rates.fp16_flops() > 0 &&
                  rates.bf16_flops() == 0;
         });
}

// Its runner would refuse the job, which then fails without a try on another device.
std::optional<Refusal> CheckBf16(const DeviceEvaluation& on) {
  const v1::DeviceInfo& device = on.device.device.info();
  if (device.accelerator() != "cuda" || on.mode.on_cpu || !GpuLacksBf16(device) ||
      PrecisionIn(WorkloadOf(on.job.spec)) != v1::PRECISION_BF16) {
    return std::nullopt;
  }
  return Refuse(
      on,
      [] {
        return "its GPU is older than Ampere and has no BF16 products; feasible with "
               "precision: fp16";
      },
      true);
}

// Older workers update BF16 weights only on their cores: on a GPU their runner would refuse the
// job, which then fails. Frozen weights beside adapters may be BF16 there.
std::optional<Refusal> CheckBf16Weights(const DeviceEvaluation& on) {
  const v1::FinetuneSpec& finetune = on.job.spec.finetune();
  const v1::DeviceInfo& device = on.device.device.info();
  if (device.accelerator() != "cuda" || on.mode.on_cpu || finetune.has_lora() ||
      finetune.weights_precision() != v1::WEIGHTS_PRECISION_BF16 ||
      device.spec_revision() >= kRevisionOfBf16WeightsOnGpus) {
    return std::nullopt;
  }
  return Refuse(
      on,
      [] {
        return "its worker is too old to train weights_precision: bf16 on a GPU; feasible once "
               "the worker is updated, without that, or with lora";
      },
      true);
}

std::optional<Refusal> CheckLabels(const DeviceEvaluation& on) {
  const v1::DeviceInfo& device = on.device.device.info();
  for (const std::string& label : on.job.spec.required_labels()) {
    absl::string_view given = label;
    if (absl::ConsumePrefix(&given, kGivenLabel) && !HasLabel(device, label)) {
      return Refuse(
          on,
          [&] {
            return absl::StrCat("is no device of the job's project: no operator gave it the label ",
                                given, "; feasible after: 'wattle device token --label ", given,
                                "', and 'wattle-worker enroll' with that token on it");
          },
          true);
    }
    if (!HasLabel(device, label)) {
      return Refuse(
          on, [&] { return absl::StrCat("lacks the label ", label, "; feasible with it"); }, true);
    }
  }
  const std::optional<DeviceId>& profiled = on.job.profiled_device;
  if (profiled.has_value() && profiled->value() != device.device_id()) {
    return Refuse(
        on,
        [&] {
          return absl::StrCat("has the name of the device that the job measures, whose id is ",
                              profiled->value());
        },
        true);
  }
  return std::nullopt;
}

// Refuses a device on which an attempt of this job failed by the device's fault.
std::optional<Refusal> CheckAvoidedDevice(const DeviceEvaluation& on) {
  const std::string& device_id = on.device.device.info().device_id();
  for (const DeviceId& avoided : on.job.avoided_devices) {
    if (avoided.value() == device_id) {
      return Refuse(on, [&] {
        return "an attempt of this job failed on it or left it a short time ago; feasible again in "
               "some minutes, or where no other device is left";
      });
    }
  }
  const std::vector<DeviceId>& accelerators = on.job.avoided_accelerators;
  if (!on.mode.on_cpu && std::find(accelerators.begin(), accelerators.end(), DeviceId(device_id)) !=
                             accelerators.end()) {
    return Refuse(on, [&] {
      return "an attempt of this job failed on its GPU a short time ago; feasible again in some "
             "minutes, or on its CPU";
    });
  }
  return std::nullopt;
}

// A disconnected device gets no new attempt.
std::optional<Refusal> CheckConnected(const DeviceEvaluation& on) {
  const v1::Device& device = on.device.device;
  if (!device.connected()) {
    return Refuse(
        on, [&] { return "not connected; feasible once its worker reaches the coordinator"; });
  }
  if (device.unreachable()) {
    return Refuse(on, [&] {
      return "unreachable: its heartbeats are missing; feasible once they come again";
    });
  }
  return std::nullopt;
}

// A drained device finishes its attempt and takes no new one.
std::optional<Refusal> CheckDrained(const DeviceEvaluation& on) {
  const v1::Device& device = on.device.device;
  if (!device.drained()) {
    return std::nullopt;
  }
  const std::string reason =
      device.drain_reason().empty() ? "" : absl::StrCat(" (", device.drain_reason(), ")");
  return Refuse(on, [&] {
    return absl::StrCat("drained", reason, "; feasible after: wattle device resume");
  });
}

// A holder of a token with --approve may not be a board of the fleet.
std::optional<Refusal> CheckApproval(const DeviceEvaluation& on) {
  const v1::Device& device = on.device.device;
  if (!device.waits_for_approval()) {
    return std::nullopt;
  }
  return Refuse(on, [&] {
    return absl::StrCat("waits for approval; feasible after: wattle device approve ",
                        device.info().name());
  });
}

// The board's owner has reserved it. The board counts the time, so a clock that differs from the
// coordinator's does not matter.
std::optional<Refusal> CheckOwnerHold(const DeviceEvaluation& on) {
  const double left_seconds = on.device.device.heartbeat().owner_hold_seconds();
  if (left_seconds <= 0.0) {
    return std::nullopt;
  }
  return Refuse(on, [&] {
    return absl::StrCat("held by its owner for another ",
                        FormatElapsed(absl::Seconds(left_seconds)),
                        "; feasible after that, or after wattle-worker release on the board");
  });
}

// A device with a read-only or failing disk can neither accept an attempt nor save its result.
std::optional<Refusal> CheckStorage(const DeviceEvaluation& on) {
  const std::string& problem = on.device.device.heartbeat().storage_problem();
  if (problem.empty()) {
    return std::nullopt;
  }
  return Refuse(
      on, [&] { return absl::StrCat(problem, "; feasible once its disk takes writes again"); });
}

// Programs on the board wait for memory, and the worker yields.
std::optional<Refusal> CheckMemoryPressure(const DeviceEvaluation& on) {
  const std::string& problem = on.device.device.heartbeat().memory_problem();
  if (problem.empty()) {
    return std::nullopt;
  }
  return Refuse(on,
                [&] { return absl::StrCat(problem, "; feasible after a minute without that"); });
}

// Work stops at the temperature that a policy sets. The present temperature decides.
std::optional<Refusal> CheckMaxTemperature(const DeviceEvaluation& on) {
  const v1::Device& device = on.device.device;
  const policy::Limits& limits = on.limits;
  const std::optional<policy::TemperatureLimit>& limit = limits.temperature_max;
  if (!limit || !device.heartbeat().has_temperature() ||
      Celsius(device.heartbeat().temperature_celsius()) < limit->temperature) {
    return std::nullopt;
  }
  return Refuse(on, [&] {
    return absl::StrFormat("at %.1f °C; policy %s stops work at %.1f °C; feasible once cooler",
                           device.heartbeat().temperature_celsius(), limit->policy,
                           limit->temperature.value());
  });
}

// The agent stopped work by policy, or will: it accepts no work under policies that it cannot read.
// If no policy limits the device any more, the last heartbeat refers to a removed policy and does
// not count. A board with a weak supply idles even without a policy.
std::optional<Refusal> CheckGuard(const DeviceEvaluation& on) {
  const v1::Device& device = on.device.device;
  const std::string& reason = device.heartbeat().guard_reason();
  const policy::Limits& limits = on.limits;
  if (!limits.unreadable.empty()) {
    return Refuse(on, [&] {
      return absl::StrCat("its policies cannot be kept: ", limits.unreadable,
                          "; feasible once one of them is changed (wattle policy ls)");
    });
  }
  if (policy::IsWeakSupply(reason)) {
    return Refuse(on, [&] { return absl::StrCat(reason, "; feasible then"); });
  }
  if (reason.empty() || !limits.any()) {
    return std::nullopt;
  }
  return Refuse(on, [&] {
    return absl::StrCat("its guard lets it idle: ", reason,
                        "; feasible once that is over, or without the policy (wattle policy "
                        "ls)");
  });
}

}  // namespace

extern const Rule kEngineRule = {"engine", RuleScope::kDevice, CheckEngine};
extern const Rule kWorkerVersionRule = {"worker_version", RuleScope::kDevice, CheckWorkerVersion};
extern const Rule kProcessorRule = {"processor", RuleScope::kDevice, CheckProcessor};
extern const Rule kBf16Rule = {"bf16", RuleScope::kMode, CheckBf16};
extern const Rule kBf16WeightsRule = {"bf16_weights", RuleScope::kMode, CheckBf16Weights};
extern const Rule kLabelsRule = {"labels", RuleScope::kDevice, CheckLabels};
extern const Rule kAvoidedDeviceRule = {"avoided_device", RuleScope::kMode, CheckAvoidedDevice};
extern const Rule kConnectedRule = {"connected", RuleScope::kDevice, CheckConnected};
extern const Rule kApprovalRule = {"approval", RuleScope::kDevice, CheckApproval};
extern const Rule kDrainedRule = {"drained", RuleScope::kDevice, CheckDrained};
extern const Rule kOwnerHoldRule = {"owner_hold", RuleScope::kDevice, CheckOwnerHold};
extern const Rule kStorageRule = {"storage", RuleScope::kDevice, CheckStorage};
extern const Rule kMemoryPressureRule = {"memory_pressure", RuleScope::kDevice,
                                         CheckMemoryPressure};
extern const Rule kMaxTemperatureRule = {"max_temperature", RuleScope::kDevice,
                                         CheckMaxTemperature};
extern const Rule kGuardRule = {"guard", RuleScope::kDevice, CheckGuard};

}  // namespace wattle::scheduler
