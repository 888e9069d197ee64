// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/access_view.h"

#include <vector>

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

// What the identity may do, or why it may not.
std::string StandingWords(const v1::IdentityRecord& record) {
  if (record.revoked()) {
    return absl::StrCat("revoked", record.revoked_reason().empty() ? "" : ": ",
                        record.revoked_reason());
  }
  return record.waits_for_approval() ? "waits for approval" : "enrolled";
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

// "2 of 5", "2"; "" where nothing is limited and used.
std::string UseWords(int64_t used, int64_t most) {
  return most == 0 ? (used == 0 ? "" : absl::StrCat(used)) : absl::StrCat(used, " of ", most);
}

std::string EnergyWords(const v1::QuotaUse& use) {
  const std::string used = FormatEnergy(FromWattHours(use.energy_wh_today()));
  const double most = use.quota().energy_wh_per_day_max();
  return most == 0.0 ? used : absl::StrCat(used, " of ", FormatEnergy(FromWattHours(most)));
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

std::string RenderQuotas(const v1::ListQuotasResponse& quotas, const TextStyle& style) {
  if (quotas.quotas().empty()) {
    return "no quotas; an admin sets one with wattle quota set OWNER --open-jobs N\n";
  }
  Table table({{"owner"},
               {"open jobs", Align::kRight},
               {"submits/min", Align::kRight},
               {"energy today", Align::kRight}});
  for (const v1::QuotaUse& use : quotas.quotas()) {
    const v1::Quota& quota = use.quota();
    const bool of_all = quota.owner() == "*";
    table.AddRow(
        {quota.owner(),
         of_all && quota.open_jobs_max() > 0 ? absl::StrCat("at most ", quota.open_jobs_max())
                                             : UseWords(use.open_jobs(), quota.open_jobs_max()),
         quota.submits_per_minute_max() == 0
             ? ""
             : absl::StrCat("at most ", quota.submits_per_minute_max()),
         of_all ? (quota.energy_wh_per_day_max() == 0.0
                       ? ""
                       : absl::StrCat("at most ",
                                      FormatEnergy(FromWattHours(quota.energy_wh_per_day_max()))))
                : EnergyWords(use)});
  }
  return table.Render(style);
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
  return absl::StrJoin(words, ", ");
}

}  // namespace wattle::cli
