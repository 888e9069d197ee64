// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/audited_events.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "wattle/v1/journal.pb.h"

namespace wattle {
namespace {

// A new event of the journal is either in the audit or listed here.
TEST(AuditedEventsTest, EveryEventIsOfTheAuditOrOfTheWork) {
  const std::set<std::string> of_the_work = {
      "job_state_changed", "job_input_resolved",  "attempt_placed",        "attempt_state_changed",
      "attempt_adopted",   "attempt_recovered",   "job_archived",          "job_checkpoint_stored",
      "attempt_released",  "device_registered",   "report_accepted",       "ledger_recorded",
      "report_stored",     "profile_updated",     "restore_finding",       "device_problem_changed",
      "model_measured",    "upgrade_stage_began", "device_upgrade_changed"};
  const google::protobuf::OneofDescriptor& kinds = *v1::Event::descriptor()->oneof_decl(0);
  for (int i = 0; i < kinds.field_count(); ++i) {
    const std::string& kind = kinds.field(i)->name();
    EXPECT_NE(IsAudited(kind), of_the_work.contains(kind)) << kind;
  }
  for (const std::string& kind : AuditedKinds()) {
    EXPECT_NE(v1::Event::descriptor()->FindFieldByName(kind), nullptr) << kind;
  }
  EXPECT_TRUE(IsAudited(kCallRefused));
  EXPECT_FALSE(IsAudited("device_connected"));
}

TEST(AuditedEventsTest, TheTextSaysWhoAndFromWhere) {
  v1::FleetEvent event;
  event.set_text("policy solar applied");
  EXPECT_EQ(AuditText(event), "policy solar applied") << "of an older journal";
  event.set_caller("local");
  EXPECT_EQ(AuditText(event), "policy solar applied; local");
  event.set_caller("person ada");
  event.set_caller_address("10.0.0.7");
  EXPECT_EQ(AuditText(event), "policy solar applied; person ada from 10.0.0.7");
  event.clear_caller();
  EXPECT_EQ(AuditText(event), "policy solar applied; from 10.0.0.7") << "without TLS";
}

}  // namespace
}  // namespace wattle
