// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Estimates from datasheets. docs/design/prediction.md explains the constants.
#include "scheduler/predict/datasheet.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

#include "proto/board_class.h"
#include "scheduler/predict/job_kinds.h"
#include "scheduler/predict/model_cost.h"
#include "scheduler/predict/pass_time.h"
#include "scheduler/predict/power_mode.h"
#include "scheduler/predict/work.h"
#include "scheduler/predict/workload_cost.h"

namespace wattle::scheduler {
namespace {

constexpr double kDatasheetDeviation = 0.9;
constexpr double kPowerDatasheetDeviation = 0.35;
// Share of the datasheet's operations that training reaches. From the published GPT-2 row of the
// Xavier NX: 134 GFLOP per example in 0.73 s are 0.22 of its 845 GFLOP/s in FP32 (384 cores × 2 ×
// 1.1 GHz).
constexpr double kAcceleratorEfficiency = 0.2;
// Share of peak that a small CPU reaches in FP32 matrix products, including the element-wise part
// of a step.
constexpr double kCpuEfficiency = 0.4;
// A core without a datasheet: 4 FP32 lanes, fused multiply-add, two pipes, 1.5 GHz.
constexpr double kFlopsPerCoreDefault = 24e9;
// Share of a memory's bandwidth that reading weights reaches: 40 to 70 % on a Raspberry Pi.
constexpr double kBandwidthEfficiency = 0.5;
constexpr double kBandwidthDefault = 15e9;
// Share of a power mode's nominal watts that training draws: 14.29 of 20 W and 11.15 of 15 W in the
// published tables.
constexpr double kNominalPowerShare = 0.75;
// Ratio of load to idle watts when only idle is known: 8 W to 3 W on a Pi 5.
constexpr double kLoadOverIdle = 2.5;
constexpr double kPowerWattsDefault = 10;
// Seconds of one pass for each layer. The parts around the layers (embedding, head, the draw) count
// as two layers. A layer is 15 to 20 operators of about 20 us each if a kernel is launched, 10 us
// if the operator is a call.
constexpr double kPassSecondsPerLayerOnAccelerator = 4e-4;
constexpr double kPassSecondsPerLayerOnCpu = 2e-4;
constexpr double kLayersAroundTheLayers = 2;

struct Board {
  absl::string_view device_class;
  double bytes_per_second = 0;
  double operations_per_second_max = 0;
};
// Memory bandwidth, and operations in the format in which a board has most of them, by NVIDIA's
// Jetson module data sheets (FP16 of the Nano, INT8 of the others) and the Raspberry Pi product
// briefs (4 cores x 32 INT8 operations a cycle of the Cortex-A72, 64 of the Cortex-A76).
constexpr Board kBoards[] = {
    {"jetson-nano", 25.6e9, 0.472e12},     {"jetson-xavier-nx", 51.2e9, 21e12},
    {"jetson-agx-xavier", 137e9, 32e12},   {"jetson-orin-nano", 68e9, 67e12},
    {"jetson-orin-nano-4gb", 34e9, 34e12}, {"jetson-orin-nx", 102e9, 157e12},
    {"jetson-agx-orin", 205e9, 275e12},    {"raspberry-pi-4", 12.8e9, 0.23e12},
    {"raspberry-pi-5", 17.1e9, 0.62e12},
};
// For a class without a row above: a data centre's accelerator with 4-bit operations.
constexpr double kOperationsPerSecondMax = 2e16;
constexpr double kBytesPerSecondMax = 8e12;

const Board* FindBoard(absl::string_view device_class) {
  for (const Board& board : kBoards) {
    if (BoardClassOf(device_class) == board.device_class) {
      return &board;
    }
  }
  return nullptr;
}

double BytesPerSecond(const v1::DeviceInfo& device) {
  const Board* const board = FindBoard(device.device_class());
  return (board == nullptr ? kBandwidthDefault : board->bytes_per_second) * kBandwidthEfficiency;
}

double FlopsPerSecond(const v1::DeviceInfo& device) {
  const double efficiency = device.accelerator().empty() ? kCpuEfficiency : kAcceleratorEfficiency;
  const double peak = device.throughput_flops_datasheet() > 0
                          ? device.throughput_flops_datasheet()
                          : std::max(1, device.cores()) * kFlopsPerCoreDefault;
  return peak * efficiency;
}

}  // namespace

DatasheetPeak PeakOf(absl::string_view device_class) {
  const Board* const board = FindBoard(device_class);
  return board == nullptr
             ? DatasheetPeak{kOperationsPerSecondMax, kBytesPerSecondMax, false}
             : DatasheetPeak{board->operations_per_second_max, board->bytes_per_second, true};
}

double PassSecondsPrior(const v1::DeviceInfo& device, const v1::WorkloadSignature& signature) {
  const double per_layer =
      device.accelerator().empty() ? kPassSecondsPerLayerOnCpu : kPassSecondsPerLayerOnAccelerator;
  const double reading = MethodCostOf(signature.method()).passes_read_weights
                             ? WeightBytesPerToken(signature) / BytesPerSecond(device)
                             : 0;
  return (signature.model().layers() + kLayersAroundTheLayers) * per_layer + reading;
}

RunEstimate FromDatasheet(const RunQuery& query) {
  // A row without figures, so that values that the job omits take the defaults.
  v1::ProfileRow open;
  *open.mutable_signature() = query.work.signature;
  open.set_unit(query.work.unit);
  open.set_units_per_step(query.work.steps > 0 ? query.work.units / query.work.steps : 0);
  if (query.work.unit != v1::WORK_UNIT_EXAMPLE) {
    open.set_units_per_example(query.work.tokens_per_example);
  }
  const double cost = CostOfWork(query.work, open, kStepFlopsPerParameter);
  RunEstimate estimate;
  estimate.provenance = v1::PROVENANCE_DATASHEET;
  estimate.mode.name = LargestPowerMode(query.device);
  switch (CurrencyOf(query.work.signature.method())) {
    case Currency::kFlops:
      estimate.run_seconds = cost / FlopsPerSecond(query.device);
      estimate.note = absl::StrFormat("roofline: %.3g GFLOP at %.3g GFLOP/s", cost / 1e9,
                                      FlopsPerSecond(query.device) / 1e9);
      break;
    case Currency::kWeightBytes:
      estimate.run_seconds = cost / BytesPerSecond(query.device);
      estimate.note = absl::StrFormat("roofline: %.3g GB of weights at %.3g GB/s", cost / 1e9,
                                      BytesPerSecond(query.device) / 1e9);
      break;
    case Currency::kParameters:
      estimate.run_seconds =
          cost * MethodCostOf(query.work.signature.method()).seconds_per_parameter;
      estimate.note = absl::StrFormat("roofline: %.3g million parameters", cost / 1e6);
      break;
  }
  const double pass_seconds =
      PassesOfWork(query.work) * PassSecondsPrior(query.device, query.work.signature);
  const RunTime time{estimate.run_seconds, pass_seconds, pass_seconds};
  if (time.pass_seconds > 0) {
    absl::StrAppendFormat(&estimate.note, ", and %.3g s for passes", time.pass_seconds);
  }
  estimate.run_seconds = time.seconds();
  estimate.time_deviation = CombinedDeviation(time, kDatasheetDeviation);
  estimate.own_time_deviation = estimate.time_deviation;
  return estimate;
}

PowerEstimate PowerFromDatasheet(const v1::DeviceInfo& device, double idle_power_watts) {
  for (const v1::PowerMode& mode : device.power_modes()) {
    if (mode.name() == device.power_mode() && mode.nominal_power_watts() > 0) {
      return {mode.nominal_power_watts() * kNominalPowerShare, kPowerDatasheetDeviation,
              "watts from the power mode's nominal"};
    }
  }
  if (idle_power_watts > 0) {
    return {idle_power_watts * kLoadOverIdle, kPowerDatasheetDeviation, "watts from idle"};
  }
  return {kPowerWattsDefault, 2 * kPowerDatasheetDeviation, "watts assumed"};
}

}  // namespace wattle::scheduler
