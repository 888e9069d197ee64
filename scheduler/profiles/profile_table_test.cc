// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the table, its keys, and the rows that it refuses.
#include "scheduler/profiles/profile_table.h"

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/profiles/signature_fields.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;

v1::ProfileRow MakeRow() {
  v1::ProfileRow row;
  row.set_device_class("jetson-orin-nano");
  row.set_source(v1::PROFILE_SOURCE_MEASURED);
  row.set_source_note("attempt j1.1");
  row.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  v1::WorkloadSignature& signature = *row.mutable_signature();
  signature.set_method(v1::METHOD_FINETUNE_FULL);
  signature.mutable_model()->set_architecture("gpt2");
  signature.mutable_model()->set_layers(6);
  signature.mutable_model()->set_width(384);
  signature.mutable_model()->set_heads(6);
  signature.mutable_model()->set_vocabulary_size(50257);
  signature.mutable_model()->set_context_length(512);
  signature.set_batch_size(8);
  signature.set_sequence_length(128);
  for (auto [statistic, value] : {std::pair(row.mutable_seconds_per_unit(), 0.002),
                                  std::pair(row.mutable_power_watts(), 10.0),
                                  std::pair(row.mutable_energy_joules_per_unit(), 0.02)}) {
    statistic->set_mean(value);
    statistic->set_count(1);
  }
  return row;
}

// The rows of a class that are of the workload, found by looking at every row.
std::vector<const v1::ProfileRow*> LookedUp(const ProfileTable& table, const v1::ProfileRow& like) {
  std::vector<const v1::ProfileRow*> rows;
  for (const auto& [key, row] : table.OfClass(like.device_class())) {
    if (SameIn(SignaturePart::kModel, row.signature(), like.signature()) &&
        SameIn(SignaturePart::kWorkload, row.signature(), like.signature())) {
      rows.push_back(&row);
    }
  }
  return rows;
}

void ExpectIndexed(const ProfileTable& table, const std::vector<v1::ProfileRow>& drawn) {
  for (const v1::ProfileRow& like : drawn) {
    std::vector<const v1::ProfileRow*> indexed;
    const auto& rows = table.OfWorkload(like.device_class(), like.signature());
    for (const auto& indexed_row : rows) {
      indexed.push_back(&indexed_row.row());
      EXPECT_EQ(indexed_row.as_first, indexed_row.row().signature().precision() ==
                                          rows.front().row().signature().precision());
    }
    ASSERT_EQ(indexed, LookedUp(table, like)) << "the very rows, in the order of their keys";
  }
}

// Tables that share rows change apart: each one's index points to its own rows.
TEST(ProfileTableTest, TheIndexByWorkloadHasTheRowsOfEachCopy) {
  constexpr unsigned kSeed = 20263;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 random(kSeed);
  std::vector<ProfileTable> tables(1);
  std::vector<v1::ProfileRow> drawn;
  for (int step = 0; step < 600; ++step) {
    v1::ProfileRow row = MakeRow();
    row.set_device_class(random() % 2 == 0 ? "board-a" : "board-b");
    row.mutable_signature()->mutable_model()->set_layers(1 + static_cast<int>(random() % 3));
    row.mutable_signature()->set_batch_size(1 + static_cast<int>(random() % 3));
    row.mutable_signature()->set_precision(random() % 2 == 0 ? "fp32" : "");
    const bool of_device = random() % 2 == 0;
    row.set_device_id(of_device ? "d1" : "");
    row.set_source(!of_device          ? v1::PROFILE_SOURCE_IMPORTED
                   : random() % 2 == 0 ? v1::PROFILE_SOURCE_PROBED
                                       : v1::PROFILE_SOURCE_MEASURED);
    row.mutable_seconds_per_unit()->set_mean(0.001 * (18 + static_cast<double>(random() % 4)) / 10);
    drawn.push_back(row);
    ProfileTable& table = tables[random() % tables.size()];
    ASSERT_THAT(table.Put(row), IsOk());  // A measured row also removes probes.
    if (step % 40 == 39) {
      tables.push_back(table);
    }
    if (step % 90 == 89) {
      table.RemoveImported(random() % 2 == 0 ? "board-a" : "");
    }
    if (step % 150 == 149) {
      tables.erase(tables.begin());
    }
    if (step % 25 == 0) {
      for (const ProfileTable& each : tables) {
        ExpectIndexed(each, drawn);
      }
    }
  }
}

TEST(ProfileTableTest, PutReplacesTheRowOfTheSameKeyOnly) {
  ProfileTable table;
  v1::ProfileRow row = MakeRow();
  ASSERT_THAT(table.Put(row), IsOk());
  row.mutable_seconds_per_unit()->set_mean(0.0021);
  ASSERT_THAT(table.Put(row), IsOk());
  EXPECT_EQ(table.size(), 1U);
  ASSERT_NE(table.FindLike(row), nullptr);
  EXPECT_DOUBLE_EQ(table.FindLike(row)->seconds_per_unit().mean(), 0.0021);
  row.set_emulated(true);
  ASSERT_THAT(table.Put(row), IsOk());
  EXPECT_EQ(table.OfClass("jetson-orin-nano").size(), 2U);
  EXPECT_TRUE(table.OfClass("raspberry-pi-5").empty());
}

TEST(ProfileTableTest, KeysTellEveryPartOfARowApart) {
  const std::string key = ProfileKey(MakeRow());
  const std::pair<const char*, std::function<void(v1::ProfileRow*)>> kChanges[] = {
      {"class", [](v1::ProfileRow* row) { row->set_device_class("x"); }},
      {"device", [](v1::ProfileRow* row) { row->set_device_id("d1"); }},
      {"emulated", [](v1::ProfileRow* row) { row->set_emulated(true); }},
      {"mode", [](v1::ProfileRow* row) { row->set_power_mode("15W"); }},
      {"source", [](v1::ProfileRow* row) { row->set_source(v1::PROFILE_SOURCE_PUBLISHED); }},
      {"unit", [](v1::ProfileRow* row) { row->set_unit(v1::WORK_UNIT_EXAMPLE); }},
      {"layers",
       [](v1::ProfileRow* row) { row->mutable_signature()->mutable_model()->set_layers(7); }},
      {"batch", [](v1::ProfileRow* row) { row->mutable_signature()->set_batch_size(4); }},
      {"rank", [](v1::ProfileRow* row) { row->mutable_signature()->set_adapter_rank(8); }},
      {"checkpointing",
       [](v1::ProfileRow* row) { row->mutable_signature()->set_activation_checkpointing(true); }},
      {"trained layers",
       [](v1::ProfileRow* row) { row->mutable_signature()->set_trained_layers(2); }},
      {"packing", [](v1::ProfileRow* row) { row->mutable_signature()->set_packing(true); }},
      {"optimizer", [](v1::ProfileRow* row) { row->mutable_signature()->set_optimizer("mezo"); }},
      {"update_in_backward",
       [](v1::ProfileRow* row) { row->mutable_signature()->set_update_in_backward(true); }},
      {"length", [](v1::ProfileRow* row) { row->mutable_signature()->set_sequence_length(64); }},
  };
  for (const auto& [name, change] : kChanges) {
    v1::ProfileRow row = MakeRow();
    change(&row);
    EXPECT_NE(ProfileKey(row), key) << name;
  }
}

TEST(ProfileTableTest, RefusesRowsThatCannotBeTrue) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  struct Case {
    const char* name;
    std::function<void(v1::ProfileRow*)> change;
    const char* message;
  };
  const Case kCases[] = {
      {"zero seconds", [](v1::ProfileRow* r) { r->mutable_seconds_per_unit()->set_mean(0); },
       "seconds_per_unit"},
      {"NaN seconds", [nan](v1::ProfileRow* r) { r->mutable_seconds_per_unit()->set_mean(nan); },
       "seconds_per_unit"},
      {"infinite watts",
       [](v1::ProfileRow* r) {
         r->mutable_power_watts()->set_mean(std::numeric_limits<double>::infinity());
       },
       "power_watts"},
      {"milliwatts for watts", [](v1::ProfileRow* r) { r->mutable_power_watts()->set_mean(10000); },
       "power_watts"},
      {"kilowatts for watts", [](v1::ProfileRow* r) { r->mutable_power_watts()->set_mean(0.010); },
       "power_watts"},
      {"milliseconds for seconds",
       [](v1::ProfileRow* r) { r->mutable_seconds_per_unit()->set_mean(2); }, "wrong unit"},
      {"watt-hours for joules",
       [](v1::ProfileRow* r) { r->mutable_energy_joules_per_unit()->set_mean(0.02 / 3600); },
       "wrong unit"},
      {"no count", [](v1::ProfileRow* r) { r->mutable_seconds_per_unit()->set_count(0); },
       "seconds_per_unit"},
      {"no class", [](v1::ProfileRow* r) { r->clear_device_class(); }, "device_class"},
      {"no unit", [](v1::ProfileRow* r) { r->clear_unit(); }, "unit"},
      {"no source", [](v1::ProfileRow* r) { r->clear_source(); }, "source"},
      {"no method", [](v1::ProfileRow* r) { r->mutable_signature()->clear_method(); }, "method"},
      {"negative width",
       [](v1::ProfileRow* r) { r->mutable_signature()->mutable_model()->set_width(-1); },
       "signature.model"},
      {"negative idle", [](v1::ProfileRow* r) { r->set_idle_power_watts(-1); }, "idle_power_watts"},
      {"NaN length", [nan](v1::ProfileRow* r) { r->set_units_per_example(nan); },
       "units_per_example"},
  };
  for (const Case& test : kCases) {
    ProfileTable table;
    v1::ProfileRow row = MakeRow();
    test.change(&row);
    EXPECT_THAT(table.Put(row),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test.message)))
        << test.name;
    EXPECT_EQ(table.size(), 0U) << test.name;
  }
}

TEST(ProfileTableTest, ARowWithoutASensorHoldsTimeAlone) {
  v1::ProfileRow row = MakeRow();
  row.clear_power_watts();
  row.clear_energy_joules_per_unit();
  EXPECT_THAT(ProfileTable().Put(row), IsOk());
}

TEST(ProfileTableTest, PriorsAreThePublishedTables) {
  const ProfileTable priors = ProfileTable::Priors();
  EXPECT_EQ(priors.OfClass("jetson-xavier-nx").size(), 3U);
  EXPECT_EQ(priors.OfClass("jetson-orin-nano").size(), 3U);
  EXPECT_EQ(priors.OfClass("raspberry-pi-5").size(), 2U);
  for (const v1::ProfileRow& row : priors.Rows()) {
    EXPECT_EQ(row.source(), v1::PROFILE_SOURCE_PUBLISHED);
    EXPECT_FALSE(row.source_note().empty());
    EXPECT_EQ(row.signature().batch_size(), 0) << "the papers tell no batch";
  }
}

}  // namespace
}  // namespace wattle::scheduler
