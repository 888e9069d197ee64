// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Profile rows by key; only valid rows enter the table. Measured rows come from finished attempts
// (LearnFromReceipt), published rows are compiled in (Priors), imported rows come from another
// fleet (scheduler/predict/imported_rows.h). The table is ordered, so that every reader sees the
// rows in the same order on every machine. A copy of a table shares its rows and costs a few
// pointers. Thread-compatible.
#ifndef WATTLE_SCHEDULER_PROFILES_PROFILE_TABLE_H_
#define WATTLE_SCHEDULER_PROFILES_PROFILE_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "base/persistent_map.h"
#include "scheduler/profiles/calibration.h"
#include "scheduler/profiles/mode_numbers.h"
#include "scheduler/profiles/rate_table.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// The identity of a row: source, class, device, emulated, power mode, signature and unit, as one
// readable text. Two rows with the same key are the same row. The journal and the tables keep rows,
// not keys.
std::string ProfileKey(const v1::ProfileRow& row);

// Refuses zeros, NaN, infinities, a row without class or unit, and units that are off by 1000 (a
// board that draws 14290 W, a Jetson that trains a step in a nanosecond). Errors: kInvalidArgument
// names the row, the field and the valid values.
absl::Status ValidateProfileRow(const v1::ProfileRow& row);

class ProfileTable {
 public:
  ProfileTable() = default;  // An empty table, without the priors.

  // A table with only the published rows, with which a new coordinator starts.
  static ProfileTable Priors();

  // Stores the row and replaces a row of the same key. A device's measured row also replaces the
  // device's probe of the same work. Errors: those of ValidateProfileRow; the table is then
  // unchanged.
  absl::Status Put(const v1::ProfileRow& row);

  // Removes the imported rows of a class, or of all classes with device_class "". Returns how many
  // there were.
  int RemoveImported(absl::string_view device_class);

  // The row of the same key; null if there is none.
  [[nodiscard]] const v1::ProfileRow* FindLike(const v1::ProfileRow& row) const;

  // The rows of a class, sorted by key; empty if there are none.
  using ClassRows = PersistentMap<std::string, v1::ProfileRow>;
  [[nodiscard]] const ClassRows& OfClass(absl::string_view device_class) const;

  // A row with the values that distinguish it from others of its workload, so that a look-up reads
  // few rows.
  struct WorkloadRow {
    const ClassRows::value_type* entry = nullptr;  // Holds until the row changes in this table.
    uint64_t device = 0;                           // TextDigest of the row's device_id.
    uint64_t power_mode = 0;                       // TextDigest of ModeNameOf(row).
    ModeNumbers mode_numbers;                      // The mode's numbers; zeros: unknown.
    v1::ProfileSource source = v1::PROFILE_SOURCE_UNSPECIFIED;
    int batch_size = 0;
    int length = 0;  // LengthOf(signature).
    bool of_class = false;
    bool emulated = false;
    // Model, workload and precision equal those of the first row that the look-up returns, so that
    // one comparison with that row covers all such rows.
    bool as_first = false;
    [[nodiscard]] const v1::ProfileRow& row() const { return entry->second; }
  };
  // The rows of a class that may be of the signature's workload, sorted by key: all such rows, and
  // few others.
  using WorkloadRows = std::vector<WorkloadRow>;
  [[nodiscard]] const WorkloadRows& OfWorkload(const std::string& device_class,
                                               const v1::WorkloadSignature& signature) const;

  // The rows of the row's source and device, of its class and with the same `emulated`, sorted by
  // key.
  [[nodiscard]] std::vector<const v1::ProfileRow*> OfDevice(const v1::ProfileRow& row) const;

  [[nodiscard]] const PersistentMap<std::string, ClassRows>& by_class() const { return by_class_; }
  [[nodiscard]] std::vector<v1::ProfileRow> Rows() const;  // All rows, sorted by class and key.
  [[nodiscard]] size_t size() const { return size_; }

  // How wide the intervals have to be, by the runs that the rows hold.
  [[nodiscard]] const Calibration& calibration() const { return calibration_; }

  // Measured processor rates by class. The table of a coordinator has the rates of its devices.
  [[nodiscard]] const RateTable& rates() const { return rates_; }
  [[nodiscard]] RateTable& mutable_rates() { return rates_; }

 private:
  // An index over by_class_, keyed by WorkloadDigest. A copy of the table shares its entries.
  using ByWorkload = PersistentMap<uint64_t, WorkloadRows>;

  void Index(const std::string& device_class, const ClassRows::value_type& entry);
  static void CompareWithFirst(WorkloadRows& rows);
  void Erase(const v1::ProfileRow& row, const std::string& key);
  // Removes the probes of the device's work that the row `measured` replaces.
  void RemoveProbesOf(const v1::ProfileRow& measured);

  PersistentMap<std::string, ClassRows> by_class_;
  PersistentMap<std::string, ByWorkload> by_workload_;
  size_t size_ = 0;
  Calibration calibration_;
  RateTable rates_;
};

// The rows that a finished attempt changes, with their new values: the device's own row and its
// class's row. The caller stores them with Put. Empty if nothing can be learned: the attempt
// failed, the host could not keep the emulated pace, the runner restarted, a sensor covered less
// than four fifths of the run, or no work or time was counted. Without any sensor (source
// unspecified or model) only the time is learned. Rows of an emulated device are `emulated` and
// serve only emulated devices.
//
// If the device has become faster or slower (change_point.h), all its rows change: the means of a
// row become those of its runs since the change, and a row without such a run is marked in
// `change`. The result includes these rows.
//
// model_artifact_id: the model that generated texts, whose lengths are stored in the class's row;
// empty: unknown, or no texts.
std::vector<v1::ProfileRow> LearnFromReceipt(const ProfileTable& table,
                                             const v1::DeviceInfo& device,
                                             const v1::Receipt& receipt, absl::Time now,
                                             const std::string& model_artifact_id = "");

// The change of the row of the device and its workload by those rows. REQUIRES: `learned` is a
// non-empty result of LearnFromReceipt on `table`.
v1::RowMove MoveOf(const ProfileTable& table, const std::vector<v1::ProfileRow>& learned);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_PROFILE_TABLE_H_
