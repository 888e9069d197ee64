// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/access_view.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr double kNow = 1'800'000'000;  // 2027-01-15 08:00:00 UTC

absl::Time NowTime() {
  return absl::UnixEpoch() + absl::Seconds(kNow);
}

v1::IdentityRecord Identity(const std::string& kind, const std::string& id) {
  v1::IdentityRecord record;
  record.set_kind(kind);
  record.set_id(id);
  record.set_enrolled_unix_seconds(kNow - 3600);
  return record;
}

v1::EnrolmentToken Token(const std::string& kind, const std::string& id, double end) {
  v1::EnrolmentToken token;
  token.set_kind(kind);
  token.set_token_id(id);
  token.set_expires_unix_seconds(end);
  token.set_uses(1);
  return token;
}

v1::ListIdentitiesResponse Everybody() {
  v1::ListIdentitiesResponse list;
  v1::IdentityRecord waiting = Identity("device", "d1");
  waiting.set_waits_for_approval(true);
  v1::Label& site = *waiting.add_labels();
  site.set_key("site");
  site.set_value("mast3");
  *list.add_identities() = waiting;
  v1::IdentityRecord revoked = Identity("device", "d2");
  revoked.set_revoked(true);
  revoked.set_revoked_reason("stolen");
  *list.add_identities() = revoked;
  v1::IdentityRecord ann = Identity("person", "ann");
  ann.set_role("admin");
  *list.add_identities() = ann;
  v1::EnrolmentToken board = Token("device", "t1", kNow + 3600);
  board.set_approve(true);
  *list.add_tokens() = board;
  v1::EnrolmentToken service = Token("service", "s1", kNow + 3600);
  service.set_person("prometheus");
  service.set_created_by("ann");
  *list.add_tokens() = service;
  service.set_token_id("s2");
  service.set_expires_unix_seconds(kNow);
  *list.add_tokens() = service;
  return list;
}

TEST(AccessViewTest, EveryIdentityAndTokenIsALine) {
  EXPECT_EQ(
      RenderIdentities(Everybody(), NowTime(), {}),
      "kind     id             role   standing                               since or until"
      "                   labels\n"
      "device   d1             -      waits for approval                     2027-01-15 "
      "07:00:00 UTC          site=mast3\n"
      "device   d2             -      revoked: stolen                        2027-01-15 "
      "07:00:00 UTC          -\n"
      "person   ann            admin  enrolled                               2027-01-15 "
      "07:00:00 UTC          -\n"
      "device   t1             -      token of --approve, used 0 of 1 times  until 2027-01-15 "
      "09:00:00 UTC    -\n"
      "service  prometheus s1  -      token                                  until 2027-01-15 "
      "09:00:00 UTC    -\n"
      "service  prometheus s2  -      token                                  expired "
      "2027-01-15 08:00:00 UTC  -\n");
}

TEST(AccessViewTest, AKindAlone) {
  const std::string people = RenderIdentities(OfKind(Everybody(), "person"), NowTime(), {});
  EXPECT_THAT(people, HasSubstr("ann"));
  EXPECT_THAT(people, Not(HasSubstr("d1")));
  EXPECT_THAT(people, Not(HasSubstr("prometheus")));
  EXPECT_EQ(OfKind(Everybody(), "").identities_size(), 3);
}

TEST(AccessViewTest, ServicesAreToldWithTheirEnds) {
  EXPECT_EQ(RenderServices(Everybody(), NowTime(), {}),
            "service     token  end                              made by\n"
            "prometheus  s1     until 2027-01-15 09:00:00 UTC    ann\n"
            "prometheus  s2     expired 2027-01-15 08:00:00 UTC  ann\n");
  EXPECT_THAT(RenderServices({}, NowTime(), {}), HasSubstr("wattle service token NAME"));
}

TEST(AccessViewTest, ACertificatesEndIsTold) {
  v1::ListIdentitiesResponse list;
  v1::IdentityRecord board = Identity("device", "d1");
  board.set_not_after_unix_seconds(kNow);
  *list.add_identities() = board;
  EXPECT_THAT(RenderIdentities(list, NowTime(), {}), HasSubstr("certificate until 2027-01-15"));
}

TEST(AccessViewTest, WhoIsLeftUnderAnOldRootIsNamed) {
  v1::GetAuthorityResponse roots;
  v1::TrustedRoot& signs = *roots.add_roots();
  signs.set_root_sha256(std::string(32, '\x11'));
  signs.set_not_after_unix_seconds(kNow);
  signs.set_signs(true);
  signs.set_identities(12);
  v1::TrustedRoot& old = *roots.add_roots();
  old.set_root_sha256(std::string(32, '\x22'));
  old.set_not_after_unix_seconds(kNow);
  old.set_identities(1);
  old.add_identity_names("device/d1");
  EXPECT_EQ(RenderRoots(roots, {}),
            "root              until       use      certificates\n"
            "1111111111111111  2027-01-15  signs              12\n"
            "2222222222222222  2027-01-15  trusted             1\n"
            "left under 2222222222222222: device/d1\n");
  v1::ListDevicesResponse devices;
  devices.add_devices()->mutable_info()->set_device_id("d1");
  devices.mutable_devices(0)->mutable_info()->set_name("nano-1");
  EXPECT_THAT(RenderRoots(WithDeviceNames(roots, devices), {}),
              HasSubstr("left under 2222222222222222: device/d1 (nano-1)\n"));
  old.set_identities(0);
  old.clear_identity_names();
  EXPECT_THAT(RenderRoots(roots, {}), HasSubstr("nobody is left under 2222222222222222"));
  old.set_identities(1);
  old.add_identity_names("person/ann");
  old.clear_not_after_unix_seconds();
  EXPECT_THAT(RenderRoots(roots, {}), HasSubstr("locked out with 2222222222222222: person/ann"));
}

v1::QuotaUse Ann() {
  v1::QuotaUse ann;
  ann.mutable_quota()->set_owner("ann");
  ann.mutable_quota()->set_open_jobs_max(5);
  ann.mutable_quota()->set_energy_wh_per_day_max(50);
  ann.set_open_jobs(2);
  ann.set_energy_wh_today(4.1);
  ann.mutable_quota()->set_artifact_bytes_max(int64_t{8} << 30);
  ann.set_artifact_bytes(int64_t{3} << 29);
  return ann;
}

TEST(AccessViewTest, AQuotaIsToldBesideItsUse) {
  v1::ListQuotasResponse quotas;
  v1::QuotaUse& everybody = *quotas.add_quotas();
  everybody.mutable_quota()->set_owner("*");
  everybody.mutable_quota()->set_submits_per_minute_max(30);
  *quotas.add_quotas() = Ann();
  EXPECT_EQ(RenderQuotas(quotas, {}),
            "owner  open jobs  submits/min         energy today           artifacts\n"
            "*              -   at most 30                    -                   -\n"
            "ann       2 of 5            -  4.10 Wh of 50.00 Wh  1.5 GiB of 8.0 GiB\n");
  EXPECT_EQ(QuotaWords(Ann()),
            "2 of 5 open jobs, 4.10 Wh of 50.00 Wh today (UTC), 1.5 GiB of 8.0 GiB of artifacts");
  EXPECT_THAT(RenderQuotas({}, {}), HasSubstr("wattle quota set OWNER"));
}

}  // namespace
}  // namespace wattle::cli
