// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Text for people: who has access, and which quotas apply. Pure.
#ifndef WATTLE_CLI_ACCESS_VIEW_H_
#define WATTLE_CLI_ACCESS_VIEW_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/text_style.h"

#include "wattle/v1/access.pb.h"
#include "wattle/v1/service.pb.h"

namespace wattle::cli {

// Keeps only the identities of the kind "device", "person" or "service"; empty: all.
v1::ListIdentitiesResponse OfKind(v1::ListIdentitiesResponse list, absl::string_view kind);

std::string RenderIdentities(const v1::ListIdentitiesResponse& list, absl::Time now,
                             const TextStyle& style);
// Only the tokens of services.
std::string RenderServices(const v1::ListIdentitiesResponse& list, absl::Time now,
                           const TextStyle& style);

// Adds the name of each board after its id: "device/ID (NAME)".
v1::GetAuthorityResponse WithDeviceNames(v1::GetAuthorityResponse roots,
                                         const v1::ListDevicesResponse& devices);
// One line for each root; then the names of those whose certificate is from an old root.
std::string RenderRoots(const v1::GetAuthorityResponse& roots, const TextStyle& style);

// Projects with their labels and members.
std::string RenderProjects(const v1::ListProjectsResponse& projects, const TextStyle& style);
std::string RenderQuotas(const v1::ListQuotasResponse& quotas, const TextStyle& style);
// One line: "2 of 5 open jobs, 4.1 Wh of 50.0 Wh today (UTC)".
std::string QuotaWords(const v1::QuotaUse& use);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_ACCESS_VIEW_H_
