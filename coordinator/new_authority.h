// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Another authority for a fleet whose authority is lost or in foreign hands: nobody's certificate
// counts any more, and everybody enrols again.
#ifndef WATTLE_COORDINATOR_NEW_AUTHORITY_H_
#define WATTLE_COORDINATOR_NEW_AUTHORITY_H_

#include <string>

#include "absl/status/statusor.h"

#include "base/clock.h"

namespace wattle {

// Sets the old folder aside, where there is one, and makes a new authority in its place. Returns
// what to do next, for people. A repetition after a crash goes on. Errors: kNotFound for a folder
// without a journal; kFailedPrecondition while a coordinator runs there.
absl::StatusOr<std::string> NewAuthority(const std::string& data_directory, const Clock& clock);

}  // namespace wattle

#endif  // WATTLE_COORDINATOR_NEW_AUTHORITY_H_
