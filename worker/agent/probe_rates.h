// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// `wattle-worker probe --rates`: what the board's processor and memory do in a second. The state
// folder keeps it, and the worker tells it in its hello. The record is a DeviceInfo with the rates,
// and with the cores and power modes that they were measured with.
#ifndef WATTLE_WORKER_AGENT_PROBE_RATES_H_
#define WATTLE_WORKER_AGENT_PROBE_RATES_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "wattle/v1/device.pb.h"
#include "worker/power/powerd_client.h"

namespace wattle::agent {

struct RateProbe {
  std::string state_directory;
  std::string runner;
  std::string device = "cpu";
  int threads = 0;  // ProbeRates wants 1 at least; the command puts all cores for 0.
  // Told, of a GPU, what came of compiling its kernels. Null: nobody is.
  std::function<void(const std::string& line)> note = nullptr;
};

// Measures, and keeps the rates beside those of other power modes and devices. Of a GPU with the
// kernels that jobs find (probe_kernels.h), which it compiles where they lack. Returns the board's
// record. Errors: kFailedPrecondition while a worker runs on the folder, which would disturb the
// measurement; kOutOfRange for rates that no board has; those of the runner and of the disk.
absl::StatusOr<v1::DeviceInfo> ProbeRates(const RateProbe& probe, absl::Time now);

// How every power mode of the board is measured.
struct ModeSweep {
  std::string root{};  // "": this machine
  std::string powerd_socket = kPowerdSocket;
  // Told what ProbeRates returns, after each mode.
  std::function<void(const v1::DeviceInfo& record)> done = nullptr;
  // Whether to end, asked before each mode. Null: never.
  std::function<bool()> stopped = nullptr;
};

// As ProbeRates in each mode that the board has, one after the other; sets them by wattle-powerd,
// or as root. In the end the board is as it was before, also after an error; where the process is
// killed, the worker's next start restores it. Errors: kFailedPrecondition for a board without
// modes; kCancelled; those of setting a mode; those of ProbeRates, of which the first ends it. The
// rates of modes before are kept.
absl::Status ProbeRatesOfModes(const RateProbe& probe, const ModeSweep& sweep, absl::Time now);

// For people: the rates of the record's latest measurement.
std::string RatesText(const v1::DeviceInfo& record);

// `kept` with what was measured on the board, in place of what is no longer true.
v1::DeviceInfo WithRates(const v1::DeviceInfo& kept, const v1::DeviceInfo& board,
                         const v1::MeasuredRates& measured);

// The kept rates that are still true of the board: of its engine, its cores, and of power modes
// that set what they set then. problems: one line for each that is not.
std::vector<v1::MeasuredRates> CurrentRates(const v1::DeviceInfo& kept, const v1::DeviceInfo& board,
                                            std::vector<std::string>* problems);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_PROBE_RATES_H_
