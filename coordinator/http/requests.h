// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Parses a request's path and query. Pure; thread-safe.
#ifndef WATTLE_COORDINATOR_HTTP_REQUESTS_H_
#define WATTLE_COORDINATOR_HTTP_REQUESTS_H_

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "wattle/v1/service.pb.h"

namespace httplib {
struct Request;
}  // namespace httplib

namespace wattle::http {

// "/api/v1/jobs/([^/]+)" for "/api/v1/jobs/{job}".
std::string PatternOf(const std::string& route);
// Whether a request of this path is for the route, whatever its method.
bool IsOnRoute(const std::string& path, const std::string& route);

// Checks the API's queries only, because Prometheus may add fields to the query of a page that it
// scrapes. Errors: kInvalidArgument for an unknown field, with the valid ones.
absl::Status CheckFields(const httplib::Request& request, const std::set<std::string>& fields);

// The query of GET /api/v1/jobs. Errors: kInvalidArgument, which names the field.
std::set<std::string> ListJobsFields();
absl::StatusOr<v1::ListJobsRequest> ParseListJobs(const httplib::Request& request);

}  // namespace wattle::http

#endif  // WATTLE_COORDINATOR_HTTP_REQUESTS_H_
