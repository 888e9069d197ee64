// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/access/access_table.h"

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/access/testing/expected_access_for_test.h"

namespace wattle::access {
namespace {

using testing::HasSubstr;

struct Case {
  Resource resource;
  std::string covered_by;  // Which letters of Expected cover the resource.
};

const std::map<std::string, Case>& Cases() {
  static const auto& cases = *new std::map<std::string, Case>{
      {"own job", {{"p1", "ann", ""}, "apo"}},
      {"another's job of the project", {{"p1", "bob", ""}, "ap"}},
      {"own job of a foreign project", {{"p2", "ann", ""}, "a"}},
      {"foreign job", {{"p2", "bob", ""}, "a"}},
      {"own device", {{"", "", "ann"}, "ad"}},
      {"foreign device", {{"", "", "bob"}, "a"}},
      {"nothing in particular", {{"", "", ""}, "a"}},
  };
  return cases;
}

// role: kRoles for none.
Identity IdentityWith(size_t role) {
  Identity identity{"ann", {}, {"p1"}, "ask an admin"};
  if (role < kRoles) {
    identity.roles.insert(static_cast<Role>(role));
  }
  return identity;
}

TEST(AccessTableTest, EveryRoleMayWhatIsWrittenAndNothingElse) {
  int cells = 0;
  for (const auto& [method, letters] : Expected()) {
    for (size_t role = 0; role <= kRoles; ++role) {
      const Identity identity = IdentityWith(role);
      for (const auto& [name, one] : Cases()) {
        const bool may = one.covered_by.find(letters[role]) != std::string::npos;
        EXPECT_EQ(Decide(identity, method, one.resource).ok(), may)
            << method << ", role " << role << ", " << name;
        ++cells;
      }
    }
  }
  for (const auto& [method, letters] : Expected()) {
    for (size_t role = 0; role <= kRoles; ++role) {
      const Identity identity = IdentityWith(role);
      EXPECT_EQ(DecideMethod(identity, method).ok(), letters[role] != '-') << method << role;
    }
  }
  EXPECT_EQ(AccessTable().size(), Expected().size()) << "a row without an expectation";
  RecordProperty("cells", cells);
  EXPECT_EQ(static_cast<size_t>(cells), AccessTable().size() * (kRoles + 1) * Cases().size());
}

// Whether the row allows exactly the calls that the expectation allows for its method.
bool IsAsWritten(const AccessRow& row) {
  const std::string letters = Expected().at(std::string(row.method));
  for (size_t role = 0; role <= kRoles; ++role) {
    const Identity identity = IdentityWith(role);
    for (const auto& [name, one] : Cases()) {
      const bool may = one.covered_by.find(letters[role]) != std::string::npos;
      if (DecideByRow(row, identity, one.resource).ok() != may) {
        return false;
      }
    }
  }
  return true;
}

// The expectation detects each changed cell, and each missing check of a resource.
TEST(AccessTableTest, EveryMutantOfTheTableDies) {
  int mutants = 0;
  for (const AccessRow& row : AccessTable()) {
    ASSERT_TRUE(IsAsWritten(row)) << row.method;
    AccessRow mutant = row;
    mutant.for_strangers = !row.for_strangers;
    EXPECT_FALSE(IsAsWritten(mutant)) << row.method << ": for strangers";
    ++mutants;
    for (size_t role = 0; role < kRoles && !row.for_strangers; ++role) {
      for (const Whose whose :
           {Whose::kNobodys, Whose::kOwnProject, Whose::kOwn, Whose::kOwnDevice, Whose::kAll}) {
        mutant = row;
        mutant.whose[role] = whose;
        if (whose != row.whose[role]) {
          EXPECT_FALSE(IsAsWritten(mutant))
              << row.method << ": " << RoleName(static_cast<Role>(role)) << " as "
              << static_cast<int>(whose);
          ++mutants;
        }
      }
    }
  }
  RecordProperty("mutants", mutants);
  EXPECT_GT(mutants, 1000);
}

TEST(AccessTableTest, ANamelessCallerOwnsNothing) {
  const Identity nameless{"", {Role::kSubmitter, Role::kWorker}, {"", "p1"}, ""};
  EXPECT_FALSE(Decide(nameless, "/wattle.v1.JobService/CancelJob", {"p1", "", ""}).ok());
  EXPECT_FALSE(Decide(nameless, "/wattle.v1.JobService/GetJob", {"", "", ""}).ok());
  EXPECT_FALSE(Decide(nameless, "/wattle.v1.FleetService/Connect", {"", "", ""}).ok());
}

TEST(AccessTableTest, ARefusalNamesTheMissingRoleAndWhoGivesIt) {
  const Identity viewer{"ann", {Role::kViewer}, {"p1"}, "an admin gives roles"};
  EXPECT_THAT(Decide(viewer, "POST /api/v1/devices/{device}/drain", {}),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       "POST /api/v1/devices/{device}/drain: ann has the role viewer; wanted: "
                       "operator, admin; an admin gives roles"));
  EXPECT_THAT(Decide(viewer, "GET /api/v1/jobs/{job}", {"p2", "", ""}),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("does not cover this one")));
  EXPECT_THAT(Decide({}, "GET /metrics", {}),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("a stranger has no role")));
}

TEST(AccessTableTest, WhatHasNoRowIsForNobody) {
  const Identity admin{"ann", {Role::kAdmin}, {}, ""};
  EXPECT_FALSE(Decide(admin, "/wattle.v1.JobService/Nonesuch", {}).ok());
  EXPECT_THAT(RequireRow("/wattle.v1.JobService/Nonesuch"),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("Nonesuch: has no row")));
  EXPECT_THAT(RequireRow("GET /healthz"), IsOk());
}

TEST(AccessTableTest, RolesHaveNames) {
  for (int i = 0; i < kRoles; ++i) {
    EXPECT_EQ(ParseRole(RoleName(static_cast<Role>(i))), static_cast<Role>(i));
  }
  EXPECT_EQ(ParseRole("root"), std::nullopt);
}

}  // namespace
}  // namespace wattle::access
