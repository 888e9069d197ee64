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

// Checks a name, which is also the name of a folder and must not lead outside it. Errors:
// kInvalidArgument, beginning with `where`.
absl::Status CheckContextName(absl::string_view where, absl::string_view name);

class Contexts {
 public:
  // Errors: kInvalidArgument for a file that cannot be read. A missing file is no error.
  static absl::StatusOr<Contexts> Load(const Environment& environment);

  [[nodiscard]] const std::string& current() const { return current_; }
  // HOST:PORT of each coordinator, by the context's name.
  [[nodiscard]] const std::map<std::string, std::string>& coordinators() const {
    return coordinators_;
  }
  // The context to use: `name`, or the current one if that is empty. Errors: kNotFound lists the
  // existing contexts; kPermissionDenied with the remedy if there is none.
  [[nodiscard]] absl::StatusOr<std::string> Choose(const std::string& name) const;
  // Checks that the context exists; empty: the current one. Errors: those of Choose.
  [[nodiscard]] absl::Status CheckKnown(const std::string& name) const;
  [[nodiscard]] std::string FolderOf(const std::string& name) const;

  // Makes the parent folders of the contexts' folders, accessible only to their user.
  [[nodiscard]] absl::Status MakeFolders() const;
  // Each of these methods writes the file.
  absl::Status Add(const std::string& name, const std::string& coordinator);  // also selects it
  absl::Status Use(const std::string& name);
  absl::Status Remove(const std::string& name);  // also removes its key

 private:
  // kNotFound, or kPermissionDenied if there is no context at all.
  [[nodiscard]] absl::Status Missing(absl::string_view what) const;
  absl::Status Save() const;

  std::string directory_;
  std::string current_;
  std::map<std::string, std::string> coordinators_;
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_CONTEXTS_H_
