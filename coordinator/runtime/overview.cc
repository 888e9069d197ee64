// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/overview.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "base/status_macros.h"
#include "coordinator/core/lineage.h"
#include "coordinator/core/state.h"
#include "coordinator/runtime/energy_report.h"
#include "coordinator/runtime/unknown_fields.h"
#include "proto/audited_events.h"

namespace wattle::runtime {
namespace {

// Short enough that people notice no delay, long enough that an idle coordinator uses almost no
// processor time.
constexpr absl::Duration kLookInterval = absl::Milliseconds(250);
constexpr size_t kRestoreFindingsMax = 100;
constexpr int kArchivedAtOnce = 1000;  // Jobs read from the history at once.

// Adds the restore and its findings to the status of a restored journal.
void AddRestore(const core::State& state, v1::CoordinatorStatus& status) {
  status.set_epoch(core::EpochOf(state));
  if (status.epoch() == 0 || state.openings.empty()) {
    return;
  }
  const v1::Opening& opening = state.openings.back();
  status.set_restored_unix_seconds(opening.at_unix_seconds());
  status.set_restored_reason(opening.reason());
  const size_t total = state.restore_findings.size();
  status.set_restore_findings_total(static_cast<int64_t>(total));
  for (size_t i = total - std::min(total, kRestoreFindingsMax); i < total; ++i) {
    *status.add_restore_findings() = state.restore_findings[i];
  }
}

// Adds the jobs that left the state. The history may be newer than this version of the state; jobs
// in both are skipped.
absl::Status AddArchived(store::History& history, const core::State& state,
                         const core::Scope& scope, EnergyReportBuilder& builder) {
  store::HistoryQuery query{.limit = kArchivedAtOnce};
  while (true) {
    WATTLE_ASSIGN_OR_RETURN(const std::vector<v1::Job> page, history.Jobs(query));
    if (page.empty()) {
      return absl::OkStatus();
    }
    for (const v1::Job& job : page) {
      if (scope.Covers(job.spec()) && core::FindJob(state, JobId(job.job_id())) == nullptr) {
        builder.Add(job);
      }
    }
    query.before_number = *core::JobNumber(page.back().job_id());
  }
}

// Matches the kind of an event, which begins with its subject: "token_created".
bool StartsWithAnyOf(std::initializer_list<absl::string_view> beginnings,
                     const v1::FleetEvent& event) {
  return std::any_of(beginnings.begin(), beginnings.end(), [&event](absl::string_view begin) {
    return absl::StartsWith(event.kind(), begin);
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Overview>> Overview::Open(Runtime& runtime,
                                                         std::function<void()> before_look) {
  WATTLE_ASSIGN_OR_RETURN(std::unique_ptr<store::JournalReader> journal,
                          store::JournalReader::Open(runtime.options().journal_path));
  std::unique_ptr<Overview> overview(new Overview(runtime, std::move(journal)));
  WATTLE_RETURN_IF_ERROR(overview->feed_.Look());
  overview->feeder_ = std::thread([feed = &overview->feed_, before_look = std::move(before_look)] {
    feed->Run(kLookInterval, before_look);
  });
  return overview;
}

Overview::Overview(Runtime& runtime, std::unique_ptr<store::JournalReader> journal)
    : runtime_(runtime), journal_(std::move(journal)), feed_(runtime, *journal_) {}

Overview::~Overview() {
  Stop();
  if (feeder_.joinable()) {
    feeder_.join();
  }
}

void Overview::Stop() {
  feed_.Stop();
}

absl::StatusOr<v1::CoordinatorStatus> Overview::GetCoordinator(
    const v1::GetCoordinatorRequest& request) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  const RuntimeOptions& options = runtime_.options();
  v1::CoordinatorStatus status = runtime_.Read([](const core::State& state) {
    v1::CoordinatorStatus told;
    told.set_last_sequence(state.last_sequence.value());
    told.set_lineage_id(state.lineage_id);
    told.set_open_jobs(static_cast<int64_t>(state.open_jobs.size()));
    AddRestore(state, told);
    return told;
  });
  status.set_unix_seconds(core::ToUnix(runtime_.Now().wall));
  status.set_started_unix_seconds(core::ToUnix(runtime_.started().wall));
  status.set_unreachable_after_seconds(absl::ToDoubleSeconds(options.unreachable_after));
  std::error_code error;
  const std::filesystem::space_info space =
      std::filesystem::space(std::filesystem::path(options.journal_path).parent_path(), error);
  if (!error) {
    status.set_has_data_space(true);
    status.set_data_free_bytes(static_cast<int64_t>(space.available));
    status.set_data_size_bytes(static_cast<int64_t>(space.capacity));
  }
  return status;
}

bool Overview::Covers(const core::Scope& scope, const v1::FleetEvent& event) const {
  const std::shared_ptr<const core::State> state = runtime_.Version();
  if (scope.all()) {
    return true;
  }
  // Only callers who may list tokens and identities see events about them, and refused calls.
  if (IsRefusal(event.kind()) || StartsWithAnyOf({"token", "identity", "authority"}, event)) {
    return false;
  }
  if (state->projects.empty()) {
    return true;
  }
  if (!event.job_id().empty()) {
    const v1::JobRecord* const record = core::FindJob(*state, JobId(event.job_id()));
    if (record != nullptr) {
      return scope.Covers(record->job().spec());
    }
    const absl::StatusOr<v1::Job> archived = runtime_.history().Job(JobId(event.job_id()));
    return archived.ok() && scope.Covers(archived->spec());
  }
  // Names of artifacts and memberships of projects are hidden from other projects.
  return !StartsWithAnyOf({"artifact", "project", "member", "quota"}, event);
}

absl::StatusOr<v1::EnergyReport> Overview::ReportEnergy(const v1::ReportEnergyRequest& request,
                                                        const core::Scope& scope) const {
  WATTLE_RETURN_IF_ERROR(RefuseUnknownFields(request));
  const double since = request.since_unix_seconds();
  const double until = request.until_unix_seconds();
  // The negated comparison also refuses NaN.
  if (!(since >= 0.0 && until >= 0.0) || (until > 0.0 && until <= since)) {
    return absl::InvalidArgumentError(
        "since_unix_seconds, until_unix_seconds: want a span: since before until, none negative");
  }
  const std::shared_ptr<const core::State> state = runtime_.Version();
  std::map<std::string, v1::DeviceInfo> devices;
  for (const auto& [id, record] : state->devices) {
    devices[id.value()] = record.info();
  }
  EnergyReportBuilder builder(request, std::move(devices));
  for (const auto& [number, record] : state->jobs) {
    if (scope.Covers(record.job().spec())) {
      builder.Add(record.job());
    }
  }
  WATTLE_RETURN_IF_ERROR(AddArchived(runtime_.history(), *state, scope, builder));
  constexpr double kForever = 1e18;
  LedgerSpan span;
  WATTLE_ASSIGN_OR_RETURN(span.before, journal_->LedgersBefore(since));
  WATTLE_ASSIGN_OR_RETURN(span.by_day,
                          journal_->LedgersByDay(since, until > 0.0 ? until : kForever));
  builder.Add(span);
  return builder.Build();
}

}  // namespace wattle::runtime
