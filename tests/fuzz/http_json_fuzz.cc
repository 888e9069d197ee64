// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "base/status_macros.h"
#include "coordinator/http/json.h"
#include "tests/fuzz/fuzz_target.h"
#include "wattle/v1/service.pb.h"

WATTLE_FUZZ_TARGET(http_json, bytes) {
  v1::SubmitJobRequest request;
  WATTLE_RETURN_IF_ERROR(http::FromJson(std::string(bytes), request));
  v1::SubmitJobRequest again;
  WATTLE_CHECK(http::FromJson(http::ToJson(request), again).ok(), "its own JSON is read");
  v1::ApplyPolicyRequest policy;
  return http::FromJson(std::string(bytes), policy);
}
