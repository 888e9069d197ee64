// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#ifndef WATTLE_COORDINATOR_OWN_NAMES_H_
#define WATTLE_COORDINATOR_OWN_NAMES_H_

#include "coordinator/authority/authority.h"
#include "coordinator/options.h"

namespace wattle {

// By what boards and people reach this machine, for the names of the coordinator's certificate:
// localhost, the machine's name, the addresses that the flags name, and each --http-name. Where it
// listens at every interface, the addresses of all of them.
authority::ServerNames OwnNames(const CoordinatorOptions& options);

}  // namespace wattle

#endif  // WATTLE_COORDINATOR_OWN_NAMES_H_
