// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reports energy use: receipts and ledgers, grouped by job, owner, device, class or day. Pure.
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

// The ledgers of a span: their values before the span, and at the end of each day of the span.
struct LedgerSpan {
  std::vector<store::LedgerAt> before;
  std::vector<store::LedgerAt> by_day;  // In ascending order of days.
};

class EnergyReportBuilder {
 public:
  // devices: by id, for names and classes; includes removed devices.
  EnergyReportBuilder(const v1::ReportEnergyRequest& request,
                      std::map<std::string, v1::DeviceInfo> devices);

  // Adds every attempt of the job that ended within the span and has a receipt. REQUIRES: each job
  // is added once.
  void Add(const v1::Job& job);
  // Adds idle and overhead joules. Has no effect on a report by job or owner.
  void Add(const LedgerSpan& span);
  [[nodiscard]] v1::EnergyReport Build() const;

 private:
  [[nodiscard]] v1::EnergyRow& Row(const std::string& key, const std::string& label);

  const v1::ReportEnergyRequest request_;
  const std::map<std::string, v1::DeviceInfo> devices_;
  std::map<std::string, v1::EnergyRow> rows_;  // Key: EnergyRow::key.
  v1::EnergyRow total_;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_ENERGY_REPORT_H_
