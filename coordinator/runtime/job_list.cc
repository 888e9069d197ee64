// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/job_list.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "proto/kind_name.h"

namespace wattle::runtime {
namespace {

constexpr int kJobsDefault = 100;
constexpr int kJobsMax = 1000;
// Bytes of whole jobs in one answer, below the 4 MiB that gRPC clients accept by default.
constexpr size_t kPageBytesMax = (size_t{4} << 20) - (size_t{128} << 10);

template <typename Values, typename Value>
bool IsAmong(const Values& values, const Value& value) {
  return values.empty() || std::find(values.begin(), values.end(), value) != values.end();
}

bool IsWanted(const v1::Job& job, const v1::ListJobsRequest& request) {
  return IsAmong(request.states(), job.state()) && IsAmong(request.owners(), job.spec().owner()) &&
         IsAmong(request.kinds(), KindName(job.spec())) &&
         job.submitted_unix_seconds() >= request.submitted_since_unix_seconds();
}

absl::StatusOr<store::HistoryQuery> QueryOf(const v1::ListJobsRequest& request) {
  if (request.limit() < 0 || request.limit() > kJobsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("limit: ", request.limit(), ", wanted 0 to ", kJobsMax));
  }
  store::HistoryQuery query;
  query.limit = request.limit() == 0 ? kJobsDefault : request.limit();
  query.before_number = std::numeric_limits<int64_t>::max();
  if (!request.page_token().empty() &&
      (!absl::SimpleAtoi(request.page_token(), &query.before_number) || query.before_number < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_token: \"", request.page_token(),
                     "\"; wanted the next_page_token of an earlier answer, or nothing"));
  }
  for (const int state : request.states()) {
    query.states.push_back(static_cast<v1::JobState>(state));
  }
  query.owners.assign(request.owners().begin(), request.owners().end());
  query.kinds.assign(request.kinds().begin(), request.kinds().end());
  query.submitted_since_unix_seconds = request.submitted_since_unix_seconds();
  return query;
}

int64_t NumberOf(const v1::Job& job) {
  return core::JobNumber(job.job_id()).value_or(0);
}

// The history has no column for projects, so the query continues until enough jobs of the scope are
// found.
absl::StatusOr<std::vector<v1::Job>> ArchivedJobs(store::History& history,
                                                  store::HistoryQuery query,
                                                  const core::Scope& scope) {
  const auto wanted = static_cast<size_t>(query.limit);
  std::vector<v1::Job> found;
  while (true) {
    WATTLE_ASSIGN_OR_RETURN(std::vector<v1::Job> jobs, history.Jobs(query));
    const bool is_last = jobs.size() < wanted;
    if (!jobs.empty()) {
      query.before_number = NumberOf(jobs.back());
    }
    for (v1::Job& job : jobs) {
      if (found.size() < wanted && scope.Covers(job.spec())) {
        found.push_back(std::move(job));
      }
    }
    if (is_last || found.size() == wanted) {
      return found;
    }
  }
}

}  // namespace

absl::StatusOr<JobPage> ListJobs(const core::State& state, store::History& history,
                                 const v1::ListJobsRequest& request, const core::Scope& scope) {
  WATTLE_ASSIGN_OR_RETURN(store::HistoryQuery query, QueryOf(request));
  const auto limit = static_cast<size_t>(query.limit);
  // Queries one job more than the limit, which shows whether there is a next page.
  ++query.limit;
  std::vector<v1::Job> jobs;
  auto live = state.jobs.lower_bound(query.before_number);
  while (live != state.jobs.begin() && jobs.size() <= limit) {
    --live;
    if (IsWanted(live->second.job(), request) && scope.Covers(live->second.job().spec())) {
      jobs.push_back(live->second.job());
    }
  }
  WATTLE_ASSIGN_OR_RETURN(std::vector<v1::Job> archived, ArchivedJobs(history, query, scope));
  std::move(archived.begin(), archived.end(), std::back_inserter(jobs));
  // The history may be newer than this version of the state, so a job can be in both.
  std::stable_sort(jobs.begin(), jobs.end(),
                   [](const v1::Job& a, const v1::Job& b) { return NumberOf(a) > NumberOf(b); });
  jobs.erase(
      std::unique(jobs.begin(), jobs.end(),
                  [](const v1::Job& a, const v1::Job& b) { return a.job_id() == b.job_id(); }),
      jobs.end());

  JobPage page;
  size_t bytes = 0;
  for (v1::Job& job : jobs) {
    bytes += request.summaries() ? 0 : job.ByteSizeLong();
    if (page.jobs.size() == limit || (bytes > kPageBytesMax && !page.jobs.empty())) {
      page.next_page_token = absl::StrCat(NumberOf(page.jobs.back()));
      break;
    }
    page.jobs.push_back(std::move(job));
  }
  return page;
}

}  // namespace wattle::runtime
