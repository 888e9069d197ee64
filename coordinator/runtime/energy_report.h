// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Where the joules went: receipts and ledgers grouped by job, owner, device, class or day. Pure.
#ifndef WATTLE_COORDINATOR_RUNTIME_ENERGY_REPORT_H_
#define WATTLE_COORDINATOR_RUNTIME_ENERGY_REPORT_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "coordinator/store/journal_reader.h"
#include "wattle/v1/coordinator.pb.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/job.pb.h"

namespace wattle::runtime {

// The ledgers of a span: as they stood before it, and at the end of each day in it.
struct LedgerSpan {
  std::vector<store::LedgerAt> before;
  std::vector<store::LedgerAt> by_day;  // Ascending in days.
};

class EnergyReportBuilder {
 public:
  // devices: by id, also removed ones, for names and classes.
  EnergyReportBuilder(const v1::ReportEnergyRequest& request,
                      std::map<std::string, v1::DeviceInfo> devices);

  // Every attempt of the job that ended within the span and has a receipt. Each job once.
  void Add(const v1::Job& job);
  // Idle and overhead; of no effect where the rows are jobs or owners.
  void Add(const LedgerSpan& span);
  [[nodiscard]] v1::EnergyReport Build() const;

 private:
  [[nodiscard]] v1::EnergyRow& Row(const std::string& key, const std::string& label);

  const v1::ReportEnergyRequest request_;
  const std::map<std::string, v1::DeviceInfo> devices_;
  std::map<std::string, v1::EnergyRow> rows_;  // By key.
  v1::EnergyRow total_;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_ENERGY_REPORT_H_
