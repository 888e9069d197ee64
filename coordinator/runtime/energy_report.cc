// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/energy_report.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"

#include "proto/did_work.h"

namespace wattle::runtime {
namespace {

constexpr double kDaySeconds = 86400.0;

// The date, such as 2026-11-20, of a number of days since 1970-01-01.
std::string DayName(int64_t day) {
  return absl::FormatCivilTime(absl::CivilDay(1970, 1, 1) + day);
}

void AddSource(v1::EnergySource source, v1::EnergyRow* row) {
  auto& sources = *row->mutable_sources();
  if (std::find(sources.begin(), sources.end(), source) == sources.end()) {
    sources.Add(source);
    std::sort(sources.begin(), sources.end());
  }
}

void AddReceipt(const v1::Receipt& receipt, v1::EnergyRow* row) {
  const v1::EnergyMeasurement& total = receipt.total();
  // The net energy of a sum is known only if that of every part is known.
  row->set_net_known((row->attempts() == 0 || row->net_known()) && total.idle_known());
  row->set_gross_energy_joules(row->gross_energy_joules() + total.gross_energy_joules());
  row->set_net_energy_joules(row->net_energy_joules() + total.net_energy_joules());
  row->set_missing_energy_joules(row->missing_energy_joules() + total.missing_energy_joules());
  row->set_seconds(row->seconds() + total.seconds());
  row->set_attempts(row->attempts() + 1);
  AddSource(receipt.emulated() ? v1::ENERGY_SOURCE_EMULATED : total.source(), row);
}

}  // namespace

EnergyReportBuilder::EnergyReportBuilder(const v1::ReportEnergyRequest& request,
                                         std::map<std::string, v1::DeviceInfo> devices)
    : request_(request), devices_(std::move(devices)) {}

v1::EnergyRow& EnergyReportBuilder::Row(const std::string& key, const std::string& label) {
  v1::EnergyRow& row = rows_[key];
  row.set_key(key);
  row.set_label(label);
  return row;
}

void EnergyReportBuilder::Add(const v1::Job& job) {
  const double until = request_.until_unix_seconds();
  for (const v1::Attempt& attempt : job.attempts()) {
    const double at = attempt.finished_unix_seconds();
    if (!DidWork(attempt.receipt()) || at < request_.since_unix_seconds() ||
        (until > 0.0 && at >= until)) {
      continue;
    }
    const auto device = devices_.find(attempt.device_id());
    switch (request_.by()) {
      case v1::ENERGY_GROUPING_OWNER:
        AddReceipt(attempt.receipt(), &Row(job.spec().owner(), ""));
        break;
      case v1::ENERGY_GROUPING_DEVICE:
        AddReceipt(attempt.receipt(), &Row(attempt.device_id(),
                                           device == devices_.end() ? "" : device->second.name()));
        break;
      case v1::ENERGY_GROUPING_CLASS:
        AddReceipt(attempt.receipt(), &Row(attempt.receipt().device_class(), ""));
        break;
      case v1::ENERGY_GROUPING_DAY:
        AddReceipt(attempt.receipt(),
                   &Row(DayName(static_cast<int64_t>(std::floor(at / kDaySeconds))), ""));
        break;
      default:
        AddReceipt(attempt.receipt(), &Row(job.job_id(), job.spec().name()));
        break;
    }
    AddReceipt(attempt.receipt(), &total_);
  }
}

void EnergyReportBuilder::Add(const LedgerSpan& span) {
  if (request_.by() != v1::ENERGY_GROUPING_DEVICE && request_.by() != v1::ENERGY_GROUPING_CLASS &&
      request_.by() != v1::ENERGY_GROUPING_DAY) {
    return;
  }
  std::map<std::string, v1::EnergyLedger> last;  // key: the device's id
  for (const store::LedgerAt& at : span.before) {
    last[at.device_id] = at.ledger;
  }
  for (const store::LedgerAt& at : span.by_day) {
    const auto device = devices_.find(at.device_id);
    const v1::DeviceInfo unknown;
    const v1::DeviceInfo& info = device == devices_.end() ? unknown : device->second;
    v1::EnergyLedger& before = last[at.device_id];
    // A ledger only grows. A smaller value means that the ledger was restarted, so the whole value
    // counts.
    const auto grown = [](double now, double then) { return now >= then ? now - then : now; };
    const double idle = grown(at.ledger.idle_energy_joules(), before.idle_energy_joules());
    const double overhead =
        grown(at.ledger.overhead_energy_joules(), before.overhead_energy_joules());
    before = at.ledger;
    v1::EnergyRow& row = request_.by() == v1::ENERGY_GROUPING_DAY ? Row(DayName(at.day), "")
                         : request_.by() == v1::ENERGY_GROUPING_CLASS
                             ? Row(info.device_class(), "")
                             : Row(at.device_id, info.name());
    for (v1::EnergyRow* one : {&row, &total_}) {
      one->set_has_ledger(true);
      one->set_idle_energy_joules(one->idle_energy_joules() + idle);
      one->set_overhead_energy_joules(one->overhead_energy_joules() + overhead);
      if (idle + overhead > 0.0) {
        AddSource(info.emulated() ? v1::ENERGY_SOURCE_EMULATED : info.energy_source(), one);
      }
    }
  }
}

v1::EnergyReport EnergyReportBuilder::Build() const {
  v1::EnergyReport report;
  report.set_since_unix_seconds(request_.since_unix_seconds());
  report.set_until_unix_seconds(request_.until_unix_seconds());
  for (const auto& [key, row] : rows_) {
    *report.add_rows() = row;
  }
  if (request_.by() != v1::ENERGY_GROUPING_DAY) {
    std::stable_sort(report.mutable_rows()->begin(), report.mutable_rows()->end(),
                     [](const v1::EnergyRow& a, const v1::EnergyRow& b) {
                       return a.gross_energy_joules() > b.gross_energy_joules();
                     });
  }
  *report.mutable_total() = total_;
  return report;
}

}  // namespace wattle::runtime
