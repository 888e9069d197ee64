// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <string>

#include "cli/testing/sample_boards_internal.h"

namespace wattle::cli {
namespace {

v1::Candidate Board(const std::string& id, const std::string& name,
                    const std::string& device_class) {
  v1::Candidate board;
  board.set_device_id(id);
  board.set_device_name(name);
  board.set_device_class(device_class);
  board.set_emulated(true);
  board.set_feasible(true);
  return board;
}

v1::Prediction Published(double seconds, double energy_wh, double idle_watts,
                         const std::string& board) {
  v1::Prediction prediction;
  *prediction.mutable_run_seconds() = Range(seconds, 0.15);
  *prediction.mutable_run_energy_joules() = Range(energy_wh * 3600.0, 0.15);
  prediction.set_mean_power_watts(energy_wh * 3600.0 / seconds);
  prediction.set_idle_known(true);
  prediction.set_idle_power_watts(idle_watts);
  prediction.set_net_energy_joules(energy_wh * 3600.0 - idle_watts * seconds);
  prediction.set_start_seconds(9.5);
  prediction.set_start_energy_joules(58.0);
  prediction.set_checkpoint_seconds(42.0);
  prediction.set_checkpoint_energy_joules(310.0);
  prediction.set_fetch_seconds(3.0);
  prediction.set_fetch_energy_joules(4.5);
  prediction.set_upload_seconds(6.0);
  prediction.set_upload_energy_joules(9.0);
  prediction.set_work_units(20000);
  prediction.set_unit(v1::WORK_UNIT_EXAMPLE);
  prediction.set_seconds_per_unit(seconds / 20000.0);
  prediction.set_provenance(v1::PROVENANCE_PUBLISHED);
  prediction.set_provenance_note("published: table 3, " + board + ", GPT-2; unit example");
  prediction.set_time_scale(0.01);
  return prediction;
}

}  // namespace

v1::Interval Range(double mean, double share) {
  v1::Interval range;
  range.set_mean(mean);
  range.set_low(mean * (1.0 - share));
  range.set_high(mean * (1.0 + share));
  return range;
}

v1::Candidate Nano() {
  v1::Candidate board = Board(kNanoId, "nano-1", "jetson-orin-nano");
  *board.mutable_prediction() = Published(11726, 36.33, 5.0, "Orin Nano");
  board.set_finish_in_seconds(118.0);
  board.set_finish_low_in_seconds(100.0);
  board.set_finish_high_in_seconds(136.0);
  board.set_marginal_energy_joules(72500);
  board.set_has_battery(true);
  board.set_state_of_charge_ratio(0.83);
  board.set_state_of_charge_after_ratio(0.41);
  return board;
}

v1::Candidate Xavier() {
  v1::Candidate board = Board(kXavierId, "xavier-1", "jetson-xavier-nx");
  *board.mutable_prediction() = Published(14561, 57.82, 4.2, "Xavier NX");
  board.set_start_in_seconds(95.0);
  board.set_start_low_in_seconds(80.0);
  board.set_start_high_in_seconds(112.0);
  board.set_finish_in_seconds(241.0);
  board.set_finish_low_in_seconds(205.0);
  board.set_finish_high_in_seconds(290.0);
  board.set_marginal_energy_joules(147300);
  return board;
}

v1::Candidate Pi() {
  v1::Candidate board = Board(kPiId, "pi-läuft", "raspberry-pi-5");
  board.set_emulated(false);
  board.set_feasible(false);
  board.set_refused_by("memory");
  board.set_reason(
      "needs 6.1 GiB of memory, 3.8 GiB of its 4.0 GiB are usable; needs 2.3 GiB more, or would "
      "fit "
      "with activation_checkpointing: true");
  board.set_permanent(true);
  return board;
}

}  // namespace wattle::cli
