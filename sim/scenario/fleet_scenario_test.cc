// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The lists of a coordinator become the same boards, limits and rows of a scenario.
#include "sim/scenario/fleet_scenario.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/profiles/profile_table.h"
#include "sim/scenario/run.h"
#include "sim/scenario/scenario_file.h"

namespace wattle::sim {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

constexpr char kWorkOfFleet[] = R"(duration: 12h
data: {questions: {examples: 1000}}
jobs:
  - {name: tune, job: {finetune: {model: distilgpt2, data: questions, sequence_length: 384}}}
)";

v1::Device BoardTold(const std::string& name) {
  v1::Device device;
  device.set_connected(true);
  v1::DeviceInfo& info = *device.mutable_info();
  info.set_name(name);
  info.set_device_class("jetson-orin-nano");
  info.set_memory_bytes(7'900'000'000);
  info.set_cores(6);
  info.set_accelerator("cuda");
  info.set_throughput_flops_datasheet(1.28e12);
  info.set_idle_power_watts(4.25);
  info.set_link_bytes_per_second(2.5e6);
  v1::Label& label = *info.add_labels();
  label.set_key("site");
  label.set_value("mast");
  return device;
}

void GivePack(double wh, double charge, v1::Device* device) {
  device->mutable_info()->set_battery_capacity_wh(wh);
  device->mutable_info()->set_has_battery_gauge(true);
  device->mutable_info()->set_gauge_error_ratio(0.05);
  device->mutable_heartbeat()->set_has_battery(true);
  device->mutable_heartbeat()->set_state_of_charge_ratio(charge);
}

// The published row of the class, measured here to take so many times as long.
v1::ProfileRow RowTold(double times) {
  for (v1::ProfileRow row : scheduler::ProfileTable::Priors().Rows()) {
    if (row.device_class() == "jetson-orin-nano" && row.signature().model().layers() == 6) {
      row.set_source(v1::PROFILE_SOURCE_MEASURED);
      row.set_source_note("job j1");
      row.mutable_seconds_per_unit()->set_mean(times * row.seconds_per_unit().mean());
      row.mutable_energy_joules_per_unit()->set_mean(times * row.energy_joules_per_unit().mean());
      for (v1::Statistic* one : {row.mutable_seconds_per_unit(), row.mutable_power_watts(),
                                 row.mutable_energy_joules_per_unit()}) {
        one->set_count(3);
        one->set_relative_deviation(0.05);
        one->set_min(0.9 * one->mean());
        one->set_max(1.1 * one->mean());
      }
      return row;
    }
  }
  ADD_FAILURE() << "the published tables have the class";
  return {};
}

absl::StatusOr<Scenario> ScenarioOf(const FleetTold& told, std::string* text = nullptr) {
  const auto fleet = ScenarioOfFleet(told, kWorkOfFleet, "work.yaml");
  if (!fleet.ok()) {
    return fleet.status();
  }
  if (text != nullptr) {
    *text = fleet->text;
  }
  return ParseScenario(fleet->text, "work.yaml", {},
                       [](const std::string& name) -> absl::StatusOr<std::string> {
                         return absl::NotFoundError(name);
                       });
}

TEST(FleetScenarioTest, ABoardIsAsTheCoordinatorTellsIt) {
  FleetTold told;
  told.devices = {BoardTold("nano-1"), BoardTold("1e5")};
  GivePack(120, 0.4, &told.devices[0]);
  told.devices[1].mutable_info()->set_device_class("generic-x86-64");
  told.devices[1].mutable_heartbeat()->set_idle_power_watts(11.5);
  for (v1::Device& device : told.devices) {
    device.mutable_info()->set_accelerator_total_bytes(int64_t{24} << 30);
  }
  told.devices[0].mutable_info()->set_accelerator_shares_memory(true);
  const auto scenario = ScenarioOf(told);
  ASSERT_THAT(scenario, IsOk());
  ASSERT_THAT(scenario->fleet, SizeIs(2));
  const BoardGroup& nano = scenario->fleet[0];
  EXPECT_EQ(nano.BoardName(1), "nano-1");
  EXPECT_EQ(nano.board_class.name, "jetson-orin-nano");
  EXPECT_EQ(nano.board_class.idle, Watts(4.25));
  EXPECT_EQ(nano.board_class.memory_bytes, 7'900'000'000);
  EXPECT_EQ(nano.board_class.cores, 6);
  EXPECT_EQ(nano.board_class.card_bytes, 0);
  EXPECT_EQ(nano.board_class.flops_per_second, 1.28e12);
  EXPECT_EQ(nano.link_bytes_per_second, 2.5e6);
  EXPECT_EQ(nano.pack, FromWattHours(120));
  EXPECT_EQ(nano.charge, Fraction(0.4));
  EXPECT_EQ(nano.gauge_error, Fraction(0.05));
  ASSERT_THAT(nano.labels, SizeIs(1));
  EXPECT_EQ(nano.labels[0].value(), "mast");
  const BoardGroup& other = scenario->fleet[1];
  EXPECT_EQ(other.BoardName(1), "1e5");
  EXPECT_EQ(other.board_class.name, "generic-x86-64");
  EXPECT_EQ(other.board_class.idle, Watts(11.5));
  EXPECT_EQ(other.board_class.card_bytes, int64_t{24} << 30);
  EXPECT_FALSE(other.pack.has_value());
}

TEST(FleetScenarioTest, WhatIsNotToldIsSaid) {
  FleetTold told;
  told.devices = {BoardTold("nano-1"), BoardTold("nano-2"), BoardTold("nano-3"),
                  BoardTold("nano-4")};
  GivePack(0, 0.4, &told.devices[0]);
  GivePack(50, 0.4, &told.devices[1]);
  told.devices[1].mutable_info()->clear_link_bytes_per_second();
  told.devices[1].mutable_info()->clear_idle_power_watts();
  told.devices[1].mutable_info()->set_emulated(true);
  told.devices[2].set_drained(true);
  told.devices[3].set_connected(false);
  const auto fleet = ScenarioOfFleet(told, "", "");
  ASSERT_THAT(fleet, IsOk());
  EXPECT_EQ(fleet->assumed,
            "links without cuts; no panel (panel_watts 0) on nano-2; mains, because the pack's Wh "
            "are not known, on nano-1; an idle draw that nobody has measured on nano-2; 10 Mbit/s "
            "on nano-2; "
            "real boards in place of emulated ones; left out: nano-3 is drained, nano-4 is not "
            "connected");
  EXPECT_THAT(fleet->text, AllOf(HasSubstr(fleet->assumed), HasSubstr("duration: 1d\n")));
  const auto set = ScenarioOfFleet(
      told, "", "", {"panel_watts=60", "nano-1.pack_wh=50", "nano-2.idle_watts=4", "link_mbit=3"});
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->assumed,
            "links without cuts; real boards in place of emulated ones; left out: nano-3 is "
            "drained, nano-4 is not connected");
  EXPECT_EQ(set->text, fleet->text) << "changes are of one run";
  EXPECT_THAT(ScenarioOfFleet(told, "", "", {"nano-1.panel_watts=60"})->assumed,
              HasSubstr("no panel (panel_watts 0) on nano-2"));
  told.devices = {told.devices[2]};
  EXPECT_THAT(ScenarioOfFleet(told, "", ""),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "no board that can work: nano-3 is drained; see wattle devices"));
}

TEST(FleetScenarioTest, PoliciesHoldForTheBoardsThatTheySelect) {
  FleetTold told;
  told.devices = {BoardTold("nano-1"), BoardTold("nano-2")};
  GivePack(100, 1, &told.devices[0]);
  GivePack(100, 1, &told.devices[1]);
  v1::Policy& policy = told.policies.emplace_back();
  policy.set_name("north");
  policy.add_selector("device=nano-2");
  policy.set_reserve_state_of_charge_ratio(0.45);
  policy.mutable_place()->set_latitude_degrees(45);
  const auto scenario = ScenarioOf(told);
  ASSERT_THAT(scenario, IsOk());
  ASSERT_THAT(scenario->fleet_policies, SizeIs(1));
  EXPECT_FALSE(scenario->fleet_policies[0].has_place());
  const auto truth = TruthOf(*scenario, 1);
  EXPECT_EQ(truth[0].reserve, Fraction(0));
  EXPECT_EQ(truth[1].reserve, Fraction(0.45));
}

// Three boards of a mast, the last without a gauge, on one pack.
FleetTold BoardsOfOnePack() {
  FleetTold told;
  told.devices = {BoardTold("nano-1"), BoardTold("nano-2"), BoardTold("nano-3")};
  GivePack(300, 0.55, &told.devices[0]);
  GivePack(300, 0.5, &told.devices[1]);
  told.devices[1].mutable_info()->set_gauge_error_ratio(0.01);
  v1::Policy& policy = told.policies.emplace_back();
  policy.set_name("north");
  policy.add_selector("site=mast");
  policy.set_reserve_state_of_charge_ratio(0.2);
  policy.mutable_power_group()->set_name("pack");
  policy.mutable_power_group()->set_shared_pack(true);
  return told;
}

TEST(FleetScenarioTest, BoardsOfASharedPackHaveItAsItsBestGaugeTellsIt) {
  std::string text;
  const auto scenario = ScenarioOf(BoardsOfOnePack(), &text);
  ASSERT_THAT(scenario, IsOk());
  for (const BoardGroup& board : scenario->fleet) {
    EXPECT_EQ(board.pack, FromWattHours(300)) << board.name;
    EXPECT_EQ(board.charge, Fraction(0.5)) << board.name;
  }
  EXPECT_EQ(scenario->fleet[0].gauge_error, Fraction(0.05));
  EXPECT_EQ(scenario->fleet[2].gauge_error, Fraction(0.01));
  const auto truth = TruthOf(*scenario, 1);
  EXPECT_EQ(truth[0].shared_pack, "pack");
  EXPECT_EQ(truth[2].shared_pack, "pack");
  EXPECT_THAT(text, HasSubstr("the charge by the best gauge of the boards of the packs pack"));
}

TEST(FleetScenarioTest, ASharedPackOfWhichNobodyTellsIsNone) {
  FleetTold told = BoardsOfOnePack();
  for (v1::Device& device : told.devices) {
    device.mutable_info()->clear_battery_capacity_wh();
  }
  std::string text;
  const auto scenario = ScenarioOf(told, &text);
  ASSERT_THAT(scenario, IsOk());
  EXPECT_FALSE(scenario->fleet[0].pack.has_value());
  EXPECT_FALSE(scenario->fleet_policies[0].has_power_group());
  EXPECT_THAT(text, HasSubstr("mains, because the pack's Wh are not known, on nano-1, nano-2"));
}

TEST(FleetScenarioTest, TrueRatesStandOnTheMeasuredRows) {
  FleetTold told;
  told.devices = {BoardTold("nano-1")};
  const auto published = ScenarioOf(told);
  told.rows = {RowTold(1.5)};
  std::string text;
  const auto measured = ScenarioOf(told, &text);
  ASSERT_THAT(published, IsOk());
  ASSERT_THAT(measured, IsOk());
  ASSERT_THAT(measured->profiles.rows(), SizeIs(1));
  const JobTruth before = TruthOf(*published, 1)[0].boards[0].jobs[0];
  const JobTruth after = TruthOf(*measured, 1)[0].boards[0].jobs[0];
  EXPECT_NEAR(after.seconds / before.seconds, 1.5, 0.01);
  // The simulation's coordinator has the rows too: its first prediction is right.
  const auto run = RunScenario(*measured, "ours", 1);
  ASSERT_THAT(run, IsOk());
  EXPECT_EQ(run->coverage.runs, 1);
  EXPECT_LT(run->coverage.log_error, 0.05);
}

// In a class with rows of real and of emulated boards the real ones count.
TEST(FleetScenarioTest, RowsOfEmulatedBoardsServeWhereThereAreNoOthers) {
  FleetTold told;
  told.devices = {BoardTold("nano-1")};
  v1::ProfileRow emulated = RowTold(1.5);
  emulated.set_emulated(true);
  told.rows = {emulated};
  auto scenario = ScenarioOf(told);
  ASSERT_THAT(scenario, IsOk());
  ASSERT_THAT(scenario->profiles.rows(), SizeIs(1));
  EXPECT_FALSE(scenario->profiles.rows(0).emulated());
  told.rows = {emulated, RowTold(1.25)};
  scenario = ScenarioOf(told);
  ASSERT_THAT(scenario, IsOk());
  ASSERT_THAT(scenario->profiles.rows(), SizeIs(1));
  EXPECT_EQ(scenario->profiles.rows(0).seconds_per_unit().mean(),
            RowTold(1.25).seconds_per_unit().mean());
  // A board's own row serves where its class has none.
  v1::ProfileRow own = RowTold(1.1);
  own.set_device_id("d1");
  told.rows = {emulated, own};
  scenario = ScenarioOf(told);
  ASSERT_THAT(scenario, IsOk());
  ASSERT_THAT(scenario->profiles.rows(), SizeIs(1));
  EXPECT_EQ(scenario->profiles.rows(0).seconds_per_unit().mean(),
            RowTold(1.1).seconds_per_unit().mean());
  EXPECT_EQ(scenario->profiles.rows(0).device_id(), "");
  // A row that no fleet would accept is left out, with a note.
  told.rows = {RowTold(0.01)};
  std::string text;
  scenario = ScenarioOf(told, &text);
  ASSERT_THAT(scenario, IsOk());
  EXPECT_THAT(scenario->profiles.rows(), IsEmpty());
  EXPECT_THAT(text, HasSubstr("without 1 row that contradicts its class"));
}

TEST(FleetScenarioTest, ModelsAndDataOfTheFleetAreThereUnlessTheFileHasItsOwn) {
  FleetTold told;
  told.devices = {BoardTold("nano-1")};
  v1::ArtifactInfo& model = told.artifacts.emplace_back();
  model.set_kind(v1::ARTIFACT_KIND_MODEL);
  model.set_name("gpt2");
  v1::ModelShape& shape = *model.mutable_model_shape();
  shape.set_architecture("gpt2");
  shape.set_layers(3);
  shape.set_width(768);
  shape.set_heads(12);
  shape.set_vocabulary_size(50257);
  shape.set_context_length(1024);
  v1::ArtifactInfo& data = told.artifacts.emplace_back();
  data.set_kind(v1::ARTIFACT_KIND_DATASET);
  data.set_name("faq");
  data.mutable_dataset()->set_examples(77);
  data.mutable_dataset()->set_mean_byte_length(512.5);
  data.mutable_dataset()->set_format("squad");
  const auto own = ScenarioOf(told);
  ASSERT_THAT(own, IsOk());
  std::vector<std::string> names;
  for (const v1::ArtifactInfo& artifact : own->artifacts) {
    names.push_back(absl::StrCat(artifact.name(), " ", artifact.model_shape().layers()));
  }
  EXPECT_THAT(names, ElementsAre("distilgpt2 6", "gpt2 3", "questions 0"));
  const auto fleet = ScenarioOfFleet(told, "duration: 3h\n", "work.yaml");
  ASSERT_THAT(fleet, IsOk());
  EXPECT_THAT(fleet->text, HasSubstr("  faq: {examples: 77, mean_bytes: 512.5, format: squad}\n"));
}

TEST(FleetScenarioTest, TheFileKeepsItsLines) {
  FleetTold told;
  told.devices = {BoardTold("nano-1")};
  std::string text;
  ASSERT_THAT(ScenarioOf(told, &text), IsOk());
  EXPECT_THAT(text, StartsWith(kWorkOfFleet));
}

TEST(FleetScenarioTest, AFileWithAFleetIsRefused) {
  FleetTold told;
  told.devices = {BoardTold("nano-1")};
  for (const char* field : {"fleet", "fleet_policies", "profiles"}) {
    EXPECT_THAT(ScenarioOfFleet(told, absl::StrCat("duration: 1d\n", field, ": []\n"), "w.yaml"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         absl::StrCat("w.yaml:2: ", field,
                                      ": comes from the coordinator too; remove it here, or leave "
                                      "out --from-fleet")));
  }
  EXPECT_THAT(ScenarioOfFleet(told, "- a\n", "w.yaml"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("w.yaml:1: wanted fields (name: value) on lines of their own")));
}

}  // namespace
}  // namespace wattle::sim
