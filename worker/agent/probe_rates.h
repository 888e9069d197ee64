// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// `wattle-worker probe --rates`: measures the throughput of the board's processor and memory. The
// state folder keeps the rates, and the worker sends them in its hello. The record is a DeviceInfo
// with the rates, and with the cores and power modes at the measurement.
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
  int threads = 0;  // at least 1 for ProbeRates; the command replaces 0 by all cores
  // Receives the outcome of compiling a GPU's kernels. May be null.
  std::function<void(const std::string& line)> note = nullptr;
};

// Measures, and keeps the rates beside those of other power modes and devices. A GPU is measured
// with the kernels that jobs find (probe_kernels.h); missing ones are compiled. Returns the board's
// record. Errors: kFailedPrecondition while a worker, which would disturb the measurement, runs on
// the folder; kOutOfRange for implausible rates; those of the runner and of the disk.
absl::StatusOr<v1::DeviceInfo> ProbeRates(const RateProbe& probe, absl::Time now);

// Settings for measuring every power mode of the board.
struct ModeSweep {
  std::string root{};  // "": this machine
  std::string powerd_socket = kPowerdSocket;
  // Receives the result of ProbeRates after each mode.
  std::function<void(const v1::DeviceInfo& record)> done = nullptr;
  // Called before each mode; true ends the sweep. Null: never.
  std::function<bool()> stopped = nullptr;
};

// Calls ProbeRates in each mode of the board, one after the other, and sets the modes by
// wattle-powerd or as root. Restores the board's mode at the end, also after an error; if the
// process is killed, the worker's next start restores it. Errors: kFailedPrecondition for a board
// without modes; kCancelled; those of setting a mode; the first error of ProbeRates. The rates of
// earlier modes are kept.
absl::Status ProbeRatesOfModes(const RateProbe& probe, const ModeSweep& sweep, absl::Time now);

// For people: the rates of the record's latest measurement.
std::string RatesText(const v1::DeviceInfo& record);

// `kept` with the board's new measurements, without rates that no longer hold.
v1::DeviceInfo WithRates(const v1::DeviceInfo& kept, const v1::DeviceInfo& board,
                         const v1::MeasuredRates& measured);

// The kept rates that still hold for the board: for its engine, its cores, and power modes with
// unchanged settings. problems: one line for each stale rate.
std::vector<v1::MeasuredRates> CurrentRates(const v1::DeviceInfo& kept, const v1::DeviceInfo& board,
                                            std::vector<std::string>* problems);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_PROBE_RATES_H_
