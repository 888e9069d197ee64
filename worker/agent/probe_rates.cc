// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/probe_rates.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/status_macros.h"
#include "proto/rate_bounds.h"
#include "units/format.h"
#include "worker/agent/board_probe.h"
#include "worker/agent/probe_kernels.h"
#include "worker/agent/storage/posix_disk.h"
#include "worker/agent/storage/state_directory.h"
#include "worker/child/runner_process.h"
#include "worker/power/board_power.h"
#include "worker/power/power_modes.h"
#include "worker/power/power_settings.h"
#include "worker/sandbox/isolation.h"
#include "worker/sandbox/sandbox.h"

namespace wattle::agent {
namespace {

// A slow board multiplies for a minute; its runner loads libtorch first.
constexpr absl::Duration kRunnerMeasures = absl::Minutes(5);
constexpr char kAgain[] = "; run 'wattle-worker probe --rates' again";

std::string Named(const v1::MeasuredRates& rates) {
  return absl::StrCat("measured rates", rates.power_mode().empty() ? "" : " of power mode ",
                      rates.power_mode());
}

// Whether the mode sets the same values on both boards, as far as both list them.
bool SetsTheSame(const v1::DeviceInfo& a, const v1::DeviceInfo& b, const std::string& mode) {
  const auto find = [&mode](const v1::DeviceInfo& board) {
    const auto found = std::find_if(board.power_modes().begin(), board.power_modes().end(),
                                    [&](const v1::PowerMode& one) { return one.name() == mode; });
    return found == board.power_modes().end() ? nullptr : &*found;
  };
  const v1::PowerMode* const of_a = find(a);
  const v1::PowerMode* const of_b = find(b);
  return of_a == nullptr || of_b == nullptr ||
         of_a->SerializeAsString() == of_b->SerializeAsString();
}

// Why the rates no longer hold for the board; empty: they hold.
std::string WhyStale(const v1::DeviceInfo& kept, const v1::DeviceInfo& board,
                     const v1::MeasuredRates& rates) {
  if (const std::string problem = RateProblem(rates); !problem.empty()) {
    return problem;
  }
  if (!board.engine_version().empty() && rates.engine_version() != board.engine_version()) {
    return absl::StrCat("engine ", rates.engine_version(), " measured them, this one is ",
                        board.engine_version());
  }
  if (kept.cores() != board.cores()) {
    return absl::StrCat("they are of ", kept.cores(), " threads, a runner has ", board.cores());
  }
  return SetsTheSame(kept, board, rates.power_mode()) ? "" : "the mode now sets other numbers";
}

// The board's modes and the present one, as in a worker's hello.
v1::DeviceInfo DescribeBoard(const RateProbe& probe, const std::string& root) {
  v1::DeviceInfo board;
  board.set_cores(probe.threads);
  board.set_accelerator(probe.device == "cpu" ? "" : probe.device);
  AddPowerModes(root, &board);
  if (board.power_modes().empty()) {
    const std::vector<PowerModeRow> modes = KernelModes(root);
    AddModes(modes, &board);
    board.set_power_mode(ActiveKernelMode(root, modes));
  }
  return board;
}

// Runs in a separate process, so that NVRTC's memory does not count as memory that the GPU takes
// from the board. After a failure the rates are those of libtorch's operators, as for a job.
void CompileMissingKernels(const RateProbe& probe) {
  const absl::StatusOr<std::string> made = CompileKernels(
      {.state_directory = probe.state_directory, .runner = probe.runner, .device = probe.device});
  if (probe.note != nullptr) {
    probe.note(made.ok() ? *made
                         : absl::StrCat(std::string(made.status().message()),
                                        "; measured without our kernels"));
  }
}

// Measures in the sandbox of a job's runner, which may read the kernels but not write them.
absl::StatusOr<v1::MeasuredRates> Measure(const RateProbe& probe) {
  const auto sandboxed = [&probe](const std::string& kernels) {
    return sandbox::Sandbox::Prepare(
        {.level = sandbox::DetectIsolation(sandbox::Level::kFull).level,
         .program = probe.runner,
         .readable = kernels.empty() ? std::vector<std::string>{} : std::vector{kernels},
         .cuda = probe.device != "cpu"});
  };
  std::string kernels;
  if (probe.device != "cpu") {
    WATTLE_ASSIGN_OR_RETURN(sandbox::Sandbox asked, sandboxed(""));
    WATTLE_RETURN_IF_ERROR(child::CheckRunnerDevice({.program = probe.runner, .sandbox = &asked},
                                                    probe.device, kRunnerMeasures)
                               .status());
    CompileMissingKernels(probe);
    kernels = KernelsCompiledAhead(probe.state_directory);
  }
  WATTLE_ASSIGN_OR_RETURN(sandbox::Sandbox sandbox, sandboxed(kernels));
  return child::MeasureRunnerRates(
      {.program = probe.runner, .threads = probe.threads, .sandbox = &sandbox, .kernels = kernels},
      probe.device, kRunnerMeasures);
}

// The storage of the rates.
struct KeptState {
  std::unique_ptr<PosixDisk> disk;
  std::unique_ptr<StateDirectory> state;
};

// Also checks that the runner exists, which the measurement needs.
absl::StatusOr<KeptState> OpenState(const RateProbe& probe) {
  WATTLE_RETURN_IF_ERROR(MakeStateFolder(probe.state_directory));
  WATTLE_ASSIGN_OR_RETURN(auto disk, PosixDisk::Open(probe.state_directory));
  WATTLE_ASSIGN_OR_RETURN(auto state, StateDirectory::Open(disk.get()));
  WATTLE_RETURN_IF_ERROR(child::CheckRunnerProgram(probe.runner));
  return KeptState{std::move(disk), std::move(state)};
}

// board: in the measured mode. Returns its record.
absl::StatusOr<v1::DeviceInfo> MeasureAndKeep(const RateProbe& probe, v1::DeviceInfo board,
                                              StateDirectory& state, absl::Time now) {
  WATTLE_ASSIGN_OR_RETURN(v1::MeasuredRates measured, Measure(probe));
  board.set_engine_version(measured.engine_version());
  measured.set_power_mode(board.power_mode());
  measured.set_accelerator(board.accelerator());
  measured.set_measured_unix_seconds(absl::ToDoubleSeconds(now - absl::UnixEpoch()));
  if (const std::string problem = RateProblem(measured); !problem.empty()) {
    return absl::OutOfRangeError(
        absl::StrCat(Named(measured), " are not kept: ", problem, "; is the clock right?"));
  }
  v1::DeviceInfo record = WithRates(state.ReadRates().record, board, measured);
  WATTLE_RETURN_IF_ERROR(state.WriteRates(record));
  return record;
}

// Opens the board's power modes as the worker does (agent_open.cc).
absl::StatusOr<std::unique_ptr<BoardPower>> OpenBoardPower(const ModeSweep& sweep, Disk* disk) {
  auto powerd = PowerdClient::Connect(sweep.powerd_socket);
  if (powerd.ok()) {
    return *std::move(powerd);
  }
  if (!absl::IsNotFound(powerd.status())) {
    return powerd.status();
  }
  return std::make_unique<PowerSettings>(sweep.root, BootId(""), disk);
}

absl::Status MeasureModes(const ModeSweep& sweep, const std::vector<PowerModeRow>& modes,
                          BoardPower& power,
                          const std::function<absl::Status(const std::string& mode)>& measure) {
  for (const PowerModeRow& mode : modes) {
    if (sweep.stopped != nullptr && sweep.stopped()) {
      return absl::CancelledError(absl::StrCat("ended before power mode ", mode.name,
                                               "; the rates of those before it are "
                                               "kept"));
    }
    const std::string context = absl::StrCat("power mode ", mode.name);
    WATTLE_RETURN_IF_ERROR(WithContext(context, power.Set(mode)));
    WATTLE_RETURN_IF_ERROR(WithContext(context, measure(mode.name)));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<v1::MeasuredRates> CurrentRates(const v1::DeviceInfo& kept, const v1::DeviceInfo& board,
                                            std::vector<std::string>* problems) {
  std::vector<v1::MeasuredRates> current;
  for (const v1::MeasuredRates& rates : kept.rates()) {
    const std::string problem = WhyStale(kept, board, rates);
    if (problem.empty()) {
      current.push_back(rates);
    } else {
      problems->push_back(absl::StrCat(Named(rates), " are not told: ", problem, kAgain));
    }
  }
  return current;
}

v1::DeviceInfo WithRates(const v1::DeviceInfo& kept, const v1::DeviceInfo& board,
                         const v1::MeasuredRates& measured) {
  v1::DeviceInfo record;
  record.set_cores(board.cores());
  *record.mutable_power_modes() = board.power_modes();
  std::vector<std::string> dropped;  // stale rates are dropped silently
  for (const v1::MeasuredRates& rates : CurrentRates(kept, board, &dropped)) {
    if (rates.power_mode() != measured.power_mode() ||
        rates.accelerator() != measured.accelerator()) {
      *record.add_rates() = rates;
    }
  }
  *record.add_rates() = measured;
  return record;
}

absl::StatusOr<v1::DeviceInfo> ProbeRates(const RateProbe& probe, absl::Time now) {
  WATTLE_ASSIGN_OR_RETURN(const KeptState kept, OpenState(probe));
  return MeasureAndKeep(probe, DescribeBoard(probe, ""), *kept.state, now);
}

absl::Status ProbeRatesOfModes(const RateProbe& probe, const ModeSweep& sweep, absl::Time now) {
  WATTLE_ASSIGN_OR_RETURN(const KeptState kept, OpenState(probe));
  WATTLE_ASSIGN_OR_RETURN(const auto power, OpenBoardPower(sweep, kept.disk.get()));
  WATTLE_RETURN_IF_ERROR(WithContext("what an earlier process set", power->Restore()));
  const std::vector<PowerModeRow> modes = BoardModes(sweep.root);
  if (modes.empty()) {
    return absl::FailedPreconditionError(
        "--all-modes: this board has no nvpmodel.conf and no cpufreq to set; leave it out");
  }
  // Described before the first mode is set: a core that is off hides what its modes set.
  v1::DeviceInfo board = DescribeBoard(probe, sweep.root);
  const absl::Status measured =
      MeasureModes(sweep, modes, *power, [&](const std::string& mode) -> absl::Status {
        board.set_power_mode(mode);
        WATTLE_ASSIGN_OR_RETURN(const v1::DeviceInfo record,
                                MeasureAndKeep(probe, board, *kept.state, now));
        if (sweep.done != nullptr) {
          sweep.done(record);
        }
        return absl::OkStatus();
      });
  const absl::Status restored =
      WithContext("the board's own mode; a restart brings it back", power->Restore());
  return measured.ok() ? restored : measured;
}

std::string RatesText(const v1::DeviceInfo& record) {
  const v1::MeasuredRates& rates = *record.rates().rbegin();
  std::string text =
      absl::StrCat(rates.accelerator().empty()
                       ? absl::StrCat(record.cores(), record.cores() == 1 ? " thread" : " threads")
                       : rates.accelerator(),
                   rates.power_mode().empty() ? "" : ", power mode ", rates.power_mode(), ", ",
                   rates.engine_version(), "\n");
  const auto add = [&text](const char* name, double value, const char* unit) {
    absl::StrAppend(&text, "  ", absl::StrFormat("%-20s", name),
                    value > 0 ? absl::StrFormat("%10.2f %s", value / 1e9, unit) : "         -",
                    "\n");
  };
  add("memory", rates.memory_bytes_per_second(), "GB/s");
  add("FP32 products", rates.fp32_flops(), "GFLOP/s");
  add("BF16 products", rates.bf16_flops(), "GFLOP/s");
  add("FP16 products", rates.fp16_flops(), "GFLOP/s");
  add("int8 products", rates.int8_weights_per_second(), "G weights/s");
  add("int4 products", rates.int4_weights_per_second(), "G weights/s");
  const auto add_memory = [&text](const char* name, int64_t size_bytes) {
    if (size_bytes > 0) {
      absl::StrAppend(&text, "  ", absl::StrFormat("%-20s", name),
                      absl::StrFormat("%10s", FormatBytes(size_bytes)), "\n");
    }
  };
  add_memory("memory of its use", rates.accelerator_memory_bytes());
  add_memory("of the card's own", rates.card_memory_bytes());
  return absl::StrCat(text, "the worker tells them to the coordinator when it starts\n");
}

}  // namespace wattle::agent
