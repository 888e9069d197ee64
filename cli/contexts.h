// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The fleets that this user logged in to: names for a coordinator's address and an identity, in
// ~/.config/wattle/contexts.yaml, which people may edit. Each context's key and certificate are in
// the folder identities/NAME beside the file. One thread.
#ifndef WATTLE_CLI_CONTEXTS_H_
#define WATTLE_CLI_CONTEXTS_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/environment.h"

namespace wattle::cli {

// A name is a folder's too: it leads nowhere else. Errors: kInvalidArgument, which begins with
// `where`.
absl::Status CheckContextName(absl::string_view where, absl::string_view name);

class Contexts {
 public:
  // Errors: kInvalidArgument for a file that cannot be read; none without a file.
  static absl::StatusOr<Contexts> Load(const Environment& environment);

  [[nodiscard]] const std::string& current() const { return current_; }
  // HOST:PORT by the context's name.
  [[nodiscard]] const std::map<std::string, std::string>& coordinators() const {
    return coordinators_;
  }
  // The context to use: `name`, or the current one where that is empty. Errors: kNotFound lists
  // those there are; kPermissionDenied without any, with the remedy.
  [[nodiscard]] absl::StatusOr<std::string> Choose(const std::string& name) const;
  // Whether there is one of this name, which is not the current one where it is empty. Errors: as
  // Choose.
  [[nodiscard]] absl::Status CheckKnown(const std::string& name) const;
  [[nodiscard]] std::string FolderOf(const std::string& name) const;

  // Those above the folder of each context, for their user alone.
  [[nodiscard]] absl::Status MakeFolders() const;
  // Each of these writes the file.
  absl::Status Add(const std::string& name, const std::string& coordinator);  // And uses it.
  absl::Status Use(const std::string& name);
  absl::Status Remove(const std::string& name);  // With its key.

 private:
  // kNotFound, or kPermissionDenied where there is no context at all.
  [[nodiscard]] absl::Status Missing(absl::string_view what) const;
  absl::Status Save() const;

  std::string directory_;
  std::string current_;
  std::map<std::string, std::string> coordinators_;
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_CONTEXTS_H_
