// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Transcript tests: commands in; every event, effect and answer out. Each transcript is compared as
// a whole text with tests/golden/core/. WATTLE_UPDATE_GOLDEN=1 rewrites the texts: read the diff,
// because it shows how the core's behaviour changed. After each transcript the events are replayed
// and must give the same state.
//
// Lines of the script start with "> "; lines with "# " are kept. The handlers below define the
// words of the script.
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

#include "coordinator/core/core.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/spec_for_test.h"
#include "proto/kind_name.h"

namespace wattle::core {
namespace {

using Words = std::vector<std::string>;

double Real(const std::string& text) {
  double value = 0.0;
  EXPECT_TRUE(absl::SimpleAtod(text, &value)) << text;
  return value;
}
int64_t Integer(const std::string& text) {
  return static_cast<int64_t>(Real(text));
}

// Not DebugString, because later versions of protobuf make its text unstable on purpose.
std::string Text(const google::protobuf::Message& message) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  EXPECT_TRUE(printer.PrintToString(message, &text));
  return std::string(absl::StripTrailingAsciiWhitespace(text));
}

class Transcript {
 public:
  Transcript() { Start(); }

  void Run(const Words& words) {
    static const auto* const kHandlers =
        new std::map<std::string, void (Transcript::*)(const Words&)>{
            {"artifact", &Transcript::Artifact}, {"hello", &Transcript::Hello},
            {"silent", &Transcript::Silent},     {"seen", &Transcript::Seen},
            {"submit", &Transcript::Submit},     {"cancel", &Transcript::Cancel},
            {"plan", &Transcript::Plan},         {"report", &Transcript::Report},
            {"advance", &Transcript::Advance},   {"tick", &Transcript::Tick},
            {"step", &Transcript::Step},         {"drain", &Transcript::Drain},
            {"resume", &Transcript::Resume},     {"policy", &Transcript::Policy},
            {"unpolicy", &Transcript::Unpolicy}, {"elapsed", &Transcript::Elapsed},
            {"desired", &Transcript::Desired},   {"job", &Transcript::ShowJob},
            {"restart", &Transcript::Restart},   {"open", &Transcript::Open},
            {"backup", &Transcript::Backup},     {"restore", &Transcript::Restore},
            {"import", &Transcript::Import},     {"unimport", &Transcript::Unimport},
            {"upload", &Transcript::Upload},
        };
    const auto handler = kHandlers->find(words.at(0));
    ASSERT_NE(handler, kHandlers->end()) << "no command " << words.at(0);
    (this->*handler->second)(words);
  }

  [[nodiscard]] std::string TakeOutput() { return std::exchange(output_, ""); }
  [[nodiscard]] const State& state() const { return state_; }
  [[nodiscard]] State Replayed() const {
    State state;
    for (const std::string& bytes : journal_) {
      v1::Event event;
      EXPECT_TRUE(event.ParseFromString(bytes));
      core::Apply(state, event, kReplayed);
    }
    return state;
  }

 private:
  [[nodiscard]] Instant Now() const {
    return {absl::FromUnixSeconds(1000) + elapsed_ + wall_step_, Monotonic(elapsed_)};
  }

  void Print(const std::string& line) { absl::StrAppend(&output_, "  ", line, "\n"); }

  void Do(const Command& command) {
    const Decision decision = Decide(state_, command, observations_, Now());
    if (!decision.status.ok()) {
      Print(decision.status.ToString());
    } else if (!decision.id.empty()) {
      Print(absl::StrCat("ok ", decision.id, decision.existed ? " (existed)" : ""));
    }
    std::vector<Effect> effects = decision.effects;
    for (const v1::Event& event : decision.events) {
      journal_.push_back(event.SerializeAsString());
      Print(Describe(event));
      for (Effect& effect : core::Apply(state_, event, Now().monotonic)) {
        effects.push_back(effect);
      }
    }
    for (const Effect& effect : effects) {
      if (const auto* changed = std::get_if<DesiredSetChanged>(&effect)) {
        Print(absl::StrCat("-> desired set of ", changed->device.value()));
      } else if (const auto* acknowledge = std::get_if<Acknowledge>(&effect)) {
        Print(absl::StrCat("-> acknowledge ", acknowledge->device.value(), "/",
                           acknowledge->incarnation, " up to ", acknowledge->sequence));
      }
    }
  }

  static std::string Describe(const v1::Event& event) {
    const auto* field = v1::Event::descriptor()->FindFieldByName(KindName(event));
    const google::protobuf::Message& inner = event.GetReflection()->GetMessage(event, field);
    return absl::StrCat(event.sequence(), " ", field->name(), " { ", Text(inner), " }");
  }

  void Artifact(const Words& words) {
    v1::ArtifactInfo info;
    info.set_artifact_id(words.at(1));
    info.set_name(words.at(2) == "-" ? "" : words.at(2));
    if (words.at(3) == "model") {
      info.set_kind(v1::ARTIFACT_KIND_MODEL);
      info.mutable_model_shape()->set_architecture("gpt2");
    } else {
      info.set_kind(v1::ARTIFACT_KIND_DATASET);
      info.mutable_dataset()->set_format(words.at(3));
    }
    Do(CommitArtifact{info, /*move_name=*/true});
  }

  // ID JOB DEVICE result|checkpoint
  void Upload(const Words& words) {
    v1::ArtifactInfo info;
    info.set_artifact_id(words.at(1));
    info.set_job_id(words.at(2));
    info.set_kind(words.at(4) == "result" ? v1::ARTIFACT_KIND_RESULT
                                          : v1::ARTIFACT_KIND_CHECKPOINT);
    if (info.kind() == v1::ARTIFACT_KIND_RESULT) {
      info.mutable_model_shape()->set_architecture("gpt2");
    }
    Do(CommitArtifact{.info = info, .device = DeviceId(words.at(3))});
  }

  void Hello(const Words& words) {
    v1::Hello hello;
    hello.mutable_device()->set_device_id(words.at(1));
    hello.mutable_device()->set_name(words.at(1));
    hello.mutable_device()->set_device_class("test-board");
    hello.set_incarnation(Integer(words.at(2)));
    for (size_t i = 3; i < words.size(); ++i) {
      const std::pair<std::string, std::string> part =
          absl::StrSplit(words[i], absl::MaxSplits('=', 1));
      if (part.first == "of") {  // of=LINEAGE/EPOCH/OPENING
        const std::vector<std::string> journal = absl::StrSplit(part.second, '/');
        hello.set_lineage_id(journal.at(0));
        hello.set_epoch(Integer(journal.at(1)));
        hello.set_opening_id(journal.at(2));
      } else if (part.first ==
                 "last") {  // last=SEQUENCE[/other]: its last report, which is not ours
        const std::vector<std::string> last = absl::StrSplit(part.second, '/');
        hello.set_last_report_sequence(Integer(last.at(0)));
        hello.set_last_report_digest(last.size() > 1 ? 99 : 0);
      } else {  // ATTEMPT or ATTEMPT=TOKEN
        v1::HeldAttempt& held = *hello.add_attempts();
        held.set_attempt_id(part.first);
        held.set_fencing_token(part.second.empty() ? 0 : Integer(part.second));
        held.set_state(v1::ATTEMPT_STATE_RUNNING);
        held.set_lease_seconds(60);
      }
    }
    observations_.devices[DeviceId(words.at(1))].connected = true;
    Seen(words);
    Do(WorkerHello{hello});
  }
  void Silent(const Words& words) {
    observations_.devices[DeviceId(words.at(1))].connected = false;
  }
  void Seen(const Words& words) { observations_.devices[DeviceId(words.at(1))].last_seen = Now(); }

  // submit KEY KIND field=value…
  void Submit(const Words& words) {
    SubmitJob submit;
    submit.idempotency_key = words.at(1);
    std::string model;
    std::string data = "questions";
    int64_t steps = 10;
    for (size_t i = 3; i < words.size(); ++i) {
      const std::pair<std::string, std::string> part =
          absl::StrSplit(words[i], absl::MaxSplits('=', 1));
      if (part.first == "model") {
        model = part.second;
      } else if (part.first == "data") {
        data = part.second;
      } else if (part.first == "steps") {
        steps = Integer(part.second);
      } else if (part.first == "retries") {
        submit.spec.set_retries(static_cast<int32_t>(Integer(part.second)));
      } else if (part.first == "lease") {
        submit.spec.set_lease_seconds(Real(part.second));
      } else if (part.first == "deadline") {
        submit.spec.set_deadline_seconds(Real(part.second));
      } else if (part.first == "timeout") {
        submit.spec.set_timeout_seconds(Real(part.second));
      }
    }
    if (words.at(2) == "finetune") {
      submit.spec.mutable_finetune()->set_model(model);
      submit.spec.mutable_finetune()->set_data(data);
      submit.spec.mutable_finetune()->set_steps(steps);
    } else if (words.at(2) == "evaluate") {
      submit.spec.mutable_evaluate()->set_model(model);
      submit.spec.mutable_evaluate()->set_data(data);
    } else if (words.at(2) == "generate") {
      submit.spec.mutable_generate()->set_model(model);
      submit.spec.mutable_generate()->add_prompts("Who?");
    }
    Do(submit);
  }

  void Cancel(const Words& words) {
    Do(CancelJob{JobId(words.at(1)), words.size() > 2 ? words.at(2) : ""});
  }

  // plan JOB=DEVICE | JOB=wait:DEVICE | JOB=none:CONSTRAINT …
  void Plan(const Words& words) {
    PlanComputed plan{.computed_on = state_.last_sequence, .jobs = {}};
    for (size_t i = 1; i < words.size(); ++i) {
      const std::pair<std::string, std::string> part = absl::StrSplit(words[i], '=');
      scheduler::QueuePlacement placement;
      placement.job = JobId(part.first);
      const std::pair<std::string, std::string> target =
          absl::StrSplit(part.second, absl::MaxSplits(':', 1));
      if (target.first == "never") {
        placement.never = true;
        placement.placement.add_refusals()->set_refused_by(target.second);
        placement.placement.set_reason("no device of this fleet can run it; " + target.second);
      } else if (target.first == "none") {
        v1::RefusalCount& refusal = *placement.placement.add_refusals();
        refusal.set_refused_by(target.second);
        refusal.set_devices(1);
        placement.placement.set_reason("no device can take it now; " + target.second);
      } else {
        placement.placement.set_wait(target.first == "wait");
        placement.placement.set_device_id(target.first == "wait" ? target.second : target.first);
      }
      plan.jobs.push_back(placement);
    }
    Do(plan);
  }

  // report DEVICE INCARNATION SEQUENCE FACT …
  void Report(const Words& words) {
    WorkerReport report;
    report.device = DeviceId(words.at(1));
    report.incarnation = Integer(words.at(2));
    report.report.set_sequence(Integer(words.at(3)));
    const std::string& fact = words.at(4);
    const auto name = [&](auto* message) {
      message->set_attempt_id(words.at(5));
      message->set_fencing_token(Integer(words.at(6)));
      return message;
    };
    const auto receipt = [&](auto* message, const std::string& joules) {
      message->mutable_receipt()->mutable_total()->set_gross_energy_joules(Real(joules));
    };
    if (fact == "accepted") {
      name(report.report.mutable_accepted());
    } else if (fact == "started") {
      name(report.report.mutable_started());
    } else if (fact == "paused") {
      name(report.report.mutable_paused())->set_reason("battery");
    } else if (fact == "finished") {
      receipt(name(report.report.mutable_finished()), words.at(7));
      if (words.size() > 8) {
        report.report.mutable_finished()->mutable_output()->set_artifact_id(words.at(8));
      }
    } else if (fact == "stopped") {
      receipt(name(report.report.mutable_stopped()), words.at(7));
      if (words.size() > 9) {  // STEP ARTIFACT of an uploaded checkpoint
        report.report.mutable_stopped()->set_checkpoint_step(Integer(words.at(8)));
        report.report.mutable_stopped()->mutable_checkpoint()->set_artifact_id(words.at(9));
      }
    } else if (fact == "failed") {
      v1::AttemptFailed& failed = *name(report.report.mutable_failed());
      v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
      ASSERT_TRUE(v1::FailureClass_Parse("FAILURE_CLASS_" + words.at(7), &failure_class));
      failed.set_failure_class(failure_class);
      failed.set_message("it broke");
      failed.set_checkpoint_step(words.size() > 8 ? Integer(words.at(8)) : 0);
    } else if (fact == "ledger") {
      report.report.mutable_ledger()->set_attempt_energy_joules(Real(words.at(5)));
      report.report.mutable_ledger()->set_idle_energy_joules(Real(words.at(6)));
      report.report.mutable_ledger()->set_counter_id(words.size() > 7 ? Integer(words.at(7)) : 0);
    }
    report.report.set_at_unix_seconds(ToUnix(Now().wall));
    Do(report);
  }

  void Advance(const Words& words) { elapsed_ += absl::Seconds(Real(words.at(1))); }
  // Somebody sets the wall clock.
  void Step(const Words& words) { wall_step_ += absl::Seconds(Real(words.at(1))); }
  void Tick(const Words&) { Do(core::Tick{}); }
  void Drain(const Words& words) { Do(DrainDevice{DeviceId(words.at(1)), "repair"}); }
  void Resume(const Words& words) { Do(ResumeDevice{DeviceId(words.at(1))}); }
  void Policy(const Words& words) {
    ApplyPolicy apply;
    apply.policy.set_name(words.at(1));
    apply.policy.set_reserve_state_of_charge_ratio(Real(words.at(2)));
    apply.policy.set_pause_seconds_max(words.size() > 3 ? Real(words.at(3)) : 0);
    Do(apply);
  }
  void Unpolicy(const Words& words) { Do(DeletePolicy{words.at(1)}); }
  void Elapsed(const Words& words) {
    observations_.progress[AttemptId(words.at(1))].set_elapsed_seconds(Real(words.at(2)));
  }
  void Desired(const Words& words) {
    Print(absl::StrCat("{ ", Text(DesiredFor(state_, DeviceId(words.at(1)))), " }"));
  }
  void ShowJob(const Words& words) {
    const v1::JobRecord* record = FindJob(state_, JobId(words.at(1)));
    ASSERT_NE(record, nullptr);
    Print(absl::StrCat(v1::JobState_Name(record->job().state()), ": ", record->job().reason()));
    for (const v1::Attempt& attempt : record->job().attempts()) {
      Print(absl::StrCat(attempt.attempt_id(), " token ", attempt.fencing_token(), " on ",
                         attempt.device_id(), ": ", v1::AttemptState_Name(attempt.state()), ", ",
                         attempt.reason(), ", ", attempt.receipt().total().gross_energy_joules(),
                         " J"));
    }
  }
  // open [copy]: a process starts on the journal.
  void Open(const Words& words) {
    const bool copy = words.size() > 1;
    Do(OpenJournal{.lineage_id = "lineage",
                   .opening_id = absl::StrCat("opening", ++openings_),
                   .copy = copy,
                   .epoch_min = 0,
                   .reason = copy ? "a backup" : ""});
  }
  // import FLEET CLASS=SECONDS …: a row of each class, in seconds of a training token.
  void Import(const Words& words) {
    ImportProfiles import{{}, "rows.json"};
    import.file.set_format("wattle-profile-rows");
    import.file.set_version(1);
    import.file.set_fleet(words.at(1));
    for (size_t i = 2; i < words.size(); ++i) {
      const std::pair<std::string, std::string> part = absl::StrSplit(words[i], '=');
      v1::ProfileRow& row = *import.file.add_rows();
      row.set_device_class(part.first);
      row.set_source(v1::PROFILE_SOURCE_MEASURED);
      row.mutable_signature()->set_method(v1::METHOD_FINETUNE_FULL);
      *row.mutable_signature()->mutable_model() = Shape();
      row.set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
      row.mutable_seconds_per_unit()->set_mean(Real(part.second));
      row.mutable_seconds_per_unit()->set_count(1);
    }
    Do(import);
  }
  void Unimport(const Words& words) {
    Do(RemoveImportedProfiles{words.size() > 1 ? words.at(1) : ""});
  }
  void Backup(const Words&) { backup_ = journal_; }
  // restore: the journal becomes the backup again, and the coordinator starts on it.
  void Restore(const Words& words) {
    journal_ = backup_;
    Restart(words);
  }
  // The coordinator starts again, without observations.
  void Restart(const Words&) {
    state_ = Replayed();
    Start();
  }
  void Start() {
    observations_ = {};
    observations_.started = Now();
    observations_.listening_since = Now().monotonic;
  }

  State state_;
  Observations observations_;
  std::vector<std::string> journal_;
  std::vector<std::string> backup_;
  int openings_ = 0;
  absl::Duration elapsed_;    // Passed on both clocks.
  absl::Duration wall_step_;  // Steps of only the wall clock.
  std::string output_;
};

class TranscriptTest : public testing::TestWithParam<std::string> {};

TEST_P(TranscriptTest, IsAsItWas) {
  const std::string path =
      absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/core/", GetParam(), ".txt");
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  ASSERT_FALSE(text.str().empty()) << path;

  Transcript transcript;
  std::string now;
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(text.str(), '\n'))) {
    if (line.starts_with("#")) {
      absl::StrAppend(&now, line, "\n");
    } else if (line.starts_with("> ")) {
      absl::StrAppend(&now, line, "\n");
      transcript.Run(absl::StrSplit(line.substr(2), ' ', absl::SkipEmpty()));
      ASSERT_FALSE(HasFatalFailure()) << line;
      absl::StrAppend(&now, transcript.TakeOutput());
    }
  }
  EXPECT_EQ(SnapshotBytes(transcript.Replayed()), SnapshotBytes(transcript.state()));
  if (std::getenv("WATTLE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << now;
    return;
  }
  EXPECT_EQ(now, text.str()) << "WATTLE_UPDATE_GOLDEN=1 rewrites " << path;
}

INSTANTIATE_TEST_SUITE_P(Golden, TranscriptTest,
                         testing::Values("happy_path", "submit", "chain", "lease_and_adoption",
                                         "reports", "failures", "drain", "cancel_and_timeout",
                                         "plan", "restore", "moves", "ends", "identity", "imports"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace wattle::core
