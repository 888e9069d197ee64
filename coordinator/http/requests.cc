// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/http/requests.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/descriptor.h"
#include "httplib.h"

#include "wattle/v1/spec.pb.h"

namespace wattle::http {
namespace {

bool IsPlaceholder(absl::string_view part) {
  return absl::StartsWith(part, "{");
}

absl::Status CheckKind(const std::string& kind) {
  const google::protobuf::OneofDescriptor* const kinds =
      v1::JobSpec::descriptor()->FindOneofByName("kind");
  std::vector<std::string> known;
  for (int i = 0; i < kinds->field_count(); ++i) {
    known.push_back(kinds->field(i)->name());
    if (known.back() == kind) {
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("kind: \"", kind, "\", wanted one of ", absl::StrJoin(known, ", ")));
}

}  // namespace

std::string PatternOf(const std::string& route) {
  std::vector<std::string> parts = absl::StrSplit(route, '/');
  for (std::string& part : parts) {
    if (IsPlaceholder(part)) {
      part = "([^/]+)";
    }
  }
  return absl::StrJoin(parts, "/");
}

bool IsOnRoute(const std::string& path, const std::string& route) {
  const std::vector<absl::string_view> is = absl::StrSplit(path, '/');
  const std::vector<absl::string_view> wanted = absl::StrSplit(route, '/');
  if (is.size() != wanted.size()) {
    return false;
  }
  for (size_t i = 0; i < is.size(); ++i) {
    if (IsPlaceholder(wanted[i]) ? is[i].empty() : is[i] != wanted[i]) {
      return false;
    }
  }
  return true;
}

absl::Status CheckFields(const httplib::Request& request, const std::set<std::string>& fields) {
  // The library counts a form in the body as fields of the query.
  if (!absl::StartsWith(request.path, "/api/") || !absl::StrContains(request.target, '?')) {
    return absl::OkStatus();
  }
  for (const auto& [field, value] : request.params) {
    if (!fields.contains(field)) {
      return absl::InvalidArgumentError(absl::StrCat(
          request.method, " ", request.path, ": \"", field, "\" is no field of its query; ",
          fields.empty() ? "it takes none" : "it takes ", absl::StrJoin(fields, ", ")));
    }
  }
  return absl::OkStatus();
}

std::set<std::string> ListJobsFields() {
  return {"kind", "limit", "owner", "page_token", "state", "summaries"};
}

absl::StatusOr<v1::ListJobsRequest> ParseListJobs(const httplib::Request& request) {
  v1::ListJobsRequest list;
  if (request.has_param("limit")) {
    int32_t limit = 0;
    if (!absl::SimpleAtoi(request.get_param_value("limit"), &limit)) {
      return absl::InvalidArgumentError(
          absl::StrCat("limit: \"", request.get_param_value("limit"), "\" is not a number"));
    }
    list.set_limit(limit);
  }
  list.set_page_token(request.get_param_value("page_token"));
  for (size_t i = 0; i < request.get_param_value_count("owner"); ++i) {
    list.add_owners(request.get_param_value("owner", i));
  }
  for (size_t i = 0; i < request.get_param_value_count("kind"); ++i) {
    list.add_kinds(request.get_param_value("kind", i));
    if (const absl::Status known = CheckKind(list.kinds(static_cast<int>(i))); !known.ok()) {
      return known;
    }
  }
  const std::string summaries = request.get_param_value("summaries");
  if (!summaries.empty() && summaries != "true" && summaries != "false") {
    return absl::InvalidArgumentError(
        absl::StrCat("summaries: \"", summaries, "\", wanted true or false"));
  }
  list.set_summaries(summaries == "true");
  for (size_t i = 0; i < request.get_param_value_count("state"); ++i) {
    const std::string name = request.get_param_value("state", i);
    v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
    if (!v1::JobState_Parse(name, &state)) {
      return absl::InvalidArgumentError(
          absl::StrCat("state: \"", name, "\", wanted a name like JOB_STATE_ACTIVE"));
    }
    list.add_states(state);
  }
  return list;
}

}  // namespace wattle::http
