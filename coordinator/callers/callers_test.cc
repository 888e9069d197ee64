// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Certificates that the fleet's authority has signed, but that prove no identity.
#include "coordinator/callers/callers.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/tls/certificate.h"
#include "coordinator/core/command.h"
#include "coordinator/runtime/overview.h"
#include "coordinator/runtime/testing/runtime_fixture.h"
#include "proto/audited_events.h"

namespace wattle::callers {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class CallersTest : public runtime::RuntimeFixture {
 protected:
  static std::string CertificateOf(const std::string& uri, absl::Duration begin = -absl::Hours(1)) {
    const std::string key = *tls::NewKey();
    return *tls::SignCertificate({.use = tls::Use::kClient,
                                  .public_key_pem = *tls::PublicKeyOf(key),
                                  .common_name = "d1",
                                  .uri = uri,
                                  .not_before = absl::Now() + begin,
                                  .not_after = absl::Now() + begin + absl::Hours(48)},
                                 "", key);
  }
  // The verdict on a call of this method with the certificate.
  absl::Status Judge(const std::string& certificate,
                     absl::string_view method = "/wattle.v1.FleetService/Connect",
                     const CallLimits::Most& most = {}) {
    const Callers callers(*runtime_, "f1", std::make_shared<CallLimits>(most));
    const auto caller = callers.OfCertificate(certificate);
    return caller.ok() ? callers.Admit(*caller, method) : caller.status();
  }

  const std::unique_ptr<runtime::Runtime> runtime_ = StartRuntime();
};

TEST_F(CallersTest, ACertificateNamesOneOfThisFleet) {
  EXPECT_THAT(Judge(CertificateOf("spiffe://f1/device/d1")), IsOk());
  const std::string two = CertificateOf("spiffe://f1/device/d1,URI:spiffe://f1/person/ann");
  ASSERT_EQ(tls::ReadCertificate(two)->uris.size(), 2U);
  for (const std::string& certificate :
       {CertificateOf(""), two, CertificateOf("spiffe://f2/device/d1"),
        CertificateOf("spiffe://f1/coordinator"), CertificateOf("spiffe://f1/king/d1"),
        CertificateOf("spiffe://f1/device/d1/more"), CertificateOf("https://f1/device/d1")}) {
    EXPECT_THAT(Judge(certificate),
                StatusIs(absl::StatusCode::kUnauthenticated,
                         AllOf(HasSubstr("the certificate names nobody of this fleet"),
                               HasSubstr("TOKEN"))));
  }
}

TEST_F(CallersTest, AnExpiredCertificateRenewsForAsLongAsTheFlagSays) {
  const std::string certificate = CertificateOf("spiffe://f1/device/d1", -absl::Hours(72));
  constexpr char kRenew[] = "/wattle.v1.AccessService/Renew";
  EXPECT_THAT(Judge(certificate, kRenew), IsOk());
  EXPECT_THAT(Judge(certificate, kRenew, {.renew_after_expiry = absl::Hours(25)}), IsOk());
  EXPECT_THAT(
      Judge(certificate, kRenew, {.renew_after_expiry = absl::Hours(23)}),
      StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("enrol again by a new token")));
}

// Invented methods must not fill the audit's memory.
TEST_F(CallersTest, MethodsThatDoNotExistCountAsOne) {
  const auto limits = std::make_shared<CallLimits>();
  const Callers callers(*runtime_, "f1", limits);
  std::vector<std::string> lines;
  limits->refused_calls().SetTell([&](const std::string& line) { lines.push_back(line); });
  const absl::Status why = absl::UnauthenticatedError("no certificate");
  for (int i = 0; i < 50; ++i) {
    callers.NoteRefusal("", absl::StrCat("/x", i), why);
    callers.NoteRefusal("", "/wattle.v1.JobService/ListJobs", why);
    callers.NoteRefusal("", "GET /metrics", why);
  }
  EXPECT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0], "a stranger was refused a method that does not exist: no certificate");
  limits->refused_calls().SetTell(nullptr);
}

// Also readable by another version and after a restart.
TEST_F(CallersTest, RefusalsAreAnEventOfTheJournal) {
  CallLimits limits;
  limits.refused_calls().Note("person eve", "GET /metrics", "no role", runtime_->Now().monotonic);
  JournalRefusals(limits.refused_calls(), *runtime_);
  const auto audited = [this] {
    const auto overview = runtime::Overview::Open(*runtime_);
    EXPECT_THAT(overview, IsOk());
    const auto page = (*overview)->feed().Audited(10, 0);
    EXPECT_THAT(page, IsOk());
    std::vector<std::string> texts;
    for (const v1::FleetEvent& event : page->events) {
      if (event.kind() == kRefusalsCounted) {
        texts.push_back(event.text());
      }
    }
    return texts;
  };
  EXPECT_TRUE(audited().empty()) << "the minute is not over";
  JournalRefusals(limits.refused_calls(), *runtime_, absl::ZeroDuration());
  // Behind it in the queue.
  ASSERT_THAT(Ask(*runtime_, core::Tick{}).status, IsOk());
  EXPECT_THAT(audited(), testing::ElementsAre("1 call was refused within 1 s: person eve GET "
                                              "/metrics (no role)"));
}

TEST_F(CallersTest, ARefusedCertificateIsCountedByItsUri) {
  const Callers callers(*runtime_, "f1",
                        std::make_shared<CallLimits>(
                            CallLimits::Most{.calls_per_second = 0.001, .calls_at_once = 1}));
  const std::string uri = "spiffe://f1/device/d1";
  EXPECT_EQ(callers.ShownBy(CertificateOf(uri), "a stranger"), uri);
  EXPECT_EQ(callers.ShownBy("no certificate", "a stranger"), "callers of no fleet");
  EXPECT_EQ(callers.ShownBy("", "a stranger"), "a stranger");
  const absl::Status why = absl::PermissionDeniedError("d1 was revoked");
  EXPECT_EQ(callers.CountRefused(uri, why), why);
  EXPECT_THAT(callers.CountRefused(uri, why),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("device/d1: more than")));
}

TEST_F(CallersTest, ACertificateThatBeginsLaterIsRefusedWithBothTimes) {
  EXPECT_THAT(
      Judge(CertificateOf("spiffe://f1/device/d1", absl::Hours(30))),
      StatusIs(absl::StatusCode::kUnauthenticated,
               AllOf(HasSubstr("the certificate of device d1 begins at "),
                     HasSubstr("the coordinator's clock says "), HasSubstr("set the coord"))));
  EXPECT_THAT(Judge(CertificateOf("spiffe://f1/device/d1", absl::Hours(30)),
                    "/wattle.v1.AccessService/Renew"),
              IsOk());
  EXPECT_THAT(Judge("no certificate"), testing::Not(IsOk()));
}

}  // namespace
}  // namespace wattle::callers
