// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/dial.h"
#include "cli/json_output.h"
#include <CLI/App.hpp>

namespace wattle::cli {

Session::Session(const Environment& environment, const GlobalFlags& flags)
    : environment_(environment), flags_(flags) {}

Client& Session::client() {
  if (client_ == nullptr) {
    const absl::StatusOr<Dialling> dialling =
        Dial({.coordinator = flags_.coordinator,
              .context = flags_.context,
              .plaintext_loopback = flags_.plaintext_loopback},
             environment_);
    client_ = std::make_unique<Client>(
        Client::Options{.address = dialling.ok() ? dialling->coordinator : flags_.coordinator,
                        .command = flags_.command,
                        .timeout = absl::Seconds(flags_.timeout_seconds),
                        .credentials = dialling.ok() ? dialling->credentials : nullptr,
                        .problem = dialling.status()},
        environment_);
  }
  return *client_;
}

void Session::Print(const google::protobuf::Message& message,
                    const std::function<std::string()>& render) {
  PrintText(json() ? ToJsonDocument(message) : render());
}

void CommandSlot::Bind(CLI::App* leaf, Command command) {
  leaf->final_callback([this, command = std::move(command)] { chosen_ = command; });
}

void Session::PrintText(absl::string_view text) {
  *environment_.out << text << std::flush;
  if (!environment_.out->good()) {
    environment_.interrupt->Raise();
  }
}

CLI::App* AddLeaf(CLI::App* parent, const std::string& name, const std::string& sentence,
                  const std::string& examples) {
  CLI::App* leaf = parent->add_subcommand(name, sentence);
  leaf->footer(absl::StrCat("\nExamples:\n", examples,
                            "\nFlags of every command: --context NAME, --coordinator HOST:PORT, -o "
                            "table|json, --timeout-seconds N\n"));
  return leaf;
}

CLI::App* AddGroup(CLI::App* parent, const std::string& name, const std::string& sentence,
                   const std::string& examples) {
  CLI::App* group = AddLeaf(parent, name, sentence, examples);
  group->require_subcommand(1);
  return group;
}

}  // namespace wattle::cli
