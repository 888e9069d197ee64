// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Runs the program in the test's process against a fake coordinator, and keeps its output and exit
// code. For tests only.
#ifndef WATTLE_CLI_TESTING_PROGRAM_FIXTURE_H_
#define WATTLE_CLI_TESTING_PROGRAM_FIXTURE_H_

#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/program.h"
#include "cli/testing/fake_coordinator.h"
#include "cli/testing/sample_messages.h"
#include "gtest/gtest.h"

#include "base/testing/test_directory.h"

namespace wattle::cli {

class FixedClock : public Clock {
 public:
  [[nodiscard]] absl::Time Now() const override {
    return absl::UnixEpoch() + absl::Seconds(kSampleNowUnixSeconds);
  }
  [[nodiscard]] Monotonic Boottime() const override { return now_; }
  void Advance(absl::Duration by) { now_ = now_ + by; }

 private:
  Monotonic now_;
};

struct Result {
  int code = 0;
  std::string out;
  std::string err;
};

class ProgramTest : public testing::Test {
 protected:
  Result Run(const std::vector<std::string>& arguments) {
    std::ostringstream out;
    Result result = RunWith(out, arguments);
    result.out = out.str();
    return result;
  }
  // Runs the program with standard output in a file or a device.
  Result RunInto(const std::string& path, const std::vector<std::string>& arguments) {
    std::ofstream out(path);
    return RunWith(out, arguments);
  }

  Result RunWith(std::ostream& out, const std::vector<std::string>& arguments) {
    std::istringstream in(input_);
    std::ostringstream err;
    Environment environment;
    environment.in = &in;
    environment.out = &out;
    environment.err = &err;
    environment.error_style.width_columns = error_width_;
    environment.clock = &clock_;
    environment.interrupt = &interrupt_;
    environment.variable = [this](const std::string& name) {
      return name == "WATTLE_COORDINATOR"          ? address_
             : name == "WATTLE_PLAINTEXT_LOOPBACK" ? "1"
             : name == "XDG_CONFIG_HOME"           ? directory_.File("config")
                                                   : "";
    };
    environment.new_key = [this] { return absl::StrCat("key-", ++keys_); };
    environment.user_name = [] { return std::string("ada"); };
    environment.sleep = [this](absl::Duration time) {
      clock_.Advance(time);
      if (on_sleep_) {
        on_sleep_();
      }
    };
    const int code = RunProgram(arguments, "1.2.3", environment);
    return {code, "", err.str()};
  }

  // Writes a file of the test's own directory and returns its path.
  std::string Write(const std::string& name, const std::string& text) {
    return directory_.Write(name, text);
  }
  [[nodiscard]] std::string Path(const std::string& name) const { return directory_.File(name); }

  FakeCoordinator coordinator_;
  std::string address_ = coordinator_.address();
  Interrupt interrupt_;
  FixedClock clock_;
  int keys_ = 0;
  std::function<void()> on_sleep_;  // called when the program waits; may be empty
  std::string input_;               // what `-` reads
  int error_width_ = 0;             // of the terminal that errors go to; 0: none
  TestDirectory directory_;
};

inline constexpr char kJobFile[] =
    "name: tiny\nfinetune:\n  model: gpt2\n  data: squad\n  epochs: 2\n";

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TESTING_PROGRAM_FIXTURE_H_
