// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Leaves out the tickets of TLS sessions, which a gRPC server sends in each handshake. No client of
// Wattle resumes a session, so that each connection is judged by its certificate. A ticket has the
// client's certificate in it and costs about a tenth of a handshake.
#ifndef WATTLE_BASE_TLS_SESSION_TICKETS_H_
#define WATTLE_BASE_TLS_SESSION_TICKETS_H_

#include "absl/status/status.h"

namespace wattle::tls {

// For all servers that this process begins afterwards: gRPC 1.51 has no word for it, but OpenSSL's
// configuration has. What the machine's own configuration says of TLS stays. Errors: kInternal with
// OpenSSL's reason; tickets are then sent.
absl::Status SendNoSessionTickets();

}  // namespace wattle::tls

#endif  // WATTLE_BASE_TLS_SESSION_TICKETS_H_
