// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/access_view.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/labels.h"
#include "cli/table.h"

#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

std::string LabelWords(const google::protobuf::RepeatedPtrField<v1::Label>& labels) {
  return absl::StrJoin(labels, ", ", [](std::string* out, const v1::Label& label) {
    absl::StrAppend(out, label.key(), "=", label.value());
  });
}

std::string Day(double unix_seconds) {
  return absl::FormatTime("%Y-%m-%d", absl::UnixEpoch() + absl::Seconds(unix_seconds),
                          absl::UTCTimeZone());
}

// The identity's permissions, or why it has none.
std::string StandingWords(const v1::IdentityRecord& record) {
  if (record.revoked()) {
    return absl::StrCat("revoked", record.revoked_reason().empty() ? "" : ": ",
                        record.revoked_reason());
  }
  if (record.waits_for_approval()) {
    return "waits for approval";
  }
  return record.not_after_unix_seconds() == 0.0
             ? "enrolled"
             : absl::StrCat("certificate until ", Day(record.not_after_unix_seconds()));
}

std::string EndWords(const v1::EnrolmentToken& token, absl::Time now) {
  const std::string end = FormatInstant(token.expires_unix_seconds());
  const bool ended = now >= absl::UnixEpoch() + absl::Seconds(token.expires_unix_seconds());
  return ended ? absl::StrCat("expired ", end) : absl::StrCat("until ", end);
}

std::string TokenWords(const v1::EnrolmentToken& token) {
  if (token.kind() == "service") {
    return "token";
  }
  return absl::StrCat(token.approve() ? "token of --approve" : "token", ", used ", token.used(),
                      " of ", token.uses(), " times");
}

// "2 of 5", "2"; "" if there is neither a limit nor use.
std::string UseWords(int64_t used, int64_t most) {
  return most == 0 ? (used == 0 ? "" : absl::StrCat(used)) : absl::StrCat(used, " of ", most);
}

std::string EnergyWords(const v1::QuotaUse& use) {
  const std::string used = FormatEnergy(FromWattHours(use.energy_wh_today()));
  const double most = use.quota().energy_wh_per_day_max();
  return most == 0.0 ? used : absl::StrCat(used, " of ", FormatEnergy(FromWattHours(most)));
}

std::string ArtifactWords(const v1::QuotaUse& use) {
  const int64_t most = use.quota().artifact_bytes_max();
  const std::string used = FormatBytes(use.artifact_bytes());
  return most == 0 ? used : absl::StrCat(used, " of ", FormatBytes(most));
}

}  // namespace

v1::ListIdentitiesResponse OfKind(v1::ListIdentitiesResponse list, absl::string_view kind) {
  if (kind.empty()) {
    return list;
  }
  v1::ListIdentitiesResponse kept;
  for (v1::IdentityRecord& record : *list.mutable_identities()) {
    if (record.kind() == kind) {
      kept.add_identities()->Swap(&record);
    }
  }
  for (v1::EnrolmentToken& token : *list.mutable_tokens()) {
    if (token.kind() == kind) {
      kept.add_tokens()->Swap(&token);
    }
  }
  return kept;
}

std::string RenderIdentities(const v1::ListIdentitiesResponse& list, absl::Time now,
                             const TextStyle& style) {
  Table table({{"kind"},
               {"id"},
               {"role"},
               {"standing", Align::kLeft, true},
               {"since or until"},
               {"labels", Align::kLeft, true, true}});
  for (const v1::IdentityRecord& record : list.identities()) {
    table.AddRow({record.kind(), record.id(), record.role(), StandingWords(record),
                  FormatInstant(record.enrolled_unix_seconds()), LabelWords(record.labels())});
  }
  for (const v1::EnrolmentToken& token : list.tokens()) {
    table.AddRow({token.kind(),
                  token.person().empty() ? token.token_id()
                                         : absl::StrCat(token.person(), " ", token.token_id()),
                  token.role(), TokenWords(token), EndWords(token, now),
                  LabelWords(token.labels())});
  }
  return table.empty() ? "nobody has enrolled; wattle device token lets a board in\n"
                       : table.Render(style);
}

std::string RenderServices(const v1::ListIdentitiesResponse& list, absl::Time now,
                           const TextStyle& style) {
  Table table({{"service"}, {"token"}, {"end"}, {"made by"}});
  for (const v1::EnrolmentToken& token : list.tokens()) {
    if (token.kind() == "service") {
      table.AddRow({token.person(), token.token_id(), EndWords(token, now), token.created_by()});
    }
  }
  return table.empty() ? "no services; wattle service token NAME makes one's token\n"
                       : table.Render(style);
}

v1::GetAuthorityResponse WithDeviceNames(v1::GetAuthorityResponse roots,
                                         const v1::ListDevicesResponse& devices) {
  std::map<std::string, std::string> names;
  for (const v1::Device& device : devices.devices()) {
    names[absl::StrCat("device/", device.info().device_id())] = device.info().name();
  }
  for (v1::TrustedRoot& root : *roots.mutable_roots()) {
    for (std::string& identity : *root.mutable_identity_names()) {
      if (const auto found = names.find(identity); found != names.end()) {
        absl::StrAppend(&identity, " (", Printable(found->second), ")");
      }
    }
  }
  return roots;
}

std::string RenderRoots(const v1::GetAuthorityResponse& roots, const TextStyle& style) {
  Table table({{"root"}, {"until"}, {"use"}, {"certificates", Align::kRight}});
  std::string left;
  for (const v1::TrustedRoot& root : roots.roots()) {
    const std::string name = absl::BytesToHexString(root.root_sha256().substr(0, 8));
    const bool trusted = root.not_after_unix_seconds() != 0.0;
    table.AddRow({name, trusted ? Day(root.not_after_unix_seconds()) : "retired",
                  root.signs() ? "signs"
                  : trusted    ? "trusted"
                               : "locked out",
                  absl::StrCat(root.identities())});
    if (!root.signs() && root.identities() > 0) {
      absl::StrAppend(&left, trusted ? "left under " : "locked out with ", name, ": ",
                      absl::StrJoin(root.identity_names(), ", "),
                      root.identities() > root.identity_names_size() ? ", …" : "", "\n");
    } else if (!root.signs()) {
      absl::StrAppend(&left, "nobody is left under ", name, ": wattle access retire-ca\n");
    }
  }
  return table.Render(style) + left;
}

std::string RenderQuotas(const v1::ListQuotasResponse& quotas, const TextStyle& style) {
  if (quotas.quotas().empty()) {
    return "no quotas; an admin sets one with wattle quota set OWNER --open-jobs N\n";
  }
  Table table({{"owner"},
               {"open jobs", Align::kRight},
               {"submits/min", Align::kRight},
               {"energy today", Align::kRight},
               {"artifacts", Align::kRight}});
  for (const v1::QuotaUse& use : quotas.quotas()) {
    const v1::Quota& quota = use.quota();
    const bool of_all = quota.owner() == "*";
    table.AddRow(
        {quota.project().empty() ? quota.owner() : absl::StrCat("project ", quota.project()),
         of_all && quota.open_jobs_max() > 0 ? absl::StrCat("at most ", quota.open_jobs_max())
                                             : UseWords(use.open_jobs(), quota.open_jobs_max()),
         quota.submits_per_minute_max() == 0
             ? ""
             : absl::StrCat("at most ", quota.submits_per_minute_max()),
         of_all ? (quota.energy_wh_per_day_max() == 0.0
                       ? ""
                       : absl::StrCat("at most ",
                                      FormatEnergy(FromWattHours(quota.energy_wh_per_day_max()))))
                : EnergyWords(use),
         of_all ? (quota.artifact_bytes_max() == 0
                       ? ""
                       : absl::StrCat("at most ", FormatBytes(quota.artifact_bytes_max())))
                : ArtifactWords(use)});
  }
  return table.Render(style);
}

std::string RenderProjects(const v1::ListProjectsResponse& projects, const TextStyle& style) {
  Table table(
      {{"project"}, {"devices with", Align::kLeft, false, true}, {"members", Align::kLeft, true}});
  for (const v1::Project& project : projects.projects()) {
    table.AddRow({project.name(), absl::StrJoin(project.device_labels(), ", "),
                  absl::StrJoin(project.members(), ", ")});
  }
  return table.empty() ? "you are a member of no project\n" : table.Render(style);
}

std::string QuotaWords(const v1::QuotaUse& use) {
  std::vector<std::string> words;
  const v1::Quota& quota = use.quota();
  if (quota.open_jobs_max() > 0) {
    words.push_back(absl::StrCat(UseWords(use.open_jobs(), quota.open_jobs_max()), " open jobs"));
  }
  if (quota.submits_per_minute_max() > 0) {
    words.push_back(absl::StrCat("at most ", quota.submits_per_minute_max(), " submits a minute"));
  }
  if (quota.energy_wh_per_day_max() > 0) {
    words.push_back(absl::StrCat(EnergyWords(use), " today (UTC)"));
  }
  if (quota.artifact_bytes_max() > 0) {
    words.push_back(absl::StrCat(ArtifactWords(use), " of artifacts"));
  }
  return absl::StrJoin(words, ", ");
}

}  // namespace wattle::cli
