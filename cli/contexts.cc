// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/contexts.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <yaml-cpp/yaml.h>

#include "base/file.h"
#include "base/status_macros.h"
#include "base/tls/private_file.h"
#include "base/utf8.h"

namespace wattle::cli {
namespace {

constexpr int64_t kFileBytesMax = 1 << 20;

std::string ConfigDirectory(const Environment& environment) {
  const std::string config = environment.variable("XDG_CONFIG_HOME");
  return config.empty() ? absl::StrCat(environment.variable("HOME"), "/.config/wattle")
                        : absl::StrCat(config, "/wattle");
}

}  // namespace

absl::Status CheckContextName(absl::string_view where, absl::string_view name) {
  if (name.empty() || absl::StrContains(name, '/') || name[0] == '.' ||
      std::any_of(name.begin(), name.end(), [](unsigned char c) {
        return absl::ascii_isspace(c) || absl::ascii_iscntrl(c);
      })) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, " \"", OneLine(name), "\": wanted a word without '/' and spaces"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Contexts> Contexts::Load(const Environment& environment) {
  Contexts contexts;
  contexts.directory_ = ConfigDirectory(environment);
  const std::string path = absl::StrCat(contexts.directory_, "/contexts.yaml");
  const absl::StatusOr<std::string> text = ReadWholeFile(path, kFileBytesMax);
  if (absl::IsNotFound(text.status())) {
    return contexts;
  }
  WATTLE_RETURN_IF_ERROR(text.status());
  try {
    const YAML::Node file = YAML::Load(*text);
    if (file["current"]) {
      contexts.current_ = file["current"].as<std::string>();
    }
    for (const auto& entry : file["contexts"]) {
      contexts.coordinators_[entry.first.as<std::string>()] =
          entry.second["coordinator"].as<std::string>();
    }
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": ", OneLine(error.what()), "; correct the file, or remove it and log in again"));
  }
  for (const auto& [name, coordinator] : contexts.coordinators_) {
    WATTLE_RETURN_IF_ERROR(CheckContextName(absl::StrCat(path, ": context"), name));
  }
  return contexts;
}

absl::StatusOr<std::string> Contexts::Choose(const std::string& name) const {
  const std::string& wanted = name.empty() ? current_ : name;
  if (wanted.empty()) {
    return Missing("no context is in use");
  }
  WATTLE_RETURN_IF_ERROR(CheckKnown(wanted));
  return wanted;
}

absl::Status Contexts::CheckKnown(const std::string& name) const {
  return coordinators_.contains(name) ? absl::OkStatus()
                                      : Missing(absl::StrCat("no context \"", OneLine(name), "\""));
}

absl::Status Contexts::Missing(absl::string_view what) const {
  if (coordinators_.empty()) {
    return absl::PermissionDeniedError(
        "you are logged in to no fleet; an admin gives a token with 'wattle person token', or on "
        "the coordinator's machine 'wattle-coordinator access admin-token'; then: wattle login "
        "TOKEN");
  }
  std::vector<std::string> names;
  for (const auto& [known, coordinator] : coordinators_) {
    names.push_back(known);
  }
  return absl::NotFoundError(absl::StrCat(what, "; there are ", OneLine(absl::StrJoin(names, ", ")),
                                          "; wattle context use NAME"));
}

std::string Contexts::FolderOf(const std::string& name) const {
  return absl::StrCat(directory_, "/identities/", name);
}

absl::Status Contexts::MakeFolders() const {
  WATTLE_RETURN_IF_ERROR(tls::MakePrivateDirectory(directory_));
  return tls::MakePrivateDirectory(FolderOf(""));
}

absl::Status Contexts::Add(const std::string& name, const std::string& coordinator) {
  coordinators_[name] = coordinator;
  current_ = name;
  return Save();
}

absl::Status Contexts::Use(const std::string& name) {
  WATTLE_RETURN_IF_ERROR(CheckKnown(name));
  current_ = name;
  return Save();
}

absl::Status Contexts::Remove(const std::string& name) {
  WATTLE_RETURN_IF_ERROR(CheckKnown(name));
  std::error_code error;
  std::filesystem::remove_all(FolderOf(name), error);
  if (error) {
    return FileError(error.value(), FolderOf(name), "cannot remove it");
  }
  coordinators_.erase(name);
  if (current_ == name) {
    current_.clear();
  }
  return Save();
}

absl::Status Contexts::Save() const {
  YAML::Emitter file;
  file << YAML::BeginMap;
  if (!current_.empty()) {
    file << YAML::Key << "current" << YAML::Value << current_;
  }
  file << YAML::Key << "contexts" << YAML::Value << YAML::BeginMap;
  for (const auto& [name, coordinator] : coordinators_) {
    file << YAML::Key << name << YAML::Value << YAML::BeginMap << YAML::Key << "coordinator"
         << YAML::Value << coordinator << YAML::EndMap;
  }
  file << YAML::EndMap << YAML::EndMap;
  WATTLE_RETURN_IF_ERROR(MakeFolders());
  return tls::WritePrivateFile(absl::StrCat(directory_, "/contexts.yaml"),
                               absl::StrCat(file.c_str(), "\n"));
}

}  // namespace wattle::cli
